import * as Effect from "effect/Effect"
import { defaultHeaderNames } from "@project-ingress/forward"
import { SendFailure } from "@project-ingress/forward/fetch"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { MachineNotRunning, MachineStarting, ProviderRateLimited, ProviderUnavailable } from "../src/contract/errors.ts"
import type { Endpoint, Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { makeMachines } from "../src/machines/machines.ts"
import type { MachinesOptions } from "../src/machines/machines-options.ts"
import type { AttemptResponse, AttemptRequest } from "../src/machines/attempt-request.ts"
import type { ReadinessProbe } from "../src/machines/readiness-probe.ts"

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "Date", "performance"],
    now: 1_000_000,
    loopLimit: 100_000,
  })
})
afterEach(() => {
  vi.useRealTimers()
})

const machine: Machine = { id: "mach_1", type: "fake", externalId: "m1", metadata: {} }
const where = { provider: "fake", machine: "m1" }
const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

interface Sleeper {
  /** How long `start` takes to be accepted, in ms. */
  readonly acceptMs?: number
  /** How long after that the provider calls it running, in ms. */
  readonly bootMs?: number
  /** How long after that its proxy listens, in ms. */
  readonly listenMs?: number
  /** How long an answer of `resolve` takes, in ms. */
  readonly resolveMs?: number
  /** What `start` fails with, in order; then it works. */
  readonly failures?: readonly Error[]
  readonly wake?: "none" | "start" | "request"
  /** Whether `start` tells where it is, for one port or for all. */
  readonly tells?: "any" | "declared"
  readonly options?: Partial<MachinesOptions>
}

/** A machine that sleeps until somebody starts it. */
const sleeper = (more: Sleeper = {}) => {
  const { acceptMs = 0, bootMs = 0, listenMs = 0, resolveMs = 0, failures = [], wake = "start", tells } = more
  const log = { resolves: 0, starts: [] as number[], statuses: 0, knocks: 0, sends: 0, aborted: false }
  const began = Date.now()
  let acceptedAt: number | undefined
  const running = () => acceptedAt !== undefined && Date.now() >= acceptedAt + bootMs
  const provider: MachineProvider = {
    type: "fake",
    capabilities: { runtimes: ["node"], webSocket: true, wake, ports: tells ?? "any", interceptedHeaders: [] },
    async resolve() {
      log.resolves++
      await later(resolveMs)
      if (acceptedAt === undefined) throw new MachineNotRunning({ ...where, state: "stopped" })
      if (!running()) throw new MachineStarting(where)
      return endpoint
    },
    async status() {
      log.statuses++
      await later(resolveMs)
      return { state: running() ? "running" : "stopped" }
    },
    async start(_, { signal }) {
      const failure = failures[log.starts.length]
      log.starts.push(Date.now() - began)
      signal.addEventListener("abort", () => (log.aborted = true))
      await later(acceptMs)
      if (failure !== undefined) throw failure
      acceptedAt ??= Date.now()
      return tells === undefined ? undefined : endpoint
    },
  }
  const endpoint: Endpoint = { origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 60_000 }
  const listening = () => acceptedAt !== undefined && Date.now() >= acceptedAt + bootMs + listenMs
  const header = (name: string) => (name === defaultHeaderNames.stamp ? "1" : undefined)
  const probe: ReadinessProbe = () => {
    log.knocks++
    return listening() ? Promise.resolve({ status: 401, header }) : Promise.reject(new Error("refused"))
  }
  const machines = makeMachines({ providers: [provider], readinessProbe: probe, ...more.options })
  const sendable = (replayable: AttemptRequest<number>["replayable"] = () => true): AttemptRequest<number> => ({
    send: () => {
      log.sends++
      // As docker's proxy does: it takes the request and resets.
      if (!listening()) return Effect.fail(new SendFailure("reset", "maybe"))
      return Effect.succeed<AttemptResponse<number>>({ status: 200, header, response: 200 })
    },
    discard: () => {},
    replayable,
  })
  const reach = (signal?: AbortSignal, request = sendable()): Promise<unknown> =>
    Effect.runPromise(machines.reach(machine, 3000, request), signal === undefined ? {} : { signal }).then(
      ({ response }): unknown => response,
      (error: unknown) => error,
    )
  /** Runs that many requests with as much time as they want. */
  const all = async (count: number) => {
    const answers = Promise.all(Array.from({ length: count }, () => reach()))
    await vi.runAllTimersAsync()
    return { answers: await answers, tookMs: Date.now() - began, ...log }
  }
  return { all, reach, sendable, log, machines }
}

