import fc from "fast-check"
import { defineGrammar } from "@project-ingress/hostname"
import { describe, expect, it, vi } from "vitest"
import { referenceRoutes } from "../../bench/reference-routes.ts"
import { decodeRecord } from "../../src/stores/decode-record.ts"
import { memoryRegistry, memoryStore } from "../../src/stores/memory.ts"
import { PackedImage } from "../../src/stores/packed/packed-image.ts"
import { openPacked, packedStore, packRoutes } from "../../src/stores/packed.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"
import type { Lookup } from "../../src/stores/route-store.ts"
import { arbitraryKey, arbitraryRoute } from "./arbitrary-routes.ts"

type Route = readonly [key: RouteKey, record: RouteRecord]

const removed = (version: number, owner = "org_1"): RouteRecord => ({ kind: "removed", version, epoch: 0, owner })

describe("a packed table", () => {
  it("gives for every key what memoryStore gives", async () => {
    const routes = fc.array(fc.tuple(fc.uniqueArray(arbitraryKey, { minLength: 1, maxLength: 12 }), arbitraryRoute), {
      minLength: 1,
      maxLength: 8,
    })
    await fc.assert(
      fc.asyncProperty(routes, fc.array(arbitraryKey), async (groups, others) => {
        const memory = memoryStore()
        const keys = new Set<RouteKey>()
        for (const [group, route] of groups) {
          for (const key of group) {
            memory.attach(key, route as never)
            keys.add(key)
          }
        }
        const given = [...keys].map((key): Route => [key, recordIn(memory, key)])
        const store = packedStore(await openPacked(await packRoutes(given)))
        for (const key of [...keys, ...others]) {
          const [found, expected] = [store.get(key), memory.get(key)]
          expect({ status: found.status, record: found.status === "hit" && found.record }).toEqual({
            status: expected.status,
            record: expected.status === "hit" && expected.record,
          })
        }
      }),
      { numRuns: 300 },
    )
  })

  it("is the same bytes whatever the order of the routes", async () => {
    const routes = [...referenceRoutes(2_000)]
    const options = { cursor: "17", builtAt: 1_000 }
    const one = await packRoutes(routes, options)
    const other = await packRoutes(routes.toReversed(), options)
    expect(Buffer.compare(one, other)).toBe(0)
  })

  it("has the higher version of a key that comes twice, and the later record of equal ones", async () => {
    const routes: Route[] = [
      ["p:misha", removed(2, "org_2")],
      ["p:misha", removed(1, "org_1")],
      ["p:anna", removed(1, "org_1")],
      ["p:anna", removed(1, "org_2")],
    ]
    const image = await openPacked(await packRoutes(routes))
    expect(image.routes).toBe(2)
    expect([...image.entries()].map(([key, { owner }]) => `${key} ${owner}`).toSorted()).toEqual([
      "p:anna org_2",
      "p:misha org_2",
    ])
  })

  it("finds no key that it does not have", async () => {
    const routes = [...referenceRoutes(5_000)]
    const store = packedStore(await openPacked(await packRoutes(routes)))
    for (const [key] of routes) {
      for (const near of [
        `${key}x`,
        key.slice(0, -1),
        key.toUpperCase(),
        `${key}\0`,
        `x${key}`,
        `${key.slice(0, -1)}é`,
      ]) {
        expect(store.get(near as RouteKey).status).toBe("miss")
      }
    }
    for (const odd of ["", "p:", "\ud800", "p:".padEnd(60_000, "a")]) {
      expect(store.get(odd as RouteKey).status).toBe("miss")
    }
  })

  it("takes at most 64 bytes a route of the reference corpus", async () => {
    const routes = [...referenceRoutes(20_000)]
    const share = (has: (route: Route) => boolean): number => routes.filter(has).length / routes.length
    expect(share(([key]) => key.startsWith("d:"))).toBeCloseTo(0.1, 1)
    expect(share(([, record]) => "services" in record)).toBeCloseTo(0.1, 1)
    expect(share(([, record]) => "rules" in record)).toBeCloseTo(0.02, 2)
    expect(share(([, record]) => "replicas" in record)).toBeCloseTo(0.01, 2)
    for (const [, record] of routes) expect(decodeRecord(record).problem).toBeUndefined()
    const bytes = await packRoutes(routes)
    expect(bytes.length / routes.length).toBeLessThanOrEqual(64)
  })

  it("keeps a record that no router can use: it fails its own hostname, and is reported with its field", async () => {
    const reported: string[] = []
    const cyclic: Record<string, unknown> = { kind: "removed" }
    cyclic["self"] = cyclic
    const routes = [
      ["p:one", removed(1)],
      ["p:misspelt", { ...removed(1), visibilty: "private" }],
      ["p:cyclic", cyclic],
      ["p:null", null],
      ["p:half", { kind: "machine", version: 3 }],
    ] as unknown as Route[]
    const image = await openPacked(
      await packRoutes(routes, { onInvalid: (key, { field }) => reported.push(`${key} ${field}`) }),
    )
    const store = packedStore(image)
    expect(reported.toSorted()).toEqual([
      "p:cyclic self.self.self.self.self.self.self.self.self.self.self.self.self.self.self.self",
      "p:half epoch",
      "p:misspelt visibilty",
      "p:null ",
    ])
    expect(decodeRecord(recordIn(store, "p:one")).problem).toBeUndefined()
    for (const key of ["p:misspelt", "p:cyclic", "p:null", "p:half"] as const) {
      expect(decodeRecord(recordIn(store, key)).problem).toBeDefined()
    }
  })

  it("leaves out a key that no hostname leads to, reports it, and packs the others", async () => {
    const reported: string[] = []
    const odd = ["p:Misha", "p:".padEnd(60_000, "a"), "x:1", "", 7]
    const routes = [...odd.map((key) => [key, removed(1)]), ["p:misha", removed(1)]] as unknown as Route[]
    const bytes = await packRoutes(routes, {
      onInvalid: (key, { field }) => reported.push(`${key.slice(0, 8)} ${field}`),
    })
    expect((await openPacked(bytes)).routes).toBe(1)
    expect(reported).toEqual(["p:Misha key", "p:aaaaaa key", "x:1 key", " key", "7 key"])
  })

  it("is built from the snapshot of a registry, and says where its changes go on", async () => {
    const registry = memoryRegistry({ grammar: defineGrammar({ domains: ["iterate.app"] }) })
    await registry.putMachine({ id: "mach_1", type: "docker", externalId: "4f", metadata: {}, owner: "org_1" })
    await registry.create({ name: "misha", owner: "org_1", machine: "mach_1" })
    const { routes, cursor } = await registry.snapshot()
    const image = await openPacked(await packRoutes(routes, { cursor, builtAt: 1_000 }))
    expect({ routes: image.routes, cursor: image.cursor, builtAt: image.builtAt }).toEqual({
      routes: 2,
      cursor,
      builtAt: 1_000,
    })
    await registry.create({ name: "anna", owner: "org_1" })
    const page = await registry.changes(image.cursor!)
    expect(page.status === "changes" && page.changes.map(({ key }) => key)).toEqual(["p:anna"])
  })

  it("lets others run while it is built, opened and compared: after at most 4096 steps, and after each slice of a MiB", async () => {
    let turns = 0
    let runs = true
    const look = (): void => {
      turns += 1
      if (runs) setImmediate(look)
    }
    setImmediate(look)
    /** Counts steps, and the most of them that were taken in one turn. */
    const counter = () => {
      let [turn, steps, most, all] = [turns, 0, 0, 0]
      return {
        step: () => {
          steps = turn === turns ? steps + 1 : 1
          turn = turns
          all += 1
          most = Math.max(most, steps)
        },
        counts: () => ({ all, most }),
      }
    }
    const read = counter()
    function* routes(): Generator<Route> {
      for (const route of referenceRoutes(20_000)) {
        read.step()
        yield route
      }
    }
    const bytes = await packRoutes(routes())
    expect(read.counts().all).toBe(20_000)
    expect(read.counts().most).toBeLessThanOrEqual(4_096)

    const hashed = counter()
    const digest = crypto.subtle.digest.bind(crypto.subtle)
    vi.spyOn(crypto.subtle, "digest").mockImplementation((name, slice) => {
      hashed.step()
      expect(slice.byteLength).toBeLessThanOrEqual(1 << 20)
      return digest(name, slice)
    })
    const compared = counter()
    // oxlint-disable-next-line typescript/unbound-method -- applied to each image below
    const own = PackedImage.prototype.versionsOf
    vi.spyOn(PackedImage.prototype, "versionsOf").mockImplementation(function (this: PackedImage, ...given) {
      compared.step()
      return own.apply(this, given)
    })
    try {
      await openPacked(bytes, { previous: await openPacked(bytes) })
    } finally {
      vi.restoreAllMocks()
      runs = false
    }
    // The head and the first slice may come in one turn.
    expect(hashed.counts().all).toBe(6)
    expect(hashed.counts().most).toBeLessThanOrEqual(2)
    expect(compared.counts().all).toBeGreaterThan(20_000)
    expect(compared.counts().most).toBeLessThanOrEqual(4_096)
  })

  it("refuses options that it does not have, and names them", async () => {
    await expect(packRoutes([], { cursor: "x".repeat(4_097) })).rejects.toThrow("cursor must be at most 4096 bytes")
    await expect(packRoutes([], { builtAt: Number.NaN })).rejects.toThrow("builtAt")
    await expect(openPacked(new Uint8Array(), { maxBytes: -1 })).rejects.toThrow("maxBytes")
    expect(() => packedStore(undefined, { unpacked: -1 })).toThrow("unpacked")
  })

  it("ends with what the routes' iterator throws", async () => {
    // eslint-disable-next-line require-yield
    async function* broken(): AsyncGenerator<Route> {
      throw new Error("the source is down")
    }
    await expect(packRoutes(broken())).rejects.toThrow("the source is down")
  })
})

const recordIn = (store: { get(key: RouteKey): Lookup }, key: RouteKey): RouteRecord => {
  const found = store.get(key)
  if (found.status !== "hit") throw new Error(`${key} is a ${found.status}`)
  return found.record
}
