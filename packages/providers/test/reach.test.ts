import * as Effect from "effect/Effect"
import { defaultHeaderNames } from "@project-ingress/forward"
import { SendFailure } from "@project-ingress/forward/fetch"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { layer, Machines } from "../src/effect.ts"
import {
  MachineNotRunning,
  MachineRecordInvalid,
  PortClosed,
  ProviderAuth,
  ProviderRateLimited,
} from "../src/contract/errors.ts"
import type { Endpoint, Machine, MachineProvider, MachineStatus } from "../src/contract/machine-provider.ts"
import { makeMachines } from "../src/machines/machines.ts"
import type { MachinesOptions } from "../src/machines/machines-options.ts"
import type { AttemptResponse } from "../src/machines/attempt-request.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], now: 1_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

const machine: Machine = { id: "mach_1", type: "fake", externalId: "m1", metadata: {} }
const old = { uptimeMs: 3_600_000 }
const young = { uptimeMs: 500 }

const endpoint = (more: Partial<Endpoint> = {}): Endpoint => ({
  origin: "http://10.0.0.1:8080",
  epoch: "1",
  ttlMs: 60_000,
  ...old,
  ...more,
})
const elsewhere = (more: Partial<Endpoint> = {}) => endpoint({ origin: "http://10.0.0.2:8080", epoch: "2", ...more })

type Reply = SendFailure | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
const stamped = (status: number, more: Readonly<Record<string, string>> = {}): Reply => ({
  status,
  headers: { [defaultHeaderNames.stamp]: "1", ...more },
})
const misdirected = stamped(421, { [defaultHeaderNames.error]: "MACHINE_MISMATCH" })
const refused = new SendFailure("refused", "no")
const reset = new SendFailure("reset", "maybe")

interface Scene {
  /** What `resolve` gives, in order; the last one for ever. */
  readonly resolves?: readonly (Endpoint | Error)[]
  /** What sending gives, in order; the last one for ever. */
  readonly replies: readonly Reply[]
  readonly status?: MachineStatus | Error
  readonly classify?: NonNullable<MachineProvider["classify"]>
  readonly replayable?: (sent: "no" | "maybe") => boolean
  readonly options?: Partial<MachinesOptions>
}

/** Runs one request through a scene, with as much time as it wants, and says all that happened. */
const play = async (scene: Scene) => {
  const { resolves = [endpoint()], replies, status, replayable = () => true } = scene
  const log = { resolved: 0, sent: [] as string[], discarded: 0, asked: 0 }
  const provider: MachineProvider = {
    type: "fake",
    capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
    resolve() {
      const next = resolves[Math.min(log.resolved++, resolves.length - 1)]!
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next)
    },
    ...(scene.classify === undefined ? {} : { classify: scene.classify }),
    ...(status === undefined
      ? {}
      : {
          status() {
            log.asked++
            return status instanceof Error ? Promise.reject(status) : Promise.resolve(status)
          },
        }),
  }
  const machines = makeMachines({ providers: [provider], ...scene.options })
  const reached = machines.reach<number>(machine, 3000, {
    send: ({ origin }) => {
      const reply = replies[Math.min(log.sent.length, replies.length - 1)]!
      log.sent.push(origin.slice(7, -5))
      if (reply instanceof SendFailure) return Effect.fail(reply)
      return Effect.succeed<AttemptResponse<number>>({
        status: reply.status,
        header: (name) => reply.headers?.[name],
        response: reply.status,
      })
    },
    discard: () => {
      log.discarded++
    },
    replayable,
  })
  const began = Date.now()
  const outcome = Effect.runPromise(reached).then(
    ({ response }): unknown => response,
    (error: unknown) => error,
  )
  await vi.runAllTimersAsync()
  return { outcome: await outcome, ...log, tookMs: Date.now() - began }
}