describe("a machine that does not run", () => {
  it("is started once for a thousand requests, asked for once before and once after", async () => {
    const { answers, resolves, starts, sends } = await sleeper({ acceptMs: 3_000, resolveMs: 700 }).all(1_000)
    expect(new Set(answers)).toEqual(new Set([200]))
    expect([resolves, starts.length, sends]).toEqual([2, 1, 1_000])
  })

  it("is asked for once, and found asleep, when its start tells where it is", async () => {
    const { answers, resolves, starts, sends } = await sleeper({ acceptMs: 3_000, tells: "any" }).all(1_000)
    expect(new Set(answers)).toEqual(new Set([200]))
    expect([resolves, starts.length, sends]).toEqual([1, 1, 1_000])
  })

  it("is asked for again when what its start told is of one port among many, or nobody listens there yet", async () => {
    expect(await sleeper({ tells: "declared" }).all(10)).toMatchObject({ resolves: 2 })
    const late = await sleeper({ tells: "any", listenMs: 5_000, resolveMs: 10 }).all(10)
    expect(new Set(late.answers)).toEqual(new Set([200]))
    expect(late.resolves).toBeGreaterThan(5)
  })

  it("whose start tells nonsense cannot be reached, and says which field", async () => {
    const { reach, machines } = sleeper()
    const provider = machines.provider("fake")!
    Object.assign(provider, { start: async () => ({ origin: "http://10.0.0.1/path", epoch: "1", ttlMs: 0 }) })
    const failure = reach()
    await vi.runAllTimersAsync()
    expect(await failure).toMatchObject({ _tag: "MachineRecordInvalid", field: "endpoint.origin" })
  })

  it("is asked for by one of those who wait, at growing intervals, until it runs", async () => {
    const { answers, resolves, starts, tookMs } = await sleeper({ bootMs: 9_000 }).all(100)
    expect(new Set(answers)).toEqual(new Set([200]))
    expect(starts.length).toBe(1)
    expect(resolves).toBeGreaterThan(5)
    expect(resolves).toBeLessThan(12)
    expect(tookMs).toBeLessThan(13_000)
  })

  it("gets no request before its proxy listens", async () => {
    const { answers, starts, sends, knocks } = await sleeper({ listenMs: 5_000, resolveMs: 10 }).all(50)
    expect(new Set(answers)).toEqual(new Set([200]))
    expect([starts.length, sends]).toEqual([1, 50])
    expect(knocks).toBeGreaterThan(10)
    expect(knocks).toBeLessThan(110)
  })

  it("is tried by each when its proxy takes longer than its grace", async () => {
    const { answers, starts, statuses } = await sleeper({ listenMs: 14_000, resolveMs: 10 }).all(50)
    expect(new Set(answers)).toEqual(new Set([200]))
    expect(starts.length).toBe(1)
    // One question of its state serves those who ask at the same moment.
    expect(statuses).toBeLessThan(200)
  })

  it("is found out by its status, too", async () => {
    let running = false
    let starts = 0
    const provider: MachineProvider = {
      type: "fake",
      capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
      resolve: () => Promise.resolve({ origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 60_000 }),
      status: () => Promise.resolve({ state: running ? "running" : "stopped" }),
      start: () => {
        starts++
        running = true
        return Promise.resolve()
      },
    }
    const header = (name: string) => (running && name === defaultHeaderNames.stamp ? "1" : undefined)
    const probe: ReadinessProbe = () => Promise.resolve({ status: 401, header })
    const reached = makeMachines({ providers: [provider], readinessProbe: probe }).reach<number>(machine, 3000, {
      send: () => Effect.sync(() => ({ status: running ? 200 : 502, header, response: 200 })),
      discard: () => {},
      replayable: () => true,
    })
    expect((await Effect.runPromise(reached)).response).toBe(200)
    expect(starts).toBe(1)
  })

  it("is not joined by those who know where it is", async () => {
    const { all, machines } = sleeper()
    expect((await all(1)).resolves).toBe(2)
    expect((await all(1)).resolves).toBe(2)
    machines.forget("fake", "other")
    expect((await all(1)).resolves).toBe(2)
    machines.forget("fake", "m1")
    expect((await all(1)).resolves).toBe(3)
  })

  it("that stays silent is starting when the time is over", async () => {
    const seen = await sleeper({ bootMs: 3_600_000 }).all(3)
    for (const answer of seen.answers) {
      expect(answer).toMatchObject({ _tag: "MachineStarting", retryAfterMs: 2_000, cause: { _tag: "MachineStarting" } })
    }
    expect(seen.starts.length).toBe(1)
    expect(seen.tookMs).toBeGreaterThan(27_000)
    expect(seen.tookMs).toBeLessThan(31_000)
    const short = await sleeper({ bootMs: 3_600_000, options: { wakeTimeoutMs: 1_000 } }).all(1)
    expect(short.tookMs).toBeLessThan(1_200)
    const deaf = await sleeper({ acceptMs: 60_000, options: { wakeTimeoutMs: 1_000 } }).all(1)
    expect(deaf).toMatchObject({ answers: [{ _tag: "MachineStarting" }], aborted: true })
  })

  it("that cannot be started fails for all with the reason, and is started again half a second later", async () => {
    const broken = new ProviderUnavailable({ ...where, reason: "HTTP 500" })
    const scene = sleeper({ failures: [broken] })
    expect(await scene.all(100)).toMatchObject({ answers: Array.from({ length: 100 }, () => broken), starts: [0] })
    expect((await scene.all(100)).starts).toEqual([0])
    await vi.advanceTimersByTimeAsync(1_000)
    expect((await scene.all(1)).answers).toEqual([200])
  })

  it("whose provider limits the rate is started when that may be, after half a minute at most", async () => {
    const limited = (retryAfterMs: number) => new ProviderRateLimited({ ...where, retryAfterMs })
    const seen = await sleeper({ failures: [limited(5_000)] }).all(10)
    expect(new Set(seen.answers)).toEqual(new Set([200]))
    expect(seen.starts).toEqual([0, 5_000])
    const options = { wakeTimeoutMs: 60_000 }
    expect((await sleeper({ failures: [limited(3_600_000)], options }).all(1)).starts).toEqual([0, 30_000])
    expect(
      (await sleeper({ failures: [limited(60_000)], options: { wakeTimeoutMs: 20_000 } }).all(1)).answers,
    ).toMatchObject([{ _tag: "MachineStarting", retryAfterMs: 60_000 }])
  })

  it.each([Number.NaN, -1, Number.NEGATIVE_INFINITY])(
    "whose provider wants to be asked in %s ms is asked at the usual intervals",
    async (retryAfterMs) => {
      const limited = new ProviderRateLimited({ ...where, retryAfterMs })
      const seen = await sleeper({ failures: Array.from({ length: 100_000 }, () => limited) }).all(1)
      expect(seen.answers).toMatchObject([{ _tag: "MachineStarting", retryAfterMs: 2_000 }])
      expect(seen.starts.length).toBeLessThan(30)
    },
  )

  it("without a machine proxy runs as soon as anything responds, stamp or not", async () => {
    let running = false
    const probes: string[] = []
    const provider: MachineProvider = {
      type: "fake",
      capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
      resolve: async () => {
        if (!running) throw new MachineNotRunning({ ...where, state: "stopped" })
        return {
          origin: "http://machine.invalid",
          fetch: async ({ method }) => {
            probes.push(method)
            return new Response(null, { status: 503 })
          },
          machineProxy: false,
          epoch: "1",
          ttlMs: 60_000,
        }
      },
      start: async () => {
        running = true
      },
    }
    const header = () => undefined
    const reached = makeMachines({ providers: [provider] }).reach<string>(machine, 3000, {
      send: () => Effect.succeed({ status: 503, header, response: "the app's" }),
      discard: () => {},
      replayable: () => true,
    })
    expect((await Effect.runPromise(reached)).response).toBe("the app's")
    // It reaches the app, which must not act on it.
    expect(probes).toEqual(["HEAD"])
  })

  it.each<Sleeper>([{ options: { wake: false } }, { wake: "none" }, { wake: "request" }])(
    "is left asleep: %j",
    async (more) => {
      const { answers, starts } = await sleeper(more).all(1)
      expect(answers).toMatchObject([{ _tag: "MachineNotRunning", state: "stopped" }])
      expect(starts).toEqual([])
    },
  )
})

