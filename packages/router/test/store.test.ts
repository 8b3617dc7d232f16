import { runInNewContext } from "node:vm"
import { candidates } from "@project-ingress/hostname"
import * as Effect from "effect/Effect"
import { describe, expect, it, vi } from "vitest"
import type { Lookup, LookupOptions, RouteKey, RouteStore } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { fromStore } from "../src/stores/routes.ts"
import { hostnames, machine, setup } from "./fakes.ts"

describe("routes in memory", () => {
  it("counts versions and epochs up, over detaching too", () => {
    const routes = memoryStore({ "p:a": { machine: machine("mach_1") } })
    const first = routes.get("p:a")
    expect(routes.detach("p:a")).toBe(true)
    expect(routes.detach("p:a")).toBe(false)
    expect(routes.get("p:a")).toEqual({ status: "miss" })
    const again = routes.attach("p:a", { machine: machine("mach_1") })
    expect(first.status === "hit" && first.record.epoch < again.epoch && first.record.version < again.version).toBe(
      true,
    )
  })

  it("knows nothing by names that every object has", () => {
    const routes = memoryStore()
    for (const key of ["p:constructor", "p:__proto__", "p:toString"] as const) {
      expect(routes.get(key)).toEqual({ status: "miss" })
    }
  })
})

describe("the routes that a memory store begins with", () => {
  it.each<[string, unknown]>([
    ["initial must be an object, got an array", ["p:misha"]],
    ["initial must be an object, got null", null],
    ["misha must be a key: p:<slug>, m:<machine>, d:<domain>", { misha: { kind: "detached" } }],
    ["p: must be a key: p:<slug>, m:<machine>, d:<domain>", { "p:": { kind: "detached" } }],
    ["p:misha must be an object, got a string", { "p:misha": "mach_1" }],
    ["p:misha: kind must be machine, detached, redirect, removed", { "p:misha": { kind: "gone" } }],
    ["p:misha: machine must be an object", { "p:misha": {} }],
    ["p:misha: port must be an integer from 1 to 65535", { "p:misha": { machine: machine("mach_1"), port: 0 } }],
    [
      "p:misha: ports.80.protocol must be http, https, h2c, tcp, udp",
      { "p:misha": { machine: machine("mach_1"), ports: { 80: { protocol: "ftp" } } } },
    ],
  ])("are checked: %s", (message, initial) => {
    expect(() => memoryStore(initial as Record<RouteKey, never>)).toThrow(new TypeError(`memoryStore: ${message}`))
  })

  it.each<[unknown, string]>([
    ["misha", "misha"],
    ["p:Misha", "p:Misha"],
    ["p:a_b", "p:a_b"],
    ["p:misha.iterate.app", "p:misha.iterate.app"],
    ["p:4096__misha", "p:4096__misha"],
    ["m:MACH_1", "m:MACH_1"],
    ["d:www.example.com.", "d:www.example.com."],
    ["d:WWW.example.com", "d:WWW.example.com"],
    ["d:a.*.com", "d:a.*.com"],
    ["d:https://example.com", "d:https://example.com"],
    [undefined, "undefined"],
    [5, "5"],
  ])("are also checked when they are attached: not under %j, which no hostname leads to", (key, shown) => {
    const store = memoryStore()
    const message = `memoryStore: ${shown} must be a key: p:<slug>, m:<machine>, d:<domain>`
    expect(() => store.attach(key as RouteKey, { kind: "detached" })).toThrow(new TypeError(message))
    expect(() => store.detach(key as RouteKey)).toThrow(new TypeError(message))
    expect(store.stats().layers[0]?.routes).toBe(0)
  })

  it("are attached under every key that a hostname leads to", () => {
    const hosts = ["misha", "4096__my-app", "mach_a-1_b", "x--mach_7.machines"].map((name) => `${name}.iterate.app`)
    const own = ["www.example.com", "4096.www.example.com", "xn--bcher-kva.example", "4096__mach_1.example.com"]
    const keys = [...hosts, ...own].flatMap((host) => {
      const found = candidates(hostnames, host, { localPort: 8080 })
      return "_tag" in found ? [] : found.map(({ key }) => key)
    })
    expect(keys).toContain("d:8080:www.example.com")
    const store = memoryStore()
    for (const key of keys) expect(store.attach(key, { kind: "detached" })).toMatchObject({ kind: "detached" })
  })

  it("are objects", () => {
    const attach = memoryStore().attach as (key: string, route: unknown) => unknown
    expect(() => attach("p:misha", undefined)).toThrow(
      new TypeError("memoryStore: p:misha must be an object, got undefined"),
    )
  })

  it("may be of every kind", () => {
    const store = memoryStore({
      "p:a": { machine: machine("mach_1") },
      "p:b": { kind: "detached" },
      "p:c": { kind: "redirect", to: { project: "a" }, status: 308 },
      "d:www.example.com": { kind: "removed" },
    })
    expect(store.get("p:a")).toMatchObject({ record: { kind: "machine", version: 1, epoch: 1 } })
    expect(store.get("d:www.example.com")).toMatchObject({ record: { kind: "removed", version: 4, epoch: 4 } })
    expect(store.stats()).toEqual({ layers: [{ layer: "memory", routes: 4, ageMs: 0 }] })
  })
})