describe("an answer with the stamp", () => {
  it.each([200, 301, 404, 500, 502, 503, 421])("of %i is the app's and passes untouched", async (status) => {
    expect(await play({ replies: [stamped(status)] })).toMatchObject({ outcome: status, resolved: 1, discarded: 0 })
  })

  it("of a 421 by the machine's proxy forgets the endpoint and tries the new one", async () => {
    const seen = await play({ resolves: [endpoint(), elsewhere()], replies: [misdirected, stamped(200)] })
    expect(seen).toMatchObject({ outcome: 200, sent: ["10.0.0.1", "10.0.0.2"], discarded: 1 })
  })

  it("of a 421 again is a mismatch, after one more try", async () => {
    const seen = await play({ resolves: [endpoint(), elsewhere()], replies: [misdirected] })
    expect(seen).toMatchObject({ outcome: { _tag: "MachineMismatch" }, sent: ["10.0.0.1", "10.0.0.2"], discarded: 2 })
  })

  it("of a 421 is a mismatch at once when the endpoint is the same", async () => {
    expect(await play({ replies: [misdirected] })).toMatchObject({
      outcome: { _tag: "MachineMismatch" },
      sent: ["10.0.0.1"],
      resolved: 2,
    })
  })

  it("of a 421 is not tried again with half a body", async () => {
    const seen = await play({ resolves: [endpoint(), elsewhere()], replies: [misdirected], replayable: () => false })
    expect(seen).toMatchObject({ outcome: { _tag: "MachineMismatch" }, sent: ["10.0.0.1"] })
  })
})

describe("a response", () => {
  it("comes with its head", async () => {
    const provider: MachineProvider = {
      type: "fake",
      capabilities: { runtimes: ["node"], webSocket: false, wake: "none", ports: "any", interceptedHeaders: [] },
      resolve: () => Promise.resolve(endpoint()),
    }
    const header = (name: string) => ({ [defaultHeaderNames.stamp]: "1", "x-app": "2" })[name]
    const send = () => Effect.succeed({ status: 404, header, response: "body" })
    const reached = makeMachines({ providers: [provider] }).reach(machine, 3000, {
      send,
      discard: () => {},
      replayable: () => true,
    })
    const received = await Effect.runPromise(reached)
    expect(received).toMatchObject({ status: 404, response: "body" })
    expect([received.header("x-app"), received.header(defaultHeaderNames.stamp)]).toEqual(["2", "1"])
  })
})

describe("an endpoint without a machine proxy", () => {
  const own = endpoint({ machineProxy: false })
  it.each([200, 302, 404, 421, 429, 502, 503, 530])("gives every response of %i to the client", async (status) => {
    let classified = 0
    const classify = () => {
      classified++
      return "refresh-credentials" as const
    }
    for (const reply of [{ status }, stamped(status, { [defaultHeaderNames.error]: "MACHINE_MISMATCH" })]) {
      const seen = await play({ resolves: [own], replies: [reply], classify, status: { state: "gone" } })
      expect(seen).toMatchObject({ outcome: status, sent: ["10.0.0.1"], resolved: 1, asked: 0, discarded: 0 })
    }
    expect(classified).toBe(0)
  })

  it("speaks in nobody's name but its own", async () => {
    const provider: MachineProvider = {
      type: "fake",
      capabilities: { runtimes: ["node"], webSocket: false, wake: "none", ports: "any", interceptedHeaders: [] },
      resolve: () => Promise.resolve(own),
    }
    const header = (name: string) => `a claim in ${name}`
    const send = () => Effect.succeed({ status: 502, header, response: "body" })
    const reached = makeMachines({ providers: [provider] }).reach(machine, 3000, {
      send,
      discard: () => {},
      replayable: () => true,
    })
    const received = await Effect.runPromise(reached)
    const { stamp, error } = defaultHeaderNames
    expect([received.header(stamp), received.header(error)]).toEqual([undefined, undefined])
    expect(received.header("x-app")).toBe("a claim in x-app")
  })

  it("fails where no response comes", async () => {
    expect(await play({ resolves: [own], replies: [refused] })).toMatchObject({ outcome: { _tag: "PortClosed" } })
    expect(await play({ resolves: [own], replies: [reset] })).toMatchObject({ outcome: { _tag: "UpstreamFailed" } })
    const late = new SendFailure("timeout", "maybe")
    expect(await play({ resolves: [own], replies: [late] })).toMatchObject({ outcome: { _tag: "UpstreamTimeout" } })
  })
})

