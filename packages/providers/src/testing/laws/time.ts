import { equal, eventually, failure, inTime, LawBroken, sleep, tagged } from "../assert.ts"
import { neverAborted, requestTo, withResolve } from "../context.ts"
import type { LawContext } from "../context.ts"
import { law } from "../law.ts"

interface Seen {
  readonly count: number
  readonly closed: boolean
}
const seen = async (context: LawContext, id: string): Promise<Seen> =>
  (await (await context.request(`/seen/${id}`)).json()) as Seen
const reason = new Error("the client disconnected")
const never = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error))
  })

/** Throws unless a call of the provider ends after its signal was aborted. */
const endsWithSignal = async (call: (signal: AbortSignal) => Promise<unknown>, what: string): Promise<void> => {
  const client = new AbortController()
  const settled = call(client.signal).then(
    () => {},
    () => {},
  )
  await sleep(50)
  client.abort(reason)
  await inTime(settled, what)
}

/** Clients that disconnect, and what does not happen in time. */
export const time = {
  "abort.before": law(
    "a request that is already aborted rejects with the reason and does not reach the app",
    [],
    async (context) => {
      const id = context.uniqueName()
      const response = context.request(`/count/${id}`, { signal: AbortSignal.abort(reason) })
      equal(((await failure(response, "an aborted request")) as Error).message, reason.message, "the reason")
      equal((await seen(context, id)).count, 0, "the number of requests to the app")
    },
  ),

  "abort.waiting": law(
    "a request that is aborted while it waits rejects with the reason, and the app is disconnected",
    [],
    async (context) => {
      const id = context.uniqueName()
      const client = new AbortController()
      const response = context.request(`/hang/${id}`, { signal: client.signal })
      response.catch(() => {})
      await eventually(async () => (await seen(context, id)).count === 1, "the request did not arrive")
      client.abort(reason)
      equal(((await failure(response, "an aborted request")) as Error).message, reason.message, "the reason")
      await eventually(async () => (await seen(context, id)).closed, "the app's connection was not closed")
    },
  ),

  "abort.body": law(
    "a response body that is aborted rejects with the reason, and the app is disconnected",
    [],
    async (context) => {
      const id = context.uniqueName()
      const client = new AbortController()
      const response = await context.request(`/hold/${id}`, { signal: client.signal })
      client.abort(reason)
      await failure(response.text(), "an aborted body")
      await eventually(async () => (await seen(context, id)).closed, "the app's connection was not closed")
    },
  ),

  "abort.cancel": law("a response body that is cancelled disconnects the app", [], async (context) => {
    const id = context.uniqueName()
    const response = await context.request(`/hold/${id}`)
    await response.body!.cancel()
    await eventually(async () => (await seen(context, id)).closed, "the app's connection was not closed")
  }),

  "abort.propagates": law("aborting a request aborts the provider's signal", [], async (context) => {
    let received: AbortSignal | undefined
    const provider = withResolve(context.provider, (_, { signal }) => never((received = signal)))
    const client = new AbortController()
    const response = context.fetcher({ provider })(requestTo("/who", { signal: client.signal }))
    response.catch(() => {})
    await eventually(async () => received !== undefined, "the provider was not called")
    client.abort(reason)
    equal(((await failure(response, "an aborted request")) as Error).message, reason.message, "the reason")
    await eventually(async () => received!.aborted, "the provider's signal was not aborted")
  }),

  "abort.resolve": law(
    "resolve ends with its signal while the vendor's API does not respond",
    ["hang"],
    async (context) => {
      const undo = await context.fixture.hang!()
      try {
        await endsWithSignal(
          (signal) => context.provider.resolve(context.machine, { port: context.port, signal }),
          "resolve, after its signal",
        )
      } finally {
        await undo()
      }
    },
  ),

  "abort.status": law(
    "status ends with its signal while the vendor's API does not respond",
    ["hang", "provider.status"],
    async (context) => {
      const undo = await context.fixture.hang!()
      try {
        await endsWithSignal(
          (signal) => context.provider.status!(context.machine, { signal }),
          "status, after its signal",
        )
      } finally {
        await undo()
      }
    },
  ),

  "abort.start": law(
    "start ends with its signal while the vendor's API does not respond",
    ["hang", "provider.start"],
    async (context) => {
      const undo = await context.fixture.hang!()
      try {
        await endsWithSignal(
          (signal) => context.provider.start!(context.machine, { signal }),
          "start, after its signal",
        )
      } finally {
        await undo()
      }
    },
  ),

  "abort.already-aborted": law("resolve ends at once when its signal is already aborted", [], async (context) => {
    const signal = AbortSignal.abort(reason)
    const settled = context.provider.resolve(context.machine, { port: context.port, signal }).then(
      () => {},
      () => {},
    )
    await inTime(settled, "resolve")
  }),

  "time.resolve": law(
    "a provider that does not respond is ProviderUnavailable after resolveTimeoutMs",
    [],
    async (context) => {
      const provider = withResolve(context.provider, () => never(neverAborted))
      const error = await failure(
        context.fetcher({ provider, resolveTimeoutMs: 50 })(requestTo("/who")),
        "a provider that does not respond",
      )
      tagged(error, "ProviderUnavailable")
    },
  ),

  "time.head": law("a response head that does not arrive in time is UpstreamTimeout", [], async (context) => {
    // While the connection is made, a time-out is another error.
    await (await context.request("/who")).text()
    const hang = (headersTimeoutMs: number) =>
      failure(context.fetcher({ headersTimeoutMs })(requestTo(`/hang/${context.uniqueName()}`)), "an app that hangs")
    const error = await hang(300)
    tagged(
      (error as { readonly _tag?: unknown })._tag === "UpstreamTimeout" ? error : await hang(3_000),
      "UpstreamTimeout",
    )
  }),

  "time.body": law("a response body may take longer than headersTimeoutMs", [], async (context) => {
    const held = async (headersTimeoutMs: number) => {
      const id = context.uniqueName()
      const response = await context.fetcher({ headersTimeoutMs })(requestTo(`/hold/${id}`))
      return { id, response, headersTimeoutMs }
    }
    // A head usually arrives much sooner, but not always on a busy machine, or a remote one.
    const { id, response, headersTimeoutMs } = await held(300).catch(() => held(3_000))
    const text = response.text()
    text.catch(() => {})
    await sleep(headersTimeoutMs + 200)
    await context.request(`/release/${id}`)
    equal(await text, "firstsecond", "the body")
  }),

  "time.untyped": law("anything that a provider throws becomes a ProviderError", [], async (context) => {
    for (const thrown of [new TypeError("oops"), "text", undefined, { _tag: "MachineNotFound" }]) {
      const provider = withResolve(context.provider, () => {
        throw thrown
      })
      tagged(
        await failure(context.fetcher({ provider })(requestTo("/who")), "a provider that throws"),
        "ProviderUnavailable",
      )
    }
  }),

  "time.recovers": law("a failure is kept for a moment, and not for long", [], async (context) => {
    let calls = 0
    const provider = withResolve(context.provider, (machine, options) => {
      if (calls++ === 0) throw new LawBroken("once")
      return context.provider.resolve(machine, options)
    })
    const fetcher = context.fetcher({ provider })
    tagged(await failure(fetcher(requestTo("/who")), "the first request"), "ProviderUnavailable")
    const succeeds = () =>
      fetcher(requestTo("/who")).then(
        ({ ok }) => ok,
        () => false,
      )
    await eventually(succeeds, "no later request succeeds")
  }),
}
