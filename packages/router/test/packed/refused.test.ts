import { beforeAll, describe, expect, it } from "vitest"
import { referenceRoutes } from "../../bench/reference-routes.ts"
import { decodeRecord } from "../../src/stores/decode-record.ts"
import { partsOf, seal, verifiedHead } from "../../src/stores/packed/head.ts"
import { turns } from "../../src/stores/turns.ts"
import { openPacked, packedStore, PackedRefused, packRoutes } from "../../src/stores/packed.ts"
import type { OpenPackedOptions, PackedImage } from "../../src/stores/packed.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"

type Route = readonly [key: RouteKey, record: RouteRecord]
const routes = [...referenceRoutes(200)]
let good: Uint8Array
let previous: PackedImage

beforeAll(async () => {
  good = await packRoutes(routes, { builtAt: 1_000, cursor: "17" })
  previous = await openPacked(good)
})

const refusal = async (source: Parameters<typeof openPacked>[0], options?: OpenPackedOptions): Promise<string> => {
  try {
    await openPacked(source, options)
  } catch (error) {
    if (error instanceof PackedRefused) return `${error.reason}: ${error.field}`
    throw error
  }
  return "opened"
}

const changed = (at: number, byte: number): Uint8Array => {
  const copy = good.slice()
  copy[at] = byte
  return copy
}

describe("an image is refused", () => {
  it("when it is empty, and says so", async () => {
    expect(await refusal(new Uint8Array(0))).toBe("empty: bytes")
    expect(await refusal(await packRoutes([]))).toBe("empty: routes")
    expect(await refusal([])).toBe("empty: bytes")
  })

  it("when it is truncated, wherever", async () => {
    for (let length = 1; length < good.length; length += 97) {
      expect(await refusal(good.slice(0, length))).toBe(length < 80 ? "truncated: head" : "truncated: bytes")
      expect(await refusal([good.slice(0, length)])).toBe(length < 80 ? "truncated: head" : "truncated: bytes")
    }
  })

  it("when something follows it", async () => {
    const longer = new Uint8Array(good.length + 1)
    longer.set(good)
    expect(await refusal(longer)).toBe("format: head")
    expect(await refusal([good, new Uint8Array(1)])).toBe("format: bytes")
  })

  it("when it is something else, or of another version of the format", async () => {
    expect(await refusal(new TextEncoder().encode("<!doctype html>".padEnd(200)))).toBe("format: magic")
    expect(await refusal(changed(8, 2))).toBe("format: format")
    await expect(openPacked(changed(8, 2))).rejects.toThrow("format must be 1, got 2")
  })

  it("when any byte of it is another: 1000 of them", async () => {
    for (let n = 0; n < 1_000; n++) {
      const at = (n * 7_919) % good.length
      expect(await refusal(changed(at, good[at]! ^ (1 << (n % 8))), { force: true })).not.toBe("opened")
    }
    expect(await refusal(changed(good.length - 1, good.at(-1)! ^ 1))).toBe("checksum: slice 0")
    expect(await refusal(changed(40, good[40]! ^ 1))).toBe("format: head")
    expect(await refusal(changed(24, good[24]! ^ 1))).toBe("checksum: head")
  })

  it("when it was built before the one in use, unless forced", async () => {
    const older = await packRoutes(routes, { builtAt: 999 })
    expect(await refusal(older, { previous })).toBe("older: builtAt")
    expect(await refusal(older, { previous, force: true })).toBe("opened")
    expect(await refusal(await packRoutes(routes, { builtAt: 1_000 }), { previous })).toBe("opened")
  })

  it("when one route goes back to an earlier version, however new it says it is, unless forced", async () => {
    const [first, ...rest] = routes
    const [key, record] = first!
    const back = await packRoutes([[key, { ...record, version: record.version - 1 }], ...rest], { builtAt: 5_000 })
    expect(await refusal(back, { previous })).toBe("older: version")
    expect(await refusal(back, { previous, force: true })).toBe("opened")
  })

  it("when it is more than 15 % smaller than the one in use, unless forced", async () => {
    const keep = Math.ceil(previous.routes * 0.85)
    const unique = [...new Map(routes).entries()]
    const smaller = await packRoutes(unique.slice(0, keep - 1), { builtAt: 2_000 })
    expect(await refusal(smaller, { previous })).toBe("smaller: routes")
    expect(await refusal(smaller, { previous, force: true })).toBe("opened")
    expect(await refusal(await packRoutes(unique.slice(0, keep), { builtAt: 2_000 }), { previous })).toBe("opened")
  })

  it("when it is larger than may be, before memory is taken for it", async () => {
    expect(await refusal(good, { maxBytes: good.length - 1 })).toBe("too large: bytes")
    expect(await refusal([good.slice(0, 100)], { maxBytes: good.length - 1 })).toBe("too large: bytes")
    expect(await refusal(good, { maxBytes: good.length })).toBe("opened")
  })
})

