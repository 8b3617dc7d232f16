import { equal, failure, LawBroken, ok, tagged } from "../assert.ts"
import type { Endpoint } from "../../contract/machine-provider.ts"
import { neverAborted, unreachable, requestTo, withResolve } from "../context.ts"
import type { LawContext } from "../context.ts"
import { law } from "../law.ts"

const resolve = (context: LawContext) =>
  context.provider.resolve(context.machine, { port: context.port, signal: neverAborted })
const responder = async (response: Response | Promise<Response>): Promise<string> => (await response).text()

/** Where requests go. Endpoints with a `fetch` have no address, so they are compared by their epoch. */
const destinationOf = ({ origin, headers, fetch, epoch }: Endpoint): string =>
  JSON.stringify([origin, headers, fetch === undefined ? undefined : epoch])

/** Requests reach the right machine, and never another one. */
export const identity = {
  "identity.type": law("the provider's type is the one in its machines' records", [], ({ provider, machine }) => {
    equal(provider.type, machine.type, "the provider's type")
    ok(/^[a-z][a-z0-9-]*$/.test(provider.type), "the type is in lower case")
  }),

  "identity.capabilities": law(
    "the capabilities are plain data, with header names in lower case",
    [],
    ({ provider }) => {
      const { capabilities } = provider
      equal(structuredClone(capabilities), capabilities, "the capabilities")
      ok(capabilities.runtimes.length > 0, "it runs somewhere")
      ok(typeof capabilities.webSocket === "boolean", "webSocket is a boolean")
      ok(["none", "start", "request"].includes(capabilities.wake), `wake is "none", "start" or "request"`)
      ok(["any", "declared"].includes(capabilities.ports), `ports is "any" or "declared"`)
      for (const name of capabilities.interceptedHeaders)
        equal(name, name.toLowerCase(), "a name in interceptedHeaders")
    },
  ),

  "identity.origin": law("a machine resolves to an origin without a path or credentials", [], async (context) => {
    const { origin } = await resolve(context)
    ok(/^https?:\/\/[^/\\?#@\s]+$/.test(origin) && URL.canParse(origin), `${origin} is an http(s) origin`)
  }),

  "identity.endpoint": law("an endpoint's times are in ms, and its headers are valid", [], async (context) => {
    const { epoch, ttlMs, expiresAt, uptimeMs, headers } = await resolve(context)
    equal(typeof epoch, "string", "the epoch's type")
    ok(ttlMs >= 0, `ttlMs, ${ttlMs}, is 0 or more`)
    ok(expiresAt === undefined || expiresAt > Date.now(), `expiresAt, ${expiresAt}, is in the future, in ms since 1970`)
    ok(uptimeMs === undefined || (uptimeMs >= 0 && uptimeMs < 1e12), "uptimeMs is an age, not a date")
    ok(new Headers(headers), "a header has a name and a value that can be sent")
  }),

  "identity.ports": law(`one endpoint leads to every port, if ports is "any"`, [], async (context) => {
    if (context.provider.capabilities.ports !== "any") return
    const other = context.port === 1 ? 2 : 1
    const elsewhere = await context.provider.resolve(context.machine, { port: other, signal: neverAborted })
    const here = await resolve(context)
    equal([elsewhere.origin, elsewhere.epoch], [here.origin, here.epoch], "the endpoint for another port")
  }),

  "identity.epoch-stays": law("the epoch stays the same while the machine keeps running", [], async (context) => {
    const before = await resolve(context)
    equal((await resolve(context)).epoch, before.epoch, "the second epoch")
  }),

  "identity.record-untouched": law("a machine's record is never modified", [], async (context) => {
    const { machine } = context
    const frozen = Object.freeze({ ...machine, metadata: frozenCopy(machine.metadata) })
    await context.provider.resolve(frozen, { port: context.port, signal: neverAborted })
  }),

  "identity.reaches": law("a request reaches its machine", [], async (context) => {
    equal(await responder(context.request("/who")), context.machine.id, "the machine that responded")
  }),

  "identity.distinct": law("two machines have different endpoints", ["other"], async (context) => {
    const other = context.fixture.other!
    const [here, there] = await Promise.all([
      resolve(context),
      context.provider.resolve(other, { port: context.port, signal: neverAborted }),
    ])
    ok(destinationOf(here) !== destinationOf(there), "the two endpoints differ")
    equal(
      await responder(context.fetcher({ machine: other })(requestTo("/who"))),
      other.id,
      "the machine that responded for the other",
    )
    equal(await responder(context.request("/who")), context.machine.id, "the machine that responded")
  }),

  "identity.mismatch": law(
    "an endpoint that leads to another machine is an error, and that machine's app gets no request",
    ["other", "signingKey"],
    async (context) => {
      const other = context.fixture.other!
      const wrong = withResolve(context.provider, (_, options) => context.provider.resolve(other, options))
      const id = context.uniqueName()
      const error = await failure(context.fetcher({ provider: wrong })(requestTo(`/count/${id}`)), "the wrong machine")
      tagged(error, "MachineMismatch")
      const seen = await context.fetcher({ machine: other })(requestTo(`/seen/${id}`))
      equal(((await seen.json()) as { count: number }).count, 0, "the number of requests to the other machine's app")
    },
  ),

  "identity.stale-recovers": law(
    "an endpoint that another machine has taken over is resolved again, and the right machine responds",
    ["other", "signingKey"],
    async (context) => {
      let calls = 0
      const stale = withResolve(context.provider, (machine, options) =>
        context.provider.resolve(calls++ === 0 ? context.fixture.other! : machine, options),
      )
      equal(
        await responder(context.fetcher({ provider: stale })(requestTo("/who"))),
        context.machine.id,
        "the machine that responded",
      )
      equal(calls, 2, "the number of calls of resolve")
    },
  ),

  "identity.gone-recovers": law("an endpoint where nothing listens any more is resolved again", [], async (context) => {
    let calls = 0
    const stale = withResolve(context.provider, async (machine, options) => {
      const endpoint = await context.provider.resolve(machine, options)
      return calls++ === 0 ? unreachable(endpoint) : endpoint
    })
    equal(
      await responder(context.fetcher({ provider: stale })(requestTo("/who"))),
      context.machine.id,
      "the machine that responded",
    )
  }),

  "identity.missing": law(
    "a machine that the provider does not know is MachineNotFound",
    ["missing"],
    async (context) => {
      const machine = context.fixture.missing!
      const error = await failure(
        context.fetcher({ machine, provider: context.provider })(requestTo("/who")),
        "a machine that does not exist",
      )
      tagged(error, "MachineNotFound")
      equal((error as { machine?: unknown }).machine, machine.externalId, "the machine it names")
      equal((error as { provider?: unknown }).provider, machine.type, "the provider it names")
    },
  ),

  "identity.record-wrong": law(
    "an invalid record is MachineRecordInvalid and names the field",
    ["wrong"],
    async (context) => {
      for (const [field, machine] of Object.entries(context.fixture.wrong!)) {
        const error = await failure(
          context.provider.resolve(machine, { port: context.port, signal: neverAborted }),
          `a record with a wrong ${field}`,
        )
        tagged(error, "MachineRecordInvalid")
        equal((error as { field?: unknown }).field, field, "the field it names")
      }
    },
  ),

  "identity.epoch-changes": law("the epoch changes when the machine restarts", ["restart"], async (context) => {
    const before = await resolve(context)
    context.machine = await context.fixture.restart!()
    const after = await resolve(context)
    ok(after.epoch !== before.epoch, `the epoch ${JSON.stringify(before.epoch)} changed`)
  }),

  "identity.restart-recovers": law("a machine that restarted is reached again", ["restart"], async (context) => {
    const before = context.machine
    const fetcher = context.fetcher()
    equal(await responder(fetcher(requestTo("/who"))), before.id, "the machine that responded before")
    context.machine = await context.fixture.restart!()
    const unchanged = JSON.stringify(before) === JSON.stringify(context.machine)
    equal(
      await responder((unchanged ? fetcher : context.fetcher())(requestTo("/who"))),
      before.id,
      "the machine that responded after",
    )
  }),

  "identity.swap": law(
    "a machine whose address was given to another is found at its new one, and the other never responds for it",
    ["swap", "signingKey"],
    async (context) => {
      const before = context.machine
      let calls = 0
      // The old endpoint is used after the swap, however long that takes.
      const caching = withResolve(context.provider, async (machine, options) => {
        calls++
        const { expiresAt: _, ...endpoint } = await context.provider.resolve(machine, options)
        return { ...endpoint, ttlMs: 3_600_000 }
      })
      const fetcher = context.fetcher({ provider: caching })
      equal(await responder(fetcher(requestTo("/who"))), before.id, "the machine that responded before")
      context.machine = await context.fixture.swap!()
      const unchanged = JSON.stringify(before) === JSON.stringify(context.machine)
      try {
        equal(await responder(fetcher(requestTo("/who"))), before.id, "the machine that responded to the old record")
        ok(calls > 1, "the old endpoint was resolved again")
      } catch (error) {
        // Only an outdated record may lead to no machine.
        if (error instanceof LawBroken || unchanged) throw error
        tagged(error, "MachineMismatch")
      }
      equal(await responder(context.fetcher()(requestTo("/who"))), before.id, "the machine that responded after")
    },
  ),
}

const frozenCopy = <A>(value: A): A => {
  const copy = structuredClone(value)
  const freeze = (at: unknown): void => {
    if (typeof at !== "object" || at === null) return
    Object.freeze(at)
    for (const each of Object.values(at)) freeze(each)
  }
  freeze(copy)
  return copy
}