describe("an answer without the stamp", () => {
  it.each([200, 302, 307, 400, 404, 429, 500, 501, 505, 519, 531])(
    "of %i is never taken for the app's",
    async (status) => {
      expect(await play({ replies: [{ status }], status: { state: "running" } })).toMatchObject({
        outcome: { _tag: "ProviderUnavailable" },
        discarded: 1,
        asked: 0,
      })
    },
  )

  it.each<[MachineStatus | undefined, object]>([
    [
      { state: "running", uptimeMs: 60_000 },
      { _tag: "PortClosed", port: 3000 },
    ],
    [{ state: "running", uptimeMs: 900 }, { _tag: "MachineStarting" }],
    [{ state: "starting" }, { _tag: "MachineStarting" }],
    [{ state: "stopping" }, { _tag: "MachineNotRunning", state: "stopping" }],
    [
      { state: "stopped", detail: "exited" },
      { _tag: "MachineNotRunning", state: "exited" },
    ],
    [{ state: "suspended" }, { _tag: "MachineNotRunning", state: "suspended" }],
    [{ state: "failed" }, { _tag: "MachineNotRunning", state: "failed" }],
    [{ state: "gone" }, { _tag: "MachineNotFound" }],
    [{ state: "unknown" }, { _tag: "ProviderUnavailable", reason: "HTTP 502" }],
    [undefined, { _tag: "ProviderUnavailable", reason: "HTTP 502" }],
  ])("of 502 asks for the status: %j", async (status, failure) => {
    const seen = await play({ replies: [{ status: 502 }], ...(status === undefined ? {} : { status }) })
    expect(seen).toMatchObject({ outcome: failure, sent: ["10.0.0.1"], discarded: 1 })
  })

  it("of 502 from an address of the past is asked where the machine is now, if it is safe to say twice", async () => {
    const moved: Scene = {
      resolves: [endpoint(), elsewhere()],
      replies: [{ status: 502 }, stamped(200)],
      status: { state: "running" },
    }
    expect(await play(moved)).toMatchObject({ outcome: 200, sent: ["10.0.0.1", "10.0.0.2"], asked: 0 })
    const once = await play({ ...moved, replayable: (sent) => sent === "no" })
    expect(once).toMatchObject({ outcome: { _tag: "PortClosed" }, sent: ["10.0.0.1"], resolved: 1 })
  })

  it.each([502, 503, 504, 520, 530])("of %i asks for the status by default", async (status) => {
    expect(await play({ replies: [{ status }], status: { state: "gone" } })).toMatchObject({ asked: 1 })
  })

  const limited = new ProviderRateLimited({ provider: "fake", machine: "m1", retryAfterMs: 1_000 })
  it("is what its adapter says", async () => {
    expect(await play({ replies: [{ status: 429 }], classify: () => limited })).toMatchObject({ outcome: limited })
    expect(
      await play({
        replies: [{ status: 418 }],
        classify: () => {
          throw new Error("a bug")
        },
      }),
    ).toMatchObject({ outcome: { _tag: "ProviderUnavailable", cause: { message: "a bug" } } })
  })

  it("that asks for fresh credentials gets them, once", async () => {
    const fresh = endpoint({ headers: { token: "new" } })
    const resolves = [endpoint({ headers: { token: "old" } }), fresh]
    const classify = () => "refresh-credentials" as const
    expect(await play({ resolves, replies: [{ status: 307 }, stamped(200)], classify })).toMatchObject({ outcome: 200 })
    expect(await play({ resolves, replies: [{ status: 307 }], classify })).toMatchObject({
      outcome: { _tag: "ProviderAuth" },
      resolved: 2,
      sent: ["10.0.0.1", "10.0.0.1"],
    })
    expect(await play({ resolves: [fresh], replies: [{ status: 307 }], classify })).toMatchObject({
      outcome: { _tag: "ProviderAuth" },
      resolved: 2,
      sent: ["10.0.0.1"],
    })
  })
})