it("an image comes in chunks of any size", async () => {
  for (const size of [1, 79, 80, 1_000, good.length]) {
    const chunks = Array.from({ length: Math.ceil(good.length / size) }, (_, at) =>
      good.slice(at * size, (at + 1) * size),
    )
    expect((await openPacked(chunks)).routes).toBe(previous.routes)
    expect((await openPacked(new Blob(chunks).stream())).cursor).toBe("17")
  }
})

it("a damaged record fails its own hostname only: 1000 images whose checksums are right", async () => {
  const head = await verifiedHead(good, turns())
  const { index, tags, entries } = partsOf(head)
  const view = new DataView(good.buffer)
  const owners = Array.from({ length: head.slots }, (_, slot) => slot)
    .filter((slot) => good[tags + slot] !== 0)
    .map((slot) => ({ key: previous.keyOf(slot)!, from: entries + view.getUint32(index + slot * 4, true) }))
    .toSorted((one, other) => one.from - other.from)
  const records = new Map<RouteKey, RouteRecord>(previous.entries())
  let damaged = 0
  for (let n = 0; n < 1_000; n++) {
    const at = entries + ((n * 7_919) % (good.length - entries))
    const copy = changed(at, good[at]! ^ (1 + ((n * 31) % 255)))
    await seal(copy, head)
    const store = packedStore(await openPacked(copy))
    const own = owners.findLast(({ from }) => from <= at)!.key
    const others = [...records].filter(([key, record]) => {
      const found = store.get(key)
      // Whatever it is now, the router's decoder takes or refuses it.
      if (found.status === "hit") decodeRecord(found.record)
      return found.status !== "hit" || JSON.stringify(found.record) !== JSON.stringify(record)
    })
    expect(others.map(([key]) => key).filter((key) => key !== own)).toEqual([])
    damaged += others.length
  }
  expect(damaged).toBeGreaterThan(900)
})

it("an image with a wrong dictionary or index, and right checksums, is refused or misses: it never throws or hangs", async () => {
  const head = await verifiedHead(good, turns())
  const { index, entries } = partsOf(head)
  for (let n = 0; n < 300; n++) {
    const at = index + ((n * 7_919) % (entries - index))
    const copy = changed(at, good[at]! ^ (1 + ((n * 31) % 255)))
    await seal(copy, head)
    if ((await refusal(copy)) !== "opened") continue
    const store = packedStore(await openPacked(copy))
    for (const [key] of routes) expect(["hit", "miss"]).toContain(store.get(key).status)
  }
})

it("every key of a table whose index says that all slots are taken is looked for in a bounded time", async () => {
  const copy = good.slice()
  const head = await verifiedHead(good, turns())
  const { tags, dictionary } = partsOf(head)
  copy.fill(1, tags, dictionary)
  await seal(copy, head)
  const store = packedStore(await openPacked(copy))
  const absent: Route[0][] = Array.from({ length: 500 }, (_, n) => `p:absent-${n}` as const)
  for (const key of absent) expect(store.get(key).status).toBe("miss")
})