describe("a look-up", () => {
  const found = (id: string, extra: object = {}) =>
    ({ status: "hit", record: { kind: "machine", machine: machine(id), version: 1, epoch: 1, ...extra } }) as Lookup
  type Keys = readonly [RouteKey, ...RouteKey[]]
  const look = (store: RouteStore, keys: Keys, options: { refresh?: boolean } = {}) =>
    Effect.runPromise(
      fromStore(store)
        .lookup(keys, options)
        .pipe(
          Effect.match({
            onSuccess: ({ key, record, ...source }) => [key, record.kind === "machine" && record.machine.id, source],
            onFailure: (error) => [error.key, error._tag],
          }),
        ),
    )
  const keys: Keys = ["d:a.b.c", "d:b.c", "d:*.b.c"]
  /** A store of these look-ups, which lists the keys that it was asked for. */
  const scripted = (lookups: Partial<Record<RouteKey, Lookup>>, isLate = false) => {
    const asked: RouteKey[] = []
    const get = (key: RouteKey) => {
      asked.push(key)
      const lookup = lookups[key] ?? { status: "miss" as const }
      return isLate ? Promise.resolve(lookup) : lookup
    }
    return { asked, get }
  }

  it.each([false, true])("takes the first key that is no miss (late: %s)", async (isLate) => {
    const store = scripted({ "d:b.c": found("mach_1"), "d:*.b.c": found("mach_2") }, isLate)
    expect(await look(store, keys)).toEqual(["d:b.c", "mach_1", {}])
    expect(store.asked).toEqual(["d:a.b.c", "d:b.c"])
    expect(await look(scripted({}, isLate), keys)).toEqual(["d:a.b.c", "RouteNotFound"])
  })

  it.each([false, true])(
    "ends at an unknown: an exact name never falls through to a wildcard (late: %s)",
    async (isLate) => {
      const store = scripted({ "d:a.b.c": { status: "unknown" }, "d:*.b.c": found("mach_2") }, isLate)
      expect(await look(store, keys)).toEqual(["d:a.b.c", "RouteUnknown"])
      expect(store.asked).toEqual(["d:a.b.c"])
    },
  )

  it.each([false, true])("ends at a record that is not valid (late: %s)", async (isLate) => {
    const store = scripted({ "d:b.c": found("mach_1", { port: 0 }), "d:*.b.c": found("mach_2") }, isLate)
    expect(await look(store, keys)).toEqual(["d:b.c", "RouteInvalid"])
  })

  it.each([false, true])("takes a record that is over for a miss (late: %s)", async (isLate) => {
    vi.useFakeTimers({ toFake: ["Date"], now: 2_000_000_000_000 })
    try {
      const over = found("mach_1", { expiresAt: 2_000_000_000_000 })
      expect(await look(scripted({ "p:a": over }, isLate), ["p:a"])).toEqual(["p:a", "RouteNotFound"])
      const wildcard = scripted({ "d:b.c": over, "d:*.b.c": found("mach_2") }, isLate)
      expect(await look(wildcard, keys)).toEqual(["d:*.b.c", "mach_2", {}])
      vi.setSystemTime(1_999_999_999_999)
      expect(await look(scripted({ "p:a": over }, isLate), ["p:a"])).toEqual(["p:a", "mach_1", {}])
    } finally {
      vi.useRealTimers()
    }
  })

  it("asks for several keys at once where the store can, and for one as ever", async () => {
    const asked: (readonly RouteKey[])[] = []
    const store: RouteStore = {
      get: (key) => (asked.push([key]), { status: "miss" }),
      getFirst: async (several) => (asked.push(several), { ...found("mach_1"), key: "d:b.c" }),
    }
    expect(await look(store, keys)).toEqual(["d:b.c", "mach_1", {}])
    expect(await look(store, ["p:a"])).toEqual(["p:a", "RouteNotFound"])
    expect(asked).toEqual([keys, ["p:a"]])
  })

  it.each<[string, object, unknown]>([
    ["a miss", { status: "miss" }, ["d:a.b.c", "RouteNotFound"]],
    ["an unknown", { status: "unknown", key: "d:b.c" }, ["d:b.c", "RouteUnknown"]],
    ["an unknown of no key", { status: "unknown" }, ["d:a.b.c", "RouteUnknown"]],
    ["a hit of no key", found("mach_1"), ["d:a.b.c", "RouteUnknown"]],
    ["a hit of another key", { ...found("mach_1"), key: "p:victim" }, ["d:a.b.c", "RouteUnknown"]],
  ])("believes of several keys only what fits: %s", async (_, lookup, expected) => {
    const store: RouteStore = { get: () => expect.fail("asked one by one"), getFirst: () => lookup as Lookup }
    expect(await look(store, keys)).toEqual(expected)
  })

  it("goes on behind the key whose record is over", async () => {
    const asked: (readonly RouteKey[])[] = []
    const store: RouteStore = {
      get: (key) => (asked.push([key]), found("mach_2")),
      getFirst: (several) => (asked.push(several), { ...found("mach_1", { expiresAt: 1e12 }), key: "d:b.c" }),
    }
    expect(await look(store, keys)).toEqual(["d:*.b.c", "mach_2", {}])
    expect(asked).toEqual([keys, ["d:*.b.c"]])
  })

  it("says which layer knew it, and since when", async () => {
    const source = { layer: "kv", ageMs: 1_200, stale: true }
    expect(await look({ get: () => ({ ...found("mach_1"), ...source }) }, ["p:a"])).toEqual(["p:a", "mach_1", source])
  })

  it("hands the options on", async () => {
    const seen: LookupOptions[] = []
    const store: RouteStore = { get: (_, options) => (seen.push(options), { status: "miss" }) }
    const waitUntil = () => undefined
    await Effect.runPromiseExit(fromStore(store).lookup(["p:a"], { refresh: true, waitUntil }))
    await look(store, ["p:a"])
    expect(seen[0]).toMatchObject({ refresh: true, waitUntil, signal: expect.any(AbortSignal) })
    expect(seen[1]).toEqual({ refresh: false, signal: expect.any(AbortSignal) })
  })

  it("waits for promises of any realm and for other thenables", async () => {
    const foreign = runInNewContext("(value) => Promise.resolve(value)") as (value: unknown) => Promise<Lookup>
    expect(foreign({ status: "miss" })).not.toBeInstanceOf(Promise)
    expect(await look({ get: () => foreign(found("mach_1")) }, ["p:a"])).toEqual(["p:a", "mach_1", {}])
    // oxlint-disable-next-line unicorn/no-thenable -- what some database drivers give
    const thenable = { then: (resolve: (value: Lookup) => void) => resolve(found("mach_2")) }
    expect(await look({ get: () => thenable as PromiseLike<Lookup> }, ["p:a"])).toEqual(["p:a", "mach_2", {}])
    // oxlint-disable-next-line unicorn/no-thenable
    const broken = Object.defineProperty({}, "then", { get: () => expect.fail("getter") }) as Lookup
    expect(await look({ get: () => broken }, ["p:a"])).toEqual(["p:a", "RouteUnknown"])
    const hostile = Object.defineProperty({}, "status", { get: () => expect.fail("getter") }) as Lookup
    expect(await look({ get: async () => hostile }, ["p:a"])).toEqual(["p:a", "RouteUnknown"])
    const rejecting = runInNewContext("Promise.reject(new Error('down'))") as Promise<Lookup>
    expect(await look({ get: () => rejecting }, ["p:a"])).toEqual(["p:a", "RouteUnknown"])
  })

  it("decodes a record once for each object, and gives a frozen copy", async () => {
    let reads = 0
    const { record } = found("mach_1") as { record: object }
    const counting = new Proxy(record, { ownKeys: (target) => ((reads += 1), Reflect.ownKeys(target)) })
    const routes = fromStore({ get: () => ({ status: "hit", record: counting as never }) })
    const first = await Effect.runPromise(routes.lookup(["p:a"]))
    const second = await Effect.runPromise(routes.lookup(["p:a"]))
    expect(reads).toBe(1)
    expect(second.record).toBe(first.record)
    expect(first.record).not.toBe(counting)
    expect(Object.isFrozen(first.record)).toBe(true)
  })

  it("takes 5 s at most, for all keys together, and then tells the store to stop", async () => {
    vi.useFakeTimers()
    try {
      let signal: AbortSignal | undefined
      const store: RouteStore = {
        get: async (_, options) => {
          signal = options.signal
          await new Promise((resolve) => setTimeout(resolve, 2_400))
          return { status: "miss" }
        },
      }
      let asked = 0
      const counting: RouteStore = { get: (...given) => ((asked += 1), store.get(...given)) }
      const pending = look(counting, [...keys, "d:*.c"])
      await vi.advanceTimersByTimeAsync(4_999)
      expect(signal?.aborted).toBe(false)
      await vi.advanceTimersByTimeAsync(2)
      expect(await pending).toEqual(["d:a.b.c", "RouteUnknown"])
      expect(signal?.aborted).toBe(true)
      await vi.advanceTimersByTimeAsync(10_000)
      expect(asked).toBe(3)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe("a record that cannot be used", () => {
  it("fails only its own hostname: a 500, or a 501 for a setting that no policy carries out", async () => {
    const { router, routes, sent } = setup()
    routes.attach("p:broken", { machine: machine("mach_2"), port: 0 })
    routes.attach("p:early", { machine: machine("mach_2"), allowCidrs: ["192.0.2.0/24"] })
    const statusOf = async (host: string) => (await router.fetch(new Request(`http://${host}/`)))?.status
    expect(await statusOf("broken.iterate.app")).toBe(500)
    expect(await statusOf("early.iterate.app")).toBe(501)
    expect(await statusOf("misha.iterate.app")).toBe(200)
    expect(sent).toHaveLength(1)
  })
})

describe("a store that cannot tell", () => {
  const broken: readonly [string, RouteStore["get"]][] = [
    [
      "throws",
      () => {
        throw new Error("down")
      },
    ],
    ["rejects", () => Promise.reject(new Error("down"))],
    ["says unknown", () => ({ status: "unknown" })],
    ["gives undefined", () => undefined as unknown as Lookup],
    ["gives undefined later", async () => undefined as unknown as Lookup],
    ["gives another shape", () => ({ status: "found", record: {} }) as unknown as Lookup],
    ["gives a record without a machine", () => ({ status: "hit", record: {} }) as unknown as Lookup],
    [
      "gives a machine without an id",
      () => ({ status: "hit", record: { machine: { type: "fake", id: "" } } }) as unknown as Lookup,
    ],
  ]
  it.each(broken)("is a 503, never a 404, when it %s", async (_, get) => {
    const { router, sent } = setup({ store: { get } })
    const response = await router.fetch(new Request("http://misha.iterate.app/"))
    expect(response?.status).toBe(503)
    expect(response?.headers.has("retry-after")).toBe(true)
    expect(sent).toEqual([])
  })

  it("is a 503 when it has not answered after 5 s", async () => {
    vi.useFakeTimers()
    try {
      const { router } = setup({ store: { get: () => new Promise(() => {}) } })
      const pending = router.fetch(new Request("http://misha.iterate.app/"))
      await vi.advanceTimersByTimeAsync(5_001)
      expect((await pending)?.status).toBe(503)
    } finally {
      vi.useRealTimers()
    }
  })

  it("sees its signal aborted when the client has left", async () => {
    let aborted = false
    const client = new AbortController()
    const { router } = setup({
      store: {
        get: (_, { signal }) => {
          signal.addEventListener("abort", () => (aborted = true))
          return new Promise(() => {})
        },
      },
    })
    const pending = router.fetch(new Request("http://misha.iterate.app/", { signal: client.signal }))
    client.abort()
    expect((await pending)?.status).toBe(499)
    expect(aborted).toBe(true)
  })
})