describe("no answer", () => {
  it("from where the machine was is tried again where it is", async () => {
    for (const failure of [refused, new SendFailure("other", "no"), new SendFailure("timeout", "no"), reset]) {
      const seen = await play({ resolves: [endpoint(), elsewhere()], replies: [failure, stamped(200)] })
      expect(seen).toMatchObject({ outcome: 200, sent: ["10.0.0.1", "10.0.0.2"], tookMs: 0 })
    }
  })

  it("is tried again when only the incarnation changed", async () => {
    const seen = await play({ resolves: [endpoint(), endpoint({ epoch: "2" })], replies: [refused, stamped(200)] })
    expect(seen).toMatchObject({ outcome: 200, sent: ["10.0.0.1", "10.0.0.1"] })
  })

  it("is explained by what asking again says", async () => {
    const stopped = new MachineNotRunning({ provider: "fake", machine: "m1", state: "exited" })
    expect(await play({ resolves: [endpoint(), stopped], replies: [refused] })).toMatchObject({
      outcome: stopped,
      sent: ["10.0.0.1"],
    })
  })

  it.each<[string, SendFailure, MachineStatus | undefined, object]>([
    ["refused", refused, undefined, { _tag: "PortClosed", port: 3000, cause: refused }],
    ["refused", refused, { state: "running" }, { _tag: "PortClosed" }],
    ["refused", refused, { state: "stopped", detail: "exited" }, { _tag: "MachineNotRunning", state: "exited" }],
    ["refused", refused, { state: "gone" }, { _tag: "MachineNotFound" }],
    ["refused", refused, { state: "starting" }, { _tag: "MachineStarting" }],
    ["no route", new SendFailure("other", "no", { code: "EHOSTUNREACH" }), undefined, { reason: "EHOSTUNREACH" }],
    ["no route", new SendFailure("other", "no"), { state: "gone" }, { _tag: "MachineNotFound" }],
    ["no connection in time", new SendFailure("timeout", "no"), undefined, { _tag: "ProviderUnavailable" }],
    ["reset", reset, { state: "running" }, { _tag: "PortClosed" }],
    ["reset", reset, undefined, { _tag: "UpstreamFailed", cause: reset }],
    ["no head in time", new SendFailure("timeout", "maybe"), undefined, { _tag: "UpstreamTimeout" }],
    ["no head in time", new SendFailure("timeout", "maybe"), { state: "running" }, { _tag: "UpstreamTimeout" }],
    ["no head in time", new SendFailure("timeout", "maybe"), { state: "suspended" }, { _tag: "MachineNotRunning" }],
    ["nonsense", new SendFailure("other", "maybe"), { state: "running" }, { _tag: "UpstreamFailed" }],
    ["a handshake", new SendFailure("unsupported", "no"), { state: "gone" }, { reason: "unsupported" }],
  ])("from an old machine: %s %#", async (_, failure, status, outcome) => {
    const seen = await play({ replies: [failure], ...(status === undefined ? {} : { status }) })
    expect(seen).toMatchObject({ outcome, sent: ["10.0.0.1"], tookMs: 0 })
  })

  it("to what cannot be sent twice is final", async () => {
    const once = (sent: "no" | "maybe") => sent === "no"
    const resolves = [endpoint(young), elsewhere(young)]
    expect(await play({ resolves, replies: [reset], status: { state: "running" }, replayable: once })).toMatchObject({
      outcome: { _tag: "UpstreamFailed" },
      sent: ["10.0.0.1"],
      tookMs: 0,
    })
    expect(await play({ resolves, replies: [refused, stamped(200)], replayable: once })).toMatchObject({ outcome: 200 })
    expect(await play({ resolves, replies: [refused], replayable: () => false })).toMatchObject({
      outcome: { _tag: "MachineStarting" },
      sent: ["10.0.0.1"],
    })
  })
})

describe("a young machine", () => {
  it("is given a moment", async () => {
    const seen = await play({ resolves: [endpoint(young)], replies: [refused, reset, refused, stamped(200)] })
    expect(seen).toMatchObject({ outcome: 200, resolved: 2 })
    expect(seen.tookMs).toBeGreaterThan(50)
    expect(seen.tookMs).toBeLessThan(500)
  })

  it("that stays silent is starting, after about a second", async () => {
    const seen = await play({ resolves: [endpoint(young)], replies: [refused], status: { state: "running" } })
    expect(seen).toMatchObject({ outcome: { _tag: "MachineStarting" } })
    expect(seen.sent.length).toBe(8)
    expect(seen.tookMs).toBeGreaterThan(800)
    expect(seen.tookMs).toBeLessThan(1_500)
  })

  it("that stopped meanwhile is not running", async () => {
    const seen = await play({ resolves: [endpoint(young)], replies: [refused], status: { state: "stopped" } })
    expect(seen).toMatchObject({ outcome: { _tag: "MachineNotRunning" } })
  })

  it("is old after the grace that was asked for", async () => {
    const seen = await play({ resolves: [endpoint(young)], replies: [refused], options: { startupGraceMs: 500 } })
    expect(seen).toMatchObject({ outcome: { _tag: "PortClosed" }, tookMs: 0 })
  })

  it("that answers 421 in its grace is a mismatch", async () => {
    const seen = await play({ resolves: [endpoint(young)], replies: [refused, misdirected] })
    expect(seen).toMatchObject({ outcome: { _tag: "MachineMismatch" }, discarded: 1 })
  })
})

