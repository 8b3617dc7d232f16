import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { endpointKey } from "../src/machines/destination.ts"
import { makeEndpointCache } from "../src/machines/endpoint-cache.ts"
import type { Endpoint } from "../src/contract/machine-provider.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], now: 1_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

const endpoint = (more: Partial<Endpoint> = {}): Endpoint => ({
  origin: "http://10.0.0.1:8080",
  epoch: "1",
  ttlMs: 60_000,
  ...more,
})
const entry = (key: string, share = "owner a") => ({ share, key })
const stay = new AbortController().signal

/** A provider whose answers come when the test says so. */
const provider = () => {
  const asked: { readonly signal: AbortSignal; readonly answer: (endpoint: Endpoint | Error) => void }[] = []
  const load = (signal: AbortSignal): Promise<Endpoint> =>
    new Promise((resolve, reject) => {
      asked.push({ signal, answer: (value) => (value instanceof Error ? reject(value) : resolve(value)) })
    })
  return { asked, load }
}

describe("what is known", () => {
  const learn = async (more: Partial<Endpoint>) => {
    const endpoints = makeEndpointCache()
    await endpoints.load(entry("m"), () => Promise.resolve(endpoint(more)), stay)
    return endpoints
  }

  it("is good for as long as it says", async () => {
    const endpoints = await learn({ ttlMs: 100 })
    vi.advanceTimersByTime(99)
    expect(endpoints.get(entry("m"))).toBeDefined()
    vi.advanceTimersByTime(1)
    expect(endpoints.get(entry("m"))).toBeUndefined()
  })

  it("is renewed half a minute before its credentials end", async () => {
    const endpoints = await learn({ ttlMs: 3_600_000, expiresAt: Date.now() + 60_000 })
    vi.advanceTimersByTime(29_999)
    expect(endpoints.get(entry("m"))).toBeDefined()
    vi.advanceTimersByTime(1)
    expect(endpoints.get(entry("m"))).toBeUndefined()
  })

  it.each([{ ttlMs: 0 }, { ttlMs: Number.NaN }, { expiresAt: 1_010_000 }])("is not kept: %j", async (more) => {
    expect((await learn(more)).get(entry("m"))).toBeUndefined()
  })

  it("is forgotten only if it is still the one that failed", async () => {
    const endpoints = await learn({})
    const failed = endpoints.get(entry("m"))!
    await endpoints.load(entry("m"), () => Promise.resolve(endpoint({ epoch: "2" })), stay)
    endpoints.delete(entry("m"), failed)
    expect(endpoints.get(entry("m"))).toMatchObject({ epoch: "2" })
    endpoints.delete(entry("m"), endpoints.get(entry("m"))!)
    expect(endpoints.get(entry("m"))).toBeUndefined()
  })

  it("is bounded, and forgets the oldest first", async () => {
    const endpoints = makeEndpointCache()
    for (let i = 0; i <= 10_000; i++) await endpoints.load(entry(`m${i}`), () => Promise.resolve(endpoint()), stay)
    expect(endpoints.get(entry("m0"))).toBeUndefined()
    expect(endpoints.get(entry("m1"))).toBeDefined()
    expect(endpoints.get(entry("m10000"))).toBeDefined()
  })

  it("is divided by owner: who fills it loses its own", async () => {
    const endpoints = makeEndpointCache()
    const load = () => Promise.resolve(endpoint())
    await endpoints.load(entry("theirs", "owner b"), load, stay)
    for (let i = 0; i < 10_050; i++) await endpoints.load(entry(`m${i}`), load, stay)
    expect(endpoints.get(entry("theirs", "owner b"))).toBeDefined()
    for (let i = 0; i < 1_000; i++) await endpoints.load(entry(`n${i}`, "owner b"), load, stay)
    expect(endpoints.get(entry("theirs", "owner b"))).toBeDefined()
    expect(endpoints.get(entry("m1050"))).toBeUndefined()
    expect(endpoints.get(entry("m1051"))).toBeDefined()
  })
})

