/** Requests that wait no longer than they are willing to, and machines that never come up. */
import * as Effect from "effect/Effect"
import { defaultHeaderNames } from "@project-ingress/forward"
import { SendFailure } from "@project-ingress/forward/fetch"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { MachineNotRunning } from "../src/contract/errors.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import type { AttemptRequest } from "../src/machines/attempt-request.ts"
import { makeMachines } from "../src/machines/machines.ts"
import type { MachinesOptions } from "../src/machines/machines-options.ts"

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

const machineOf = (externalId = "m1"): Machine => ({ id: `mach_${externalId}`, type: "fake", externalId, metadata: {} })
const never = () => new Promise<never>(() => {})
const header = (name: string) => (name === defaultHeaderNames.stamp ? "1" : undefined)
const response = { status: 200, header, response: 200 }

interface Scene {
  readonly provider?: Partial<MachineProvider>
  /** Whether the machine's proxy responds to probes. */
  readonly ready?: () => boolean
  readonly send?: AttemptRequest<number>["send"]
  readonly options?: Partial<MachinesOptions>
}

const scene = ({ provider = {}, ready = () => false, send = () => Effect.succeed(response), options }: Scene = {}) => {
  const log = { starts: [] as string[], probes: 0, sends: 0 }
  const machines = makeMachines({
    providers: [
      {
        type: "fake",
        capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
        resolve: async () => ({ origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 60_000 }),
        ...provider,
        start: async (machine, given) => {
          log.starts.push(machine.externalId)
          return provider.start?.(machine, given)
        },
      },
    ],
    readinessProbe: () => {
      log.probes++
      return ready() ? Promise.resolve({ status: 401, header }) : Promise.reject(new Error("refused"))
    },
    ...options,
  })
  const reach = (more: Partial<AttemptRequest<number>> = {}, externalId = "m1") => {
    const began = Date.now()
    const request: AttemptRequest<number> = {
      send: (endpoint) => {
        log.sends++
        return send(endpoint)
      },
      discard: () => {},
      replayable: () => true,
      holdMs: 1_200,
      ...more,
    }
    return Effect.runPromise(machines.reach(machineOf(externalId), 3000, request)).then(
      ({ response }) => ({ response, tookMs: Date.now() - began }),
      (error: { _tag: string }) => ({ error: error._tag, tookMs: Date.now() - began }),
    )
  }
  return { log, machines, reach }
}

describe("a request that may be held for 1.2 s", () => {
  const stopped = () => Promise.reject(new MachineNotRunning({ provider: "fake", machine: "m1", state: "stopped" }))
  const refused = () => Effect.fail(new SendFailure("refused", "no"))
  const hung = () => Effect.never

  it.each<[string, Scene]>([
    ["resolve hangs", { provider: { resolve: never } }],
    ["start hangs", { provider: { resolve: stopped, start: never } }],
    ["start is slow", { provider: { resolve: stopped, start: () => new Promise((r) => void setTimeout(r, 9_000)) } }],
    ["the connection hangs, as of an address that nobody has", { send: hung }],
    ["status hangs", { send: refused, provider: { status: never } }],
    ["everything hangs", { send: hung, provider: { status: never, start: never } }],
  ])("is told then that the machine is starting, and starts it, when %s", async (_, scenery) => {
    const { reach, log } = scene(scenery)
    const result = reach()
    await vi.advanceTimersByTimeAsync(1_300)
    const found = await Promise.race([result, Promise.resolve({ error: "still waiting", tookMs: Infinity })])
    expect(found).toMatchObject({ error: "MachineStarting" })
    expect(found.tookMs).toBeLessThanOrEqual(1_250)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(log.starts).toEqual(["m1"])
  })

  it("starts nothing if it must not", async () => {
    const { reach, log } = scene({ send: () => Effect.never })
    const result = reach({ wake: "avoid" })
    await vi.advanceTimersByTimeAsync(20_000)
    expect(await result).toMatchObject({ error: "MachineStarting", tookMs: 1_200 })
    expect(log.starts).toEqual([])
  })

  it("does not start a machine whose provider says that it runs", async () => {
    const { reach, log } = scene({ send: () => Effect.never, provider: { status: async () => ({ state: "running" }) } })
    void reach()
    await vi.advanceTimersByTimeAsync(20_000)
    expect(log.starts).toEqual([])
  })

  it("waits for a slow app as long as it takes, because the machine's proxy shows itself", async () => {
    const slow = () => Effect.promise(() => new Promise<typeof response>((done) => setTimeout(done, 60_000, response)))
    const { reach, log } = scene({ ready: () => true, send: slow })
    const result = reach()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(await result).toEqual({ response: 200, tookMs: 60_000 })
    expect(log).toMatchObject({ starts: [], probes: 1, sends: 1 })
  })

  it("costs no probe while the machine responds, nor a start", async () => {
    const { reach, log } = scene()
    for (let at = 0; at < 10; at++) expect(await reach()).toEqual({ response: 200, tookMs: 0 })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(log).toEqual({ starts: [], probes: 0, sends: 10 })
    expect(vi.getTimerCount()).toBe(0)
  })

  it("of an app without a machine proxy is held only while its provider says that it is down", async () => {
    const resolve = async () =>
      ({ origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 60_000, machineProxy: false }) as const
    const states = { running: 60_000, unknown: 60_000, stopped: 1_200 } as const
    for (const [state, ms] of Object.entries(states)) {
      const slow = () =>
        Effect.promise(() => new Promise<typeof response>((done) => setTimeout(done, 60_000, response)))
      const status = async () => ({ state: state as keyof typeof states })
      const result = scene({ send: slow, provider: { resolve, status } }).reach()
      await vi.advanceTimersByTimeAsync(60_000)
      expect(await result, state).toMatchObject({ tookMs: ms })
    }
  })
})