describe("an adapter", () => {
  it("fails with its own typed errors", async () => {
    const auth = new ProviderAuth({ provider: "fake", machine: "m1" })
    expect(await play({ resolves: [auth], replies: [] })).toMatchObject({ outcome: auth, sent: [] })
    expect(await play({ replies: [refused], status: auth })).toMatchObject({ outcome: auth })
  })

  it("fails as unavailable with anything else, and keeps the cause", async () => {
    const bug = Object.assign(new TypeError("x is not a function"), { code: "E_BUG" })
    expect(await play({ resolves: [bug], replies: [] })).toMatchObject({
      outcome: { _tag: "ProviderUnavailable", reason: "E_BUG", cause: bug },
    })
  })

  it.each([
    "http://user:secret@10.0.0.1",
    "http://10.0.0.1/path",
    "http://10.0.0.1/",
    "http://10.0.0.1?q",
    "http://10.0.0.1#f",
    "http:\\\\10.0.0.1",
    "http://10.0.0.1\\@evil.test",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "//10.0.0.1",
    "http://",
    "http://10.0.0.1:99999",
    "http:// 10.0.0.1",
  ])("cannot send a request to %j", async (origin) => {
    const seen = await play({ resolves: [endpoint({ origin })], replies: [stamped(200)] })
    expect(seen).toMatchObject({ outcome: { _tag: "MachineRecordInvalid", field: "endpoint.origin" }, sent: [] })
    expect(String(seen.outcome)).not.toContain("secret")
  })

  it("is given up after its time, and told so", async () => {
    let told = false
    const deaf: MachineProvider = {
      type: "fake",
      capabilities: { runtimes: ["node"], webSocket: false, wake: "none", ports: "any", interceptedHeaders: [] },
      resolve: (_, { signal }) => {
        signal.addEventListener("abort", () => (told = true))
        return new Promise(() => {})
      },
    }
    const machines = makeMachines({ providers: [deaf], resolveTimeoutMs: 2_000 })
    const sendable = { send: () => Effect.never, discard: () => {}, replayable: () => true }
    const outcome = Effect.runPromise(Effect.flip(machines.reach(machine, 3000, sendable)))
    await vi.advanceTimersByTimeAsync(1_999)
    expect(told).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(told).toBe(true)
    expect(await outcome).toMatchObject({ _tag: "ProviderUnavailable", reason: "timeout" })
  })

  it("is asked for its status for no longer than that, too", async () => {
    let aborted = false
    const silent: MachineProvider = {
      type: "fake",
      capabilities: { runtimes: ["node"], webSocket: false, wake: "none", ports: "any", interceptedHeaders: [] },
      resolve: () => Promise.resolve(endpoint()),
      status: (_, { signal }) => {
        signal.addEventListener("abort", () => (aborted = true))
        return new Promise(() => {})
      },
    }
    const machines = makeMachines({ providers: [silent], resolveTimeoutMs: 2_000 })
    const request = { send: () => Effect.fail(refused), discard: () => {}, replayable: () => true }
    const outcome = Effect.runPromise(Effect.flip(machines.reach(machine, 3000, request)))
    await vi.advanceTimersByTimeAsync(1_999)
    expect(aborted).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(aborted).toBe(true)
    expect(await outcome).toMatchObject({ _tag: "ProviderUnavailable", reason: "timeout" })
  })

  it("must be known by its type", async () => {
    const sendable = { send: () => Effect.never, discard: () => {}, replayable: () => true }
    const reached = Effect.flip(makeMachines({ providers: [] }).reach(machine, 3000, sendable))
    expect(await Effect.runPromise(reached)).toBeInstanceOf(MachineRecordInvalid)
    expect(await Effect.runPromise(reached)).toMatchObject({ field: "type" })
  })
})

describe("the service", () => {
  it("runs the same program", async () => {
    const closed = new PortClosed({ provider: "fake", machine: "m1", port: 8080 })
    const provider: MachineProvider = {
      type: "fake",
      capabilities: { runtimes: ["node"], webSocket: false, wake: "none", ports: "any", interceptedHeaders: [] },
      resolve: () => Promise.reject(closed),
    }
    const program = Machines.use((machines) =>
      machines.reach(machine, 3000, { send: () => Effect.never, discard: () => {}, replayable: () => true }),
    ).pipe(
      Effect.catchTag("PortClosed", (error) => Effect.succeed(error)),
      Effect.provide(layer({ providers: [provider] })),
    )
    expect(await Effect.runPromise(program)).toBe(closed)
  })
})
