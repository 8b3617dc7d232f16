import { equal, eventually, failure, LawBroken, ok, sleep, tagged, within } from "../assert.ts"
import { forever, law, requestOf, resolving } from "../world.ts"
import type { World } from "../world.ts"

interface Seen {
  readonly count: number
  readonly closed: boolean
}
const seen = async (world: World, id: string): Promise<Seen> => (await (await world.ask(`/seen/${id}`)).json()) as Seen
const leaving = new Error("the client left")
const never = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error))
  })

/** A question to the vendor, left after 50 ms, must end within a second. */
const leaves = async (ask: (signal: AbortSignal) => Promise<unknown>, what: string): Promise<void> => {
  const left = new AbortController()
  const settled = ask(left.signal).then(
    () => {},
    () => {},
  )
  await sleep(50)
  left.abort(leaving)
  await within(1_000, settled, what)
}

/** Who leaves, and who comes too late. */
export const time = {
  "abort.before": law(
    "a request that was left before it began rejects with the reason, and the app is not asked",
    [],
    async (world) => {
      const id = world.unique()
      const answer = world.ask(`/count/${id}`, { signal: AbortSignal.abort(leaving) })
      equal(((await failure(answer, "a request that was left")) as Error).message, leaving.message, "the reason")
      equal((await seen(world, id)).count, 0, "how often the app was asked")
    },
  ),

  "abort.waiting": law(
    "a request that is left while it waits rejects with the reason, and the app sees it",
    [],
    async (world) => {
      const id = world.unique()
      const left = new AbortController()
      const answer = world.ask(`/hang/${id}`, { signal: left.signal })
      answer.catch(() => {})
      await eventually(async () => (await seen(world, id)).count === 1, "the request did not arrive")
      left.abort(leaving)
      equal(((await failure(answer, "a request that was left")) as Error).message, leaving.message, "the reason")
      await eventually(async () => (await seen(world, id)).closed, "the app was not told that the client left")
    },
  ),

  "abort.body": law("a body that is left rejects with the reason, and the app sees it", [], async (world) => {
    const id = world.unique()
    const left = new AbortController()
    const answer = await world.ask(`/hold/${id}`, { signal: left.signal })
    left.abort(leaving)
    await failure(answer.text(), "a body that was left")
    await eventually(async () => (await seen(world, id)).closed, "the app was not told that the client left")
  }),

  "abort.cancel": law("a body that is cancelled ends at the app", [], async (world) => {
    const id = world.unique()
    const answer = await world.ask(`/hold/${id}`)
    await answer.body!.cancel()
    await eventually(async () => (await seen(world, id)).closed, "the app was not told that the client left")
  }),

  "abort.hands-on": law("a provider is told that nobody waits any more", [], async (world) => {
    let told: AbortSignal | undefined
    const provider = resolving(world.provider, (_, { signal }) => never((told = signal)))
    const left = new AbortController()
    const answer = world.fetcher({ provider })(requestOf("/who", { signal: left.signal }))
    answer.catch(() => {})
    await eventually(async () => told !== undefined, "the provider was not asked")
    left.abort(leaving)
    equal(((await failure(answer, "a request that was left")) as Error).message, leaving.message, "the reason")
    await eventually(async () => told!.aborted, "the provider was not told")
  }),

  "abort.resolve": law("resolve ends with its signal while the vendor is silent", ["hang"], async (world) => {
    const undo = await world.fixture.hang!()
    try {
      await leaves(
        (signal) => world.provider.resolve(world.machine, { port: world.port, signal }),
        "resolve, after its signal",
      )
    } finally {
      await undo()
    }
  }),

  "abort.status": law(
    "status ends with its signal while the vendor is silent",
    ["hang", "provider.status"],
    async (world) => {
      const undo = await world.fixture.hang!()
      try {
        await leaves((signal) => world.provider.status!(world.machine, { signal }), "status, after its signal")
      } finally {
        await undo()
      }
    },
  ),

  "abort.start": law(
    "start ends with its signal while the vendor is silent",
    ["hang", "provider.start"],
    async (world) => {
      const undo = await world.fixture.hang!()
      try {
        await leaves((signal) => world.provider.start!(world.machine, { signal }), "start, after its signal")
      } finally {
        await undo()
      }
    },
  ),

  "abort.aborted": law("resolve ends at once with a signal that has ended", [], async (world) => {
    const signal = AbortSignal.abort(leaving)
    const settled = world.provider.resolve(world.machine, { port: world.port, signal }).then(
      () => {},
      () => {},
    )
    await within(1_000, settled, "resolve")
  }),

  "time.resolve": law("a provider that does not answer is ProviderUnavailable, in time", [], async (world) => {
    const provider = resolving(world.provider, () => never(forever))
    const error = await failure(
      world.fetcher({ provider, resolveTimeoutMs: 50 })(requestOf("/who")),
      "a silent provider",
    )
    tagged(error, "ProviderUnavailable")
  }),

  "time.head": law("a head that does not come in time is UpstreamTimeout", [], async (world) => {
    // Whoever is still connecting is told something else.
    await (await world.ask("/who")).text()
    const fetcher = world.fetcher({ headersTimeoutMs: 300 })
    tagged(await failure(fetcher(requestOf(`/hang/${world.unique()}`)), "an app that hangs"), "UpstreamTimeout")
  }),

  "time.body": law("a body may take longer than its head", [], async (world) => {
    const held = async (headersTimeoutMs: number) => {
      const id = world.unique()
      const answer = await world.fetcher({ headersTimeoutMs })(requestOf(`/hold/${id}`))
      return { id, answer, headersTimeoutMs }
    }
    // Most heads come in far less; on a machine that is busy, or far away, not all of them.
    const { id, answer, headersTimeoutMs } = await held(300).catch(() => held(3_000))
    const text = answer.text()
    text.catch(() => {})
    await sleep(headersTimeoutMs + 200)
    await world.ask(`/release/${id}`)
    equal(await text, "firstsecond", "the body")
  }),

  "time.untyped": law("whatever a provider throws becomes a typed failure", [], async (world) => {
    for (const thrown of [new TypeError("oops"), "text", undefined, { _tag: "MachineNotFound" }]) {
      const provider = resolving(world.provider, () => {
        throw thrown
      })
      tagged(
        await failure(world.fetcher({ provider })(requestOf("/who")), "a provider that throws"),
        "ProviderUnavailable",
      )
    }
  }),

  "time.recovers": law("a failure is not remembered", [], async (world) => {
    let asked = 0
    const provider = resolving(world.provider, (machine, options) => {
      if (asked++ === 0) throw new LawBroken("once")
      return world.provider.resolve(machine, options)
    })
    const fetcher = world.fetcher({ provider })
    tagged(await failure(fetcher(requestOf("/who")), "the first try"), "ProviderUnavailable")
    ok((await fetcher(requestOf("/who"))).ok, "the second try succeeds")
  }),
}
