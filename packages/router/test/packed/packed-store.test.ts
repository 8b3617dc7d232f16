import { describe, expect, it } from "vitest"
import { referenceRoutes } from "../../bench/reference-routes.ts"
import { openPacked, packedStore, packRoutes } from "../../src/stores/packed.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"

const open = async (routes: Iterable<readonly [RouteKey, RouteRecord]>, builtAt = 1_000) =>
  openPacked(await packRoutes(routes, { builtAt }))
const removed = (version: number): RouteRecord => ({ kind: "removed", version, epoch: 0 })

describe("a packed store", () => {
  it("knows nothing before its first image: that is unknown, never a miss", async () => {
    const store = packedStore()
    expect(store.get("p:misha")).toMatchObject({ status: "unknown", retryAfterMs: 1_000 })
    expect(store.getFirst(["p:misha", "p:anna"]).status).toBe("unknown")
    expect(store.stats()).toEqual({ layers: [{ layer: "packed" }] })
    store.swap(await open([["p:misha", removed(1)]]))
    expect(store.get("p:misha").status).toBe("hit")
    expect(store.get("p:anna").status).toBe("miss")
  })

  it("gives the same object each time, so that the router decodes it once", async () => {
    const routes = [...referenceRoutes(300)]
    const store = packedStore(await open(routes))
    for (const [key] of routes) {
      const [one, other] = [store.get(key), store.get(key)]
      expect(one.status === "hit" && other.status === "hit" && one.record === other.record).toBe(true)
    }
  })

  it("keeps no more unpacked records than it may, and gives the right one for every key", async () => {
    const routes = [...new Map(referenceRoutes(300))]
    for (const unpacked of [0, 2, 8]) {
      const store = packedStore(await open(routes), { unpacked })
      for (const [key, record] of [...routes, ...routes.toReversed()]) {
        const found = store.get(key)
        expect(found.status === "hit" && found.record).toEqual(record)
      }
    }
  })

  it("keeps both records where two are looked up in turn, and only two have room", async () => {
    const store = packedStore(
      await open([
        ["p:a", removed(1)],
        ["p:b", removed(2)],
      ]),
      { unpacked: 2 },
    )
    const objects = new Set<unknown>()
    for (const key of ["p:a", "p:b", "p:a", "p:b"] as const) {
      const found = store.get(key)
      objects.add(found.status === "hit" && found.record)
    }
    expect(objects.size).toBe(2)
  })

  it("finds the first of several keys, as get in turn does", async () => {
    const store = packedStore(
      await open([
        ["p:b", removed(1)],
        ["p:c", removed(2)],
      ]),
    )
    expect(store.getFirst(["p:a", "p:b", "p:c"])).toMatchObject({ status: "hit", key: "p:b" })
    expect(store.getFirst(["p:a", "p:d"]).status).toBe("miss")
  })

  it("changes over to a new image at once, for every key", async () => {
    const store = packedStore(
      await open([
        ["p:a", removed(1)],
        ["p:b", removed(1)],
      ]),
    )
    expect(store.get("p:a").status).toBe("hit")
    store.swap(
      await open(
        [
          ["p:a", removed(2)],
          ["p:c", removed(2)],
        ],
        2_000,
      ),
    )
    expect(store.get("p:a")).toMatchObject({ status: "hit", record: { version: 2 } })
    expect(store.get("p:b").status).toBe("miss")
    expect(store.get("p:c").status).toBe("hit")
    expect(store.stats().layers[0]).toMatchObject({ layer: "packed", routes: 2 })
  })

  it("goes on with its image when an older one comes, unless forced", async () => {
    const store = packedStore(await open([["p:a", removed(2)]], 2_000))
    const older = await open([["p:a", removed(1)]], 1_999)
    expect(() => store.swap(older)).toThrow("builtAt must be at least 2000, got 1999")
    expect(store.get("p:a")).toMatchObject({ record: { version: 2 } })
    store.swap(older, { force: true })
    expect(store.get("p:a")).toMatchObject({ record: { version: 1 } })
    expect(store.image).toBe(older)
  })

  it("says how old its image is; one of the future is new", async () => {
    const ageOf = async (builtAt: number) => packedStore(await open([["p:a", removed(1)]], builtAt)).get("p:a")
    expect((await ageOf(Date.now() - 60_000)).ageMs).toBeGreaterThanOrEqual(60_000)
    expect((await ageOf(Date.now() + 3_600_000)).ageMs).toBe(0)
  })

  it("takes nothing but images", () => {
    expect(() => packedStore().swap({ routes: 1 } as never)).toThrow("image must be an image of openPacked")
  })
})
