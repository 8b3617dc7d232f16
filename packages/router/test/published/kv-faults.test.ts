import { defineGrammar } from "@project-ingress/hostname"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { kvCache, kvPublisher, kvStore } from "../../src/stores/cloudflare-kv.ts"
import type { KvPublisherOptions } from "../../src/stores/cloudflare-kv.ts"
import { memoryRegistry } from "../../src/stores/memory.ts"
import type { RouteKey } from "../../src/stores/record.ts"
import { FaultyKv } from "../../src/testing.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const look = { signal: new AbortController().signal }

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Lets time pass until something is settled. */
const settled = async <A>(work: Promise<A>): Promise<A> => {
  const ticking = setInterval(() => undefined, 100)
  const done = work.finally(() => clearInterval(ticking))
  done.catch(() => undefined)
  while (vi.getTimerCount() > 0 && (await isPending(done))) await vi.advanceTimersByTimeAsync(100)
  return done
}

const isPending = async (work: Promise<unknown>): Promise<boolean> => {
  const pending = Symbol("pending")
  return (await Promise.race([work.catch(() => undefined), Promise.resolve(pending)])) === pending
}

type Decide = (method: "get" | "put" | "delete" | "list", key: string) => "429" | "500" | "hang" | undefined
/** What comes of each call from now on. */
const set = (kv: FaultyKv, decide: Decide): void => {
  const faults = { "429": "limited", "500": "error", hang: "hang" } as const
  kv.faultOf = (method, key) => {
    const how = decide(method, key)
    return how === undefined ? undefined : faults[how]
  }
}

const setup = async ({ lagMs = 60_000 }: { readonly lagMs?: number } = {}) => {
  const kv = new FaultyKv()
  kv.delayMs = lagMs
  const registry = memoryRegistry({ grammar })
  await registry.create({ name: "misha" })
  const binding = kv.place()
  const publisher = (more: KvPublisherOptions = {}) => kvPublisher(binding, registry, more)
  const first = publisher()
  await settled(first.sync())
  const versionIn = (text: string): number => JSON.parse(text).version
  /** The version that KV will have everywhere in the end. */
  const lastOf = (key: RouteKey) => versionIn(kv.log.findLast((put) => put.key === key)!.value!)
  const versionOf = (key: RouteKey) => (registry.get(key) as { record?: { version: number } }).record?.version
  const markers = () => kv.log.filter(({ key }) => key === "~published").map(({ value }) => JSON.parse(value!).cursor)
  return { kv, registry, publisher, first, lastOf, versionOf, markers }
}

describe("what KV allows", () => {
  it("gets one write of a key a second, and the last version of many", async () => {
    const { kv, registry, first, lastOf, versionOf } = await setup()
    for (let at = 0; at < 40; at++) {
      await registry.transfer("misha", `org_${at}`)
      if (at % 3 === 0) await registry.transfer("misha", `other_${at}`)
      await settled(first.sync())
    }
    const times = kv.log.filter(({ key }) => key === "p:misha").map(({ at }) => at)
    expect(times.length).toBeGreaterThan(30)
    expect(kv.refused).toBe(0)
    for (const [at, time] of times.slice(1).entries()) expect(time - times[at]!).toBeGreaterThanOrEqual(1_000)
    expect(lastOf("p:misha")).toBe(versionOf("p:misha"))
  })

  it("has six writes in flight at most", async () => {
    const { kv, registry, first } = await setup()
    for (let at = 0; at < 40; at++) await registry.create({ name: `s-${at}` })
    await settled(first.sync())
    expect(kv.mostConcurrent).toBe(6)
  })

  it("keeps a tombstone for a day, which is a miss", async () => {
    const { kv, registry, first } = await setup({ lagMs: 0 })
    await registry.putMachine({ id: "mach_1", type: "fake", externalId: "x", metadata: {} })
    await settled(first.sync())
    await registry.removeMachine("mach_1")
    await settled(first.sync())
    expect(kv.log.findLast(({ key }) => key === "m:mach_1")).toMatchObject({ expirationTtl: 86_400 })
    // Of the tombstone alone: this data centre has no marker yet.
    expect(await kvStore(kv.place()).get("m:mach_1")).toEqual({ status: "miss", layer: "kv" })
  })
})