describe("a question", () => {
  it("is asked once for all who wait", async () => {
    const { asked, load } = provider()
    const endpoints = makeEndpointCache()
    const answers = Array.from({ length: 100 }, () => endpoints.load(entry("m"), load, stay))
    expect(asked.length).toBe(1)
    asked[0]!.answer(endpoint())
    expect(new Set(await Promise.all(answers)).size).toBe(1)
  })

  it("fails for all who wait, and the next one asks anew", async () => {
    const { asked, load } = provider()
    const endpoints = makeEndpointCache()
    const answers = [endpoints.load(entry("m"), load, stay), endpoints.load(entry("m"), load, stay)]
    asked[0]!.answer(new Error("no"))
    expect((await Promise.allSettled(answers)).map(({ status }) => status)).toEqual(["rejected", "rejected"])
    const next = endpoints.load(entry("m"), load, stay)
    expect(asked.length).toBe(2)
    asked[1]!.answer(endpoint())
    await next
  })

  /** Somebody whose request ends at once, and all its timers with it, as on Workers. */
  const die = (ask: () => void): void => {
    const timers = vi.spyOn(globalThis, "setTimeout").mockReturnValue(0 as never)
    ask()
    timers.mockRestore()
  }

  it("whose asker died with its request is asked anew within half a second, by one of those who wait", async () => {
    const { asked, load } = provider()
    const endpoints = makeEndpointCache({ diesWithRequest: true })
    die(() => void endpoints.load(entry("m"), load, stay))
    const followers = Array.from({ length: 50 }, () => endpoints.load(entry("m"), load, stay))
    await vi.advanceTimersByTimeAsync(499)
    expect(asked.length).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(asked.length).toBe(2)
    asked[1]!.answer(endpoint({ epoch: "2" }))
    expect((await Promise.all(followers)).every(({ epoch }) => epoch === "2")).toBe(true)
    expect(endpoints.get(entry("m"))).toMatchObject({ epoch: "2" })
  })

  it("that takes long is asked once all the same", async () => {
    const { asked, load } = provider()
    const endpoints = makeEndpointCache()
    const all = Array.from({ length: 10 }, () => endpoints.load(entry("m"), load, stay))
    await vi.advanceTimersByTimeAsync(9_000)
    expect(asked.length).toBe(1)
    asked[0]!.answer(endpoint())
    await Promise.all(all)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("for an endpoint of one use is asked by each", async () => {
    const { asked, load } = provider()
    const endpoints = makeEndpointCache()
    const answers = [endpoints.load(entry("m"), load, stay), endpoints.load(entry("m"), load, stay)]
    asked[0]!.answer(endpoint({ ttlMs: 0, epoch: "first" }))
    await vi.advanceTimersByTimeAsync(0)
    expect(asked.length).toBe(2)
    asked[1]!.answer(endpoint({ ttlMs: 0, epoch: "second" }))
    expect((await Promise.all(answers)).map(({ epoch }) => epoch)).toEqual(["first", "second"])
  })

  it("stops when its only asker leaves, and goes on when somebody else waits", async () => {
    const { asked, load } = provider()
    const endpoints = makeEndpointCache()
    const first = new AbortController()
    const second = new AbortController()
    endpoints.load(entry("a"), load, first.signal).catch(() => {})
    endpoints.load(entry("b"), load, second.signal).catch(() => {})
    const follower = endpoints.load(entry("b"), load, stay)
    first.abort()
    second.abort()
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, false])
    asked[1]!.answer(endpoint())
    expect(await follower).toMatchObject({ epoch: "1" })
  })

  it("lets a follower leave alone", async () => {
    const { asked, load } = provider()
    const endpoints = makeEndpointCache()
    const leaving = new AbortController()
    const leader = endpoints.load(entry("m"), load, stay)
    const follower = endpoints.load(entry("m"), load, leaving.signal)
    leaving.abort(new Error("left"))
    await expect(follower).rejects.toThrow("left")
    asked[0]!.answer(endpoint())
    await leader
  })
})

describe("a key", () => {
  const machine = { id: "mach_1", type: "t", externalId: "a", metadata: { app: "x" } }
  it("differs with everything an adapter can see", () => {
    const keys = [
      endpointKey(machine, 1),
      endpointKey(machine, 2),
      endpointKey({ ...machine, id: "mach_2" }, 1),
      endpointKey({ ...machine, type: "u" }, 1),
      endpointKey({ ...machine, externalId: "b" }, 1),
      endpointKey({ ...machine, metadata: { app: "y" } }, 1),
      endpointKey({ ...machine, externalId: `a",1,"` }, 1),
    ]
    expect(new Set(keys).size).toBe(keys.length)
    expect(endpointKey({ ...machine, metadata: { app: "x" } }, 1)).toBe(keys[0])
  })
})
