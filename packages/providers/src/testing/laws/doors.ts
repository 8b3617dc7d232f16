import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { defaultHeaderNames, ticketSigner } from "@project-ingress/forward"
import { forwardFetch, SendFailure } from "@project-ingress/forward/fetch"
import { layer, Machines } from "../../effect.ts"
import type { AttemptRequest } from "../../effect.ts"
import { isProviderError, MachineNotFound, MachineNotRunning, ProviderAuth } from "../../contract/errors.ts"
import type { ProviderError } from "../../contract/errors.ts"
import type { MachineProvider } from "../../contract/machine-provider.ts"
import { encapsulateHeaders } from "../../transport/request-headers.ts"
import { equal, eventually, failure, LawBroken } from "../assert.ts"
import { law, requestOf, resolving } from "../world.ts"
import type { World } from "../world.ts"

/** One request as a program, the way an Effect user sends it. */
const reach = (world: World, path: string, provider: MachineProvider = world.provider, machine = world.machine) => {
  const { signingKey: signing } = world.fixture
  const sendable = (ticket: string | undefined): AttemptRequest<Response> => ({
    send: (endpoint) =>
      Effect.tryPromise({
        try: async (signal) => {
          const answer = await forwardFetch({
            origin: endpoint.origin,
            fetch: endpoint.fetch,
            target: path,
            method: "GET",
            headers: encapsulateHeaders(
              [
                defaultHeaderNames.targetHost,
                `localhost:${world.port}`,
                ...(ticket === undefined ? [] : [defaultHeaderNames.ticket, ticket]),
              ],
              provider.capabilities.interceptedHeaders,
              endpoint,
              defaultHeaderNames,
            ),
            body: null,
            signal,
          })
          return {
            status: answer.status,
            header: (name: string) => answer.headers.get(name) ?? undefined,
            response: answer,
          }
        },
        catch: SendFailure.from,
      }),
    discard: (answer) => void answer.body?.cancel().catch(() => {}),
    replayable: () => true,
  })
  return Effect.gen(function* () {
    const ticket =
      signing === undefined ? undefined : yield* Effect.promise(async () => ticketSigner(signing)(machine.id))
    const machines = yield* Machines
    return yield* machines.reach(machine, world.port, sendable(ticket))
  }).pipe(Effect.provide(layer({ providers: [provider], wake: false })))
}

const tagOf = (error: unknown): string => {
  if (isProviderError(error)) return error._tag
  throw new LawBroken(`${String(error)} is no ProviderError`)
}
const bothFail = async (world: World, provider: MachineProvider, machine = world.machine): Promise<void> => {
  const plain = await failure(world.fetcher({ provider, machine, wake: false })(requestOf("/who")), "the plain door")
  const caught = await Effect.runPromise(Effect.flip(reach(world, "/who", provider, machine)))
  world.said.push(caught)
  equal(tagOf(caught satisfies ProviderError), tagOf(plain), "what the door of Effect says, beside the plain one")
}

/** The plain door and the one of Effect lead to the same program. */
export const doors = {
  "doors.answer": law("both doors bring the same answer", [], async (world) => {
    const { response: answer } = await Effect.runPromise(reach(world, "/status/418"))
    const plain = await world.ask("/status/418")
    equal([answer.status, await answer.text()], [plain.status, await plain.text()], "the answer")
  }),

  "doors.failure": law("both doors fail with the same tag", [], async (world) => {
    const where = { provider: world.machine.type, machine: world.machine.externalId }
    const thrown = [
      new MachineNotFound(where),
      new MachineNotRunning({ ...where, state: "asleep" }),
      new ProviderAuth(where),
      new Error("untyped"),
    ]
    for (const error of thrown) {
      await bothFail(
        world,
        resolving(world.provider, () => Promise.reject(error)),
      )
    }
  }),

  "doors.missing": law("both doors fail in the same way on a machine that does not exist", ["missing"], (world) =>
    bothFail(world, world.provider, world.fixture.missing),
  ),

  "doors.interrupt": law("interrupting a program ends the question to the provider", [], async (world) => {
    let told: AbortSignal | undefined
    const provider = resolving(world.provider, (_, { signal }) => {
      told = signal
      return new Promise(() => {})
    })
    const fiber = Effect.runFork(reach(world, "/who", provider))
    await eventually(async () => told !== undefined, "the provider was not asked")
    await Effect.runPromise(Fiber.interrupt(fiber))
    await eventually(async () => told!.aborted, "the provider was not told")
  }),
}