describe("a request that must not wake", () => {
  const sent = async ({ reach, sendable }: ReturnType<typeof sleeper>, replayable = true) => {
    const result = reach(undefined, { ...sendable(() => replayable), wake: false })
    await vi.advanceTimersByTimeAsync(1)
    return result
  }

  it("finds a sleeping machine asleep, and one that another request starts starting", async () => {
    const it = sleeper({ acceptMs: 1_000 })
    expect(await sent(it)).toMatchObject({ _tag: "MachineNotRunning", state: "stopped" })
    expect(it.log.starts).toEqual([])
    const waking = it.reach()
    await vi.advanceTimersByTimeAsync(500)
    expect(await sent(it)).toMatchObject({ _tag: "MachineStarting" })
    await vi.runAllTimersAsync()
    expect(await waking).toBe(200)
    expect(await sent(it)).toBe(200)
    expect(it.log.starts).toHaveLength(1)
  })

  it("starts nothing for the next request either, if it cannot be sent again", async () => {
    const it = sleeper()
    await sent(it, false)
    await vi.runAllTimersAsync()
    expect(it.log.starts).toEqual([])
  })

  it("is sent to a machine that every request starts only if its provider says that it runs", async () => {
    const it = sleeper({ wake: "request" })
    expect(await sent(it)).toMatchObject({ _tag: "MachineNotRunning", state: "stopped" })
    expect(it.log).toMatchObject({ resolves: 0, sends: 0, statuses: 1 })
    void it.machines.provider("fake")!.start!(machine, { signal: new AbortController().signal })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await sent(it)).toBe(200)
  })

  it("is refused where nothing can say that, unless it is to be sent all the same", async () => {
    const it = sleeper({ wake: "request" })
    Object.assign(it.machines.provider("fake")!, { status: undefined })
    expect(await sent(it)).toMatchObject({ _tag: "MachineRecordInvalid", field: "wake" })
    expect(it.log).toMatchObject({ resolves: 0, sends: 0 })
    const avoiding = it.reach(undefined, { ...it.sendable(), wake: "avoid" })
    await vi.advanceTimersByTimeAsync(1)
    expect(await avoiding).toMatchObject({ _tag: "MachineNotRunning" })
    expect(it.log).toMatchObject({ resolves: 1, starts: [] })
  })
})

