import { equal, failure, LawBroken, ok, tagged } from "../assert.ts"
import type { Endpoint } from "../../contract/machine-provider.ts"
import { forever, law, nobodyAt, requestOf, resolving } from "../world.ts"
import type { World } from "../world.ts"

const resolve = (world: World) => world.provider.resolve(world.machine, { port: world.port, signal: forever })
const who = async (answer: Response | Promise<Response>): Promise<string> => (await answer).text()

/** Where requests go: without an address, only the epoch tells. */
const placeOf = ({ origin, headers, fetch, epoch }: Endpoint): string =>
  JSON.stringify([origin, headers, fetch === undefined ? undefined : epoch])

/** Who is reached, and that it is never somebody else. */
export const identity = {
  "identity.type": law("the provider has the type that its machines' records name", [], ({ provider, machine }) => {
    equal(provider.type, machine.type, "the provider's type")
    ok(/^[a-z][a-z0-9-]*$/.test(provider.type), "the type is a word in lower case")
  }),

  "identity.capabilities": law(
    "the capabilities are plain data, with the names of headers in lower case",
    [],
    ({ provider }) => {
      const { capabilities } = provider
      equal(structuredClone(capabilities), capabilities, "the capabilities")
      ok(capabilities.runtimes.length > 0, "it runs somewhere")
      ok(typeof capabilities.webSocket === "boolean", "webSocket is a boolean")
      ok(["none", "start", "request"].includes(capabilities.wake), "wake is none, start or request")
      ok(["any", "declared"].includes(capabilities.ports), "ports is any or declared")
      for (const name of capabilities.interceptedHeaders) equal(name, name.toLowerCase(), "an eaten header")
    },
  ),

  "identity.origin": law("a machine resolves to an origin without path and credentials", [], async (world) => {
    const { origin } = await resolve(world)
    ok(/^https?:\/\/[^/\\?#@\s]+$/.test(origin) && URL.canParse(origin), `${origin} is an http(s) origin`)
  }),

  "identity.endpoint": law("an endpoint's times are in ms, and its headers can be sent", [], async (world) => {
    const { epoch, ttlMs, expiresAt, uptimeMs, headers } = await resolve(world)
    equal(typeof epoch, "string", "the epoch's type")
    ok(ttlMs >= 0, `ttlMs, ${ttlMs}, is 0 or more`)
    ok(expiresAt === undefined || expiresAt > Date.now(), `expiresAt, ${expiresAt}, is in the future, in ms since 1970`)
    ok(uptimeMs === undefined || (uptimeMs >= 0 && uptimeMs < 1e12), "uptimeMs is an age, not a date")
    ok(new Headers(headers), "a header has a name and a value that can be sent")
  }),

  "identity.epoch-stays": law("the epoch stays while the machine does", [], async (world) => {
    const before = await resolve(world)
    equal((await resolve(world)).epoch, before.epoch, "the second epoch")
  }),

  "identity.record-untouched": law("a machine's record is read and never written", [], async (world) => {
    const { machine } = world
    const frozen = Object.freeze({ ...machine, metadata: frozenCopy(machine.metadata) })
    await world.provider.resolve(frozen, { port: world.port, signal: forever })
  }),

  "identity.reaches": law("a request reaches the machine that it names", [], async (world) => {
    equal(await who(world.ask("/who")), world.machine.id, "who answered")
  }),

  "identity.apart": law("two machines are told apart", ["other"], async (world) => {
    const other = world.fixture.other!
    const [here, there] = await Promise.all([
      resolve(world),
      world.provider.resolve(other, { port: world.port, signal: forever }),
    ])
    ok(placeOf(here) !== placeOf(there), "two machines have two endpoints")
    equal(await who(world.fetcher({ machine: other })(requestOf("/who"))), other.id, "who answered for the other")
    equal(await who(world.ask("/who")), world.machine.id, "who answered")
  }),

  "identity.mismatch": law(
    "an endpoint that leads to another machine is refused, and that machine's app is not asked",
    ["other", "signingKey"],
    async (world) => {
      const other = world.fixture.other!
      const wrong = resolving(world.provider, (_, options) => world.provider.resolve(other, options))
      const id = world.unique()
      const error = await failure(world.fetcher({ provider: wrong })(requestOf(`/count/${id}`)), "the wrong machine")
      tagged(error, "MachineMismatch")
      const asked = await world.fetcher({ machine: other })(requestOf(`/seen/${id}`))
      equal(((await asked.json()) as { count: number }).count, 0, "how often the other machine's app was asked")
    },
  ),

  "identity.stale-heals": law(
    "an endpoint that another machine has taken over is asked for anew, and the right machine answers",
    ["other", "signingKey"],
    async (world) => {
      let asked = 0
      const stale = resolving(world.provider, (machine, options) =>
        world.provider.resolve(asked++ === 0 ? world.fixture.other! : machine, options),
      )
      equal(await who(world.fetcher({ provider: stale })(requestOf("/who"))), world.machine.id, "who answered")
      equal(asked, 2, "how often the provider was asked")
    },
  ),

  "identity.gone-heals": law("an endpoint where nobody listens any more is asked for anew", [], async (world) => {
    let asked = 0
    const stale = resolving(world.provider, async (machine, options) => {
      const endpoint = await world.provider.resolve(machine, options)
      return asked++ === 0 ? nobodyAt(endpoint) : endpoint
    })
    equal(await who(world.fetcher({ provider: stale })(requestOf("/who"))), world.machine.id, "who answered")
  }),

  "identity.missing": law(
    "a machine that the provider does not know is MachineNotFound",
    ["missing"],
    async (world) => {
      const machine = world.fixture.missing!
      const error = await failure(
        world.fetcher({ machine, provider: world.provider })(requestOf("/who")),
        "a machine that does not exist",
      )
      tagged(error, "MachineNotFound")
      equal((error as { machine?: unknown }).machine, machine.externalId, "the machine it names")
      equal((error as { provider?: unknown }).provider, machine.type, "the provider it names")
    },
  ),

  "identity.record-wrong": law(
    "a record that cannot be used is MachineRecordInvalid and names the field",
    ["wrong"],
    async (world) => {
      for (const [field, machine] of Object.entries(world.fixture.wrong!)) {
        const error = await failure(
          world.provider.resolve(machine, { port: world.port, signal: forever }),
          `a record with a wrong ${field}`,
        )
        tagged(error, "MachineRecordInvalid")
        equal((error as { field?: unknown }).field, field, "the field it names")
      }
    },
  ),

  "identity.epoch-changes": law("the epoch changes when the machine starts anew", ["restart"], async (world) => {
    const before = await resolve(world)
    world.machine = await world.fixture.restart!()
    const after = await resolve(world)
    ok(after.epoch !== before.epoch, `the epoch is no longer ${JSON.stringify(before.epoch)}`)
  }),

  "identity.restart-heals": law("a machine that started anew is reached again", ["restart"], async (world) => {
    const before = world.machine
    const fetcher = world.fetcher()
    equal(await who(fetcher(requestOf("/who"))), before.id, "who answered before")
    world.machine = await world.fixture.restart!()
    const known = JSON.stringify(before) === JSON.stringify(world.machine)
    equal(await who((known ? fetcher : world.fetcher())(requestOf("/who"))), before.id, "who answered after")
  }),

  "identity.swap": law(
    "a machine whose address was given to another is found where it is now, and the other never answers for it",
    ["swap", "signingKey"],
    async (world) => {
      const before = world.machine
      let asked = 0
      // However long a swap takes, what was known before it is used after it.
      const remembering = resolving(world.provider, async (machine, options) => {
        asked++
        const { expiresAt: _, ...endpoint } = await world.provider.resolve(machine, options)
        return { ...endpoint, ttlMs: 3_600_000 }
      })
      const fetcher = world.fetcher({ provider: remembering })
      equal(await who(fetcher(requestOf("/who"))), before.id, "who answered before")
      world.machine = await world.fixture.swap!()
      const known = JSON.stringify(before) === JSON.stringify(world.machine)
      try {
        equal(await who(fetcher(requestOf("/who"))), before.id, "who answered at the old record")
        ok(asked > 1, "what was known was found to be another's")
      } catch (error) {
        // Only a record that is old itself may lead to nobody.
        if (error instanceof LawBroken || known) throw error
        tagged(error, "MachineMismatch")
      }
      equal(await who(world.fetcher()(requestOf("/who"))), before.id, "who answered after")
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
