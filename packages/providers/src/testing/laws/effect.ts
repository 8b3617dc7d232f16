import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { defaultHeaderNames, ticketSigner } from "@project-ingress/forward"
import type { SignedTicket, SigningKey } from "@project-ingress/forward"
import { forwardFetch, SendFailure } from "@project-ingress/forward/fetch"
import { layer, Machines } from "../../effect.ts"
import type { AttemptRequest } from "../../effect.ts"
import { isProviderError, MachineNotFound, MachineNotRunning, ProviderAuth } from "../../contract/errors.ts"
import type { ProviderError } from "../../contract/errors.ts"
import type { MachineProvider } from "../../contract/machine-provider.ts"
import { fetchAddress } from "../../transport/fetch-transport.ts"
import { encapsulateHeaders } from "../../transport/request-headers.ts"
import { equal, eventually, failure, LawBroken } from "../assert.ts"
import { requestTo, withResolve } from "../context.ts"
import type { LawContext } from "../context.ts"
import { law } from "../law.ts"

/** One request as an Effect, sent through the service as a user of Effect does. */
const reach = (
  context: LawContext,
  path: string,
  provider: MachineProvider = context.provider,
  machine = context.machine,
) => {
  const { signingKey } = context.fixture
  const attempt = (signed: SignedTicket | undefined): AttemptRequest<Response> => ({
    send: (endpoint) =>
      Effect.tryPromise({
        try: async (signal) => {
          const response = await forwardFetch({
            ...fetchAddress(endpoint, defaultHeaderNames),
            target: path,
            method: "GET",
            headers: encapsulateHeaders(
              [
                defaultHeaderNames.targetHost,
                `localhost:${context.port}`,
                ...(signed === undefined ? [] : [defaultHeaderNames.ticket, signed.ticket]),
              ],
              provider.capabilities.interceptedHeaders,
              endpoint,
              defaultHeaderNames,
            ),
            body: null,
            signal,
          })
          return {
            status: response.status,
            header: (name: string) => response.headers.get(name) ?? undefined,
            stamps: signed?.stamps,
            response,
          }
        },
        catch: SendFailure.from,
      }),
    discard: (response) => void response.body?.cancel().catch(() => {}),
    replayable: () => true,
  })
  return Effect.gen(function* () {
    const signed =
      signingKey === undefined ? undefined : yield* Effect.promise(() => sign(signingKey, machine.id, context.port))
    const machines = yield* Machines
    return yield* machines.reach(machine, context.port, attempt(signed))
  }).pipe(Effect.provide(layer({ providers: [provider], wake: false })))
}

const sign = async (key: SigningKey, machine: string, port: number): Promise<SignedTicket> => {
  const signed = await ticketSigner(key).ticketFor(machine, port, "localhost")
  // The first one is never too many.
  if (signed instanceof Error) throw signed
  return signed
}

const tagOf = (error: unknown): string => {
  if (isProviderError(error)) return error._tag
  throw new LawBroken(`expected a ProviderError, got ${String(error)}`)
}
const bothFail = async (context: LawContext, provider: MachineProvider, machine = context.machine): Promise<void> => {
  const plain = await failure(context.fetcher({ provider, machine, wake: false })(requestTo("/who")), "the fetcher")
  const caught = await Effect.runPromise(Effect.flip(reach(context, "/who", provider, machine)))
  context.recorded.push(caught)
  equal(
    tagOf(caught satisfies ProviderError),
    tagOf(plain),
    "the tag of the service's error, compared with the fetcher's",
  )
}

/** The `Machines` service of Effect and the fetcher are the same program. */
export const effect = {
  "effect.response": law("the Effect service gives the same response as the fetcher", [], async (context) => {
    const { response } = await Effect.runPromise(reach(context, "/status/418"))
    const plain = await context.request("/status/418")
    equal([response.status, await response.text()], [plain.status, await plain.text()], "the response")
  }),

  "effect.failure": law("the Effect service fails with the same tag as the fetcher", [], async (context) => {
    const where = { provider: context.machine.type, machine: context.machine.externalId }
    const thrown = [
      new MachineNotFound(where),
      new MachineNotRunning({ ...where, state: "asleep" }),
      new ProviderAuth(where),
      new Error("untyped"),
    ]
    for (const error of thrown) {
      await bothFail(
        context,
        withResolve(context.provider, () => Promise.reject(error)),
      )
    }
  }),

  "effect.missing": law(
    "the Effect service fails as the fetcher does on a machine that does not exist",
    ["missing"],
    (context) => bothFail(context, context.provider, context.fixture.missing),
  ),

  "effect.interrupt": law("interrupting the program aborts the provider's signal", [], async (context) => {
    let received: AbortSignal | undefined
    const provider = withResolve(context.provider, (_, { signal }) => {
      received = signal
      return new Promise(() => {})
    })
    const fiber = Effect.runFork(reach(context, "/who", provider))
    await eventually(async () => received !== undefined, "the provider was not called")
    await Effect.runPromise(Fiber.interrupt(fiber))
    await eventually(async () => received!.aborted, "the provider's signal was not aborted")
  }),
}