describe("a machine that never comes up", () => {
  const stopped = () => Promise.reject(new MachineNotRunning({ provider: "fake", machine: "m1", state: "failed" }))

  it("is started three times in a row, and then a minute later once", async () => {
    const { reach, log } = scene({ provider: { resolve: stopped } })
    const seen: unknown[] = []
    // A page that reloads every two seconds.
    for (let at = 0; at < 75; at++) {
      const result = reach()
      await vi.advanceTimersByTimeAsync(2_000)
      seen.push(((await result) as { error?: string }).error)
    }
    expect(log.starts.length).toBe(3)
    expect(new Set(seen.slice(0, 40))).toEqual(new Set(["MachineStarting"]))
    expect(new Set(seen.slice(-20))).toEqual(new Set(["MachineStartFailed"]))
    await vi.advanceTimersByTimeAsync(60_000)
    void reach()
    await vi.advanceTimersByTimeAsync(2_000)
    expect(log.starts.length).toBe(4)
  })

  it("says what it failed by, to those who read logs", async () => {
    const { machines } = scene({ provider: { resolve: stopped }, options: { wakeTimeoutMs: 1_000 } })
    const request = { send: () => Effect.succeed(response), discard: () => {}, replayable: () => true }
    let error: unknown
    for (let at = 0; at < 4; at++) {
      const result = Effect.runPromise(Effect.flip(machines.reach(machineOf(), 3000, request)))
      await vi.advanceTimersByTimeAsync(5_000)
      error = await result
    }
    expect(error).toMatchObject({ _tag: "MachineStartFailed" })
    expect((error as Error).message).toContain("fake machine m1 did not respond after 3 starts; the last time: ")
  })

  it("is forgotten with its first response", async () => {
    let runs = false
    const resolve = () => (runs ? Promise.resolve({ origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 0 }) : stopped())
    const { reach, log } = scene({ ready: () => runs, provider: { resolve }, options: { wakeTimeoutMs: 1_000 } })
    const twice = async () => {
      for (let at = 0; at < 2; at++) {
        void reach()
        await vi.advanceTimersByTimeAsync(5_000)
      }
    }
    await twice()
    runs = true
    expect(await reach()).toMatchObject({ response: 200 })
    runs = false
    await vi.advanceTimersByTimeAsync(5_000)
    await twice()
    expect(log.starts.length).toBe(4)
  })
})

describe("the machines of one owner", () => {
  it("start so many at a time, and no other owner waits for them", async () => {
    const stopped = (machine: Machine) =>
      Promise.reject(new MachineNotRunning({ provider: "fake", machine: machine.externalId, state: "stopped" }))
    const { reach, log } = scene({ provider: { resolve: stopped, start: never }, options: { maxStartsPerOwner: 5 } })
    const flood = Array.from({ length: 100 }, (_, at) => reach({ owner: "org_1" }, `a${at}`))
    void reach({ owner: "org_2" }, "b")
    await vi.advanceTimersByTimeAsync(1_300)
    expect(log.starts).toEqual(["a0", "a1", "a2", "a3", "a4", "b"])
    const told = (await Promise.all(flood)) as { error: string }[]
    expect(new Set(told.map(({ error }) => error))).toEqual(new Set(["MachineStarting"]))
    // Their starts are given up by then, and the next ones have their turn.
    await vi.advanceTimersByTimeAsync(60_000)
    void reach({ owner: "org_1" }, "a99")
    await vi.advanceTimersByTimeAsync(1_300)
    expect(log.starts.at(-1)).toBe("a99")
  })
})