describe("a write that fails", () => {
  it.each(["429", "500", "hang"] as const)("with %s is tried again until it is written", async (how) => {
    const { kv, registry, first, lastOf, versionOf } = await setup()
    await registry.create({ name: "anna" })
    await registry.create({ name: "bert" })
    let left = 3
    set(kv, (method, key) => (method === "put" && key === "p:anna" && left-- > 0 ? how : undefined))
    await settled(first.sync())
    expect(left).toBeLessThan(1)
    for (const key of ["p:anna", "p:bert"] as const) expect(lastOf(key)).toBe(versionOf(key))
  })

  it("holds only its own key and the cursor back: the next round writes it", async () => {
    const { kv, registry, first, lastOf, versionOf, markers, publisher } = await setup({ lagMs: 0 })
    const before = markers()
    await registry.create({ name: "anna" })
    await registry.create({ name: "bert" })
    set(kv, (_, key) => (key === "p:anna" ? "500" : undefined))
    const failed = await settled(first.sync().catch((cause: unknown) => cause))
    expect(failed).toMatchObject({ _tag: "PublishFailed", layer: "kv", message: "kv: 1 of 2 entries were not written" })
    expect(lastOf("p:bert")).toBe(versionOf("p:bert"))
    expect(new Set(markers())).toEqual(new Set(before))
    set(kv, () => undefined)
    // Another one, for the first has died.
    await settled(publisher().sync())
    expect(lastOf("p:anna")).toBe(versionOf("p:anna"))
    expect(new Set(markers()).size).toBe(2)
  })

  it("makes that key unknown and no other, however long it fails", async () => {
    const { kv, registry, publisher } = await setup({ lagMs: 0 })
    await registry.create({ name: "anna" })
    set(kv, (method, key) => (method === "put" && key === "p:anna" ? "429" : undefined))
    for (let minute = 0; minute < 30; minute++) {
      await settled(
        publisher()
          .sync()
          .catch(() => undefined),
      )
      await vi.advanceTimersByTimeAsync(60_000)
    }
    const store = kvStore(kv.place())
    expect(await store.get("p:anna")).toMatchObject({ status: "unknown" })
    expect(await store.get("p:nobody")).toMatchObject({ status: "miss" })
    expect(await store.getFirst(["p:anna", "p:misha"])).toMatchObject({ status: "unknown" })
    expect(await store.get("p:misha")).toMatchObject({ status: "hit" })
    set(kv, () => undefined)
    await settled(publisher().sync())
    expect(await kvStore(kv.place()).get("p:anna")).toMatchObject({ status: "hit" })
  })

  it("is the same when all routes are compared: the next round compares again", async () => {
    const { kv, registry, publisher } = await setup({ lagMs: 0 })
    await registry.create({ name: "anna" })
    await registry.create({ name: "bert" })
    set(kv, (method, key) => (method === "put" && key === "p:anna" ? "500" : undefined))
    await expect(settled(publisher().publishAll())).rejects.toMatchObject({ _tag: "PublishFailed" })
    const store = kvStore(kv.place())
    expect(await store.get("p:bert")).toMatchObject({ status: "hit" })
    expect(await store.get("p:anna")).toMatchObject({ status: "unknown" })
    expect(await store.get("p:nobody")).toMatchObject({ status: "miss" })
    set(kv, () => undefined)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(await settled(publisher().sync())).toMatchObject({ round: "all", written: 1 })
    expect(await kvStore(kv.place()).get("p:anna")).toMatchObject({ status: "hit" })
  })

  it("ends the round soon when nothing can be written, and nothing is lost", async () => {
    const { kv, registry, first, lastOf, versionOf } = await setup()
    for (let at = 0; at < 200; at++) await registry.create({ name: `s-${at}` })
    let tried = 0
    set(kv, (method) => {
      if (method === "put") tried += 1
      return "hang"
    })
    const start = Date.now()
    await expect(settled(first.sync())).rejects.toThrow(/200 of 200 entries were not written/)
    expect(tried).toBeLessThan(30)
    expect(Date.now() - start).toBeLessThan(60_000)
    set(kv, () => undefined)
    await settled(first.sync())
    for (let at = 0; at < 200; at++) expect(lastOf(`p:s-${at}`)).toBe(versionOf(`p:s-${at}`))
  })

  it("is one event of a publisher that runs, and so is that it works again", async () => {
    const { kv, registry, publisher, lastOf, versionOf } = await setup()
    const events: string[] = []
    const stop = new AbortController()
    set(kv, (method) => (method === "put" ? "500" : undefined))
    await registry.create({ name: "anna" })
    await vi.advanceTimersByTimeAsync(120_000)
    const running = publisher({ onEvent: ({ state, reason }) => events.push(`${state} ${reason ?? ""}`.trim()) }).run({
      signal: stop.signal,
    })
    await vi.advanceTimersByTimeAsync(300_000)
    expect(events).toEqual(["failing kv: 1 of 1 entries were not written"])
    set(kv, () => undefined)
    await vi.advanceTimersByTimeAsync(120_000)
    expect(events.slice(1)).toEqual(["recovered"])
    expect(lastOf("p:anna")).toBe(versionOf("p:anna"))
    stop.abort()
    await settled(running)
  })
})