describe("those who wait", () => {
  it("are as many as was said; the next ones hear at once that it is starting", async () => {
    const { reach, log } = sleeper({ acceptMs: 1_000, options: { wakeQueue: 2 } })
    const ended: unknown[] = []
    const answers = Array.from({ length: 4 }, () =>
      reach().then((answer) => {
        ended.push(answer)
        return answer
      }),
    )
    await vi.advanceTimersByTimeAsync(500)
    const full = { _tag: "MachineStarting", retryAfterMs: 2_000 }
    expect(ended).toMatchObject([full, full])
    await vi.runAllTimersAsync()
    expect((await Promise.all(answers)).filter((answer) => answer === 200)).toHaveLength(2)
    expect(log.starts.length).toBe(1)
  })

  it("may leave, and the wake goes on without them", async () => {
    const { reach, log } = sleeper({ acceptMs: 1_000 })
    const first = new AbortController()
    const second = new AbortController()
    const answers = [reach(first.signal), reach(second.signal), reach()]
    await vi.advanceTimersByTimeAsync(100)
    first.abort()
    second.abort()
    await vi.advanceTimersByTimeAsync(0)
    expect(String(await Promise.race(answers))).toContain("interrupt")
    await vi.runAllTimersAsync()
    expect(await answers[2]).toBe(200)
    expect(log).toMatchObject({ starts: [0], sends: 1, aborted: false })
  })

  it("may all leave and come back to the same wake", async () => {
    const { reach, log } = sleeper({ acceptMs: 1_000 })
    const left = new AbortController()
    void reach(left.signal)
    await vi.advanceTimersByTimeAsync(100)
    left.abort()
    await vi.advanceTimersByTimeAsync(100)
    const back = reach()
    await vi.runAllTimersAsync()
    expect(await back).toBe(200)
    expect(log).toMatchObject({ starts: [0], resolves: 2 })
  })

  it("do not ask where a machine is that somebody wakes", async () => {
    const { reach, log } = sleeper({ acceptMs: 1_000 })
    const first = reach()
    await vi.advanceTimersByTimeAsync(100)
    const next = reach()
    await vi.advanceTimersByTimeAsync(100)
    expect(log.resolves).toBe(1)
    await vi.runAllTimersAsync()
    expect(await Promise.all([first, next])).toEqual([200, 200])
  })

  it("hold a body that nobody took, and send it once", async () => {
    const { reach, sendable, log } = sleeper({ acceptMs: 1_000, bootMs: 2_000, listenMs: 500 })
    const answer = reach(
      undefined,
      sendable((sent) => sent === "no" && log.sends === 0),
    )
    await vi.runAllTimersAsync()
    expect(await answer).toBe(200)
    expect(log).toMatchObject({ sends: 1, starts: [0] })
  })

  it("are not those whose request may have had its effect: it fails, and the machine is started for whoever asks next", async () => {
    const stopped = new MachineNotRunning({ ...where, state: "paused" })
    let starts = 0
    const provider: MachineProvider = {
      type: "fake",
      capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
      resolve: () => Promise.resolve({ origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 60_000 }),
      status: () => Promise.resolve({ state: "suspended", detail: "paused" }),
      start: () => Promise.resolve(void starts++),
    }
    const reached = makeMachines({ providers: [provider] }).reach(machine, 3000, {
      send: () => Effect.fail(new SendFailure("timeout", "maybe")),
      discard: () => {},
      replayable: (sent) => sent === "no",
    })
    expect(await Effect.runPromise(Effect.flip(reached))).toMatchObject({ _tag: stopped._tag, state: "paused" })
    expect(starts).toBe(1)
  })
})