describe("what a data centre sees", () => {
  it("is a change after the delay of KV and its own cache, and never the earlier version again", async () => {
    const { kv, registry, first, versionOf } = await setup()
    const store = kvStore(kv.place())
    const seen = async () => {
      const lookup = await store.get("p:misha")
      return lookup.status === "hit" ? lookup.record.version : lookup.status
    }
    await vi.advanceTimersByTimeAsync(90_000)
    const before = versionOf("p:misha")
    expect(await seen()).toBe(before)
    await registry.transfer("misha", "org_1")
    await settled(first.sync())
    const versions: unknown[] = []
    for (let second = 0; second < 95; second++) {
      versions.push(await seen())
      await vi.advanceTimersByTimeAsync(1_000)
    }
    expect(new Set(versions)).toEqual(new Set([before, versionOf("p:misha")]))
    expect(versions.at(0)).toBe(before)
    expect(versions.at(-1)).toBe(versionOf("p:misha"))
    expect(versions).toEqual(versions.toSorted((a, b) => Number(a) - Number(b)))
  })

  it("is a key that was asked for before it was there, after the same time", async () => {
    const { kv, registry, first } = await setup()
    const store = kvStore(kv.place())
    await vi.advanceTimersByTimeAsync(90_000)
    expect(await store.get("p:anna")).toMatchObject({ status: "miss" })
    await registry.create({ name: "anna" })
    await settled(first.sync())
    await vi.advanceTimersByTimeAsync(95_000)
    expect(await store.get("p:anna")).toMatchObject({ status: "hit" })
  })

  it("is unknown and no miss while the marker is not there yet", async () => {
    const { kv } = await setup()
    expect(await kvStore(kv.place()).get("p:anna")).toMatchObject({ status: "unknown" })
  })

  it("may be an old cursor for a publisher that begins: it writes changes again, and ends at the same versions", async () => {
    const { kv, registry, first, lastOf, versionOf } = await setup()
    await vi.advanceTimersByTimeAsync(90_000)
    await registry.transfer("misha", "org_1")
    await settled(first.sync())
    await registry.transfer("misha", "org_2")
    await settled(first.sync())
    // What it reads of the marker is a minute old.
    expect(await settled(kvPublisher(kv.place(), registry).sync())).toMatchObject({ round: "changes", written: 1 })
    expect(lastOf("p:misha")).toBe(versionOf("p:misha"))
  })
})

describe("a KV that fails", () => {
  it.each(["429", "500"] as const)(
    "with %s makes look-ups unknown, and a cache without the entry for whoever asks",
    async (how) => {
      const { kv } = await setup()
      set(kv, () => how)
      const place = kv.place()
      expect(await kvStore(place).get("p:misha")).toMatchObject({ status: "unknown", layer: "kv" })
      expect(await kvStore(place).getFirst(["p:a", "p:misha"])).toMatchObject({ status: "unknown" })
      await expect(kvCache(place).read("p:misha", look)).rejects.toThrow(how)
    },
  )

  it("only for the marker makes absent keys unknown, and others are served", async () => {
    const { kv } = await setup({ lagMs: 0 })
    set(kv, (_, key) => (key === "~published" ? "500" : undefined))
    const store = kvStore(kv.place())
    expect(await store.get("p:misha")).toMatchObject({ status: "hit" })
    expect(await store.get("p:anna")).toMatchObject({ status: "unknown" })
  })
})

describe("options", () => {
  const binding = new FaultyKv().place()
  it.each([
    [() => kvStore(binding, { cacheTtlMs: 29_999 }), "kvStore: cacheTtlMs must be an integer from 30000 up, got 29999"],
    [() => kvStore({} as never), "kvStore: the binding must be a KV namespace"],
    [() => kvCache(binding, { prefx: "" } as never), "kvCache: prefx is not an option (did you mean prefix?)"],
    [
      () => kvPublisher(binding, memoryRegistry({ grammar }), { tombstoneMs: 1 }),
      "kvPublisher: tombstoneMs must be an integer from 60000 up, got 1",
    ],
  ])("are checked when they are given: %#", (make, message) => {
    expect(make).toThrow(message)
  })
})
