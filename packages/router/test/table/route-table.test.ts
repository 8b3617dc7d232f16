import { expect, it } from "vitest"
import { openPacked, packRoutes } from "../../src/stores/packed.ts"
import { packChanges } from "../../src/stores/packed/pack-changes.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"
import { RouteTable } from "../../src/stores/table/route-table.ts"
import { referenceRoutes } from "../../bench/reference-routes.ts"

const removed = (version: number): RouteRecord => ({ kind: "removed", version, epoch: 0 })
const recordsOf = (changes: ReturnType<RouteTable["changes"]>) =>
  new Map([...changes].map(([key, { record }]) => [key, record]))

it("what changes while an image is built is not lost, and neither is what was removed", async () => {
  const routes = (["p:a", "p:b", "p:c"] as const).map((key) => [key, removed(1)] as const)
  const table = new RouteTable(await openPacked(await packRoutes(routes)), "1", 16)
  table.apply({ key: "p:a", version: 2, record: removed(2) })
  table.apply({ key: "p:b", version: 2, record: undefined })
  const packed = table.changes()
  const bytes = await packChanges(table.image, recordsOf(packed), { cursor: "2", builtAt: 2 })
  table.apply({ key: "p:a", version: 3, record: removed(3) })
  table.apply({ key: "p:d", version: 3, record: removed(3) })
  const next = table.over(await openPacked(bytes), packed, 16)
  expect((["p:a", "p:b", "p:c", "p:d"] as const).map((key) => next.find(key)?.version)).toEqual([3, undefined, 1, 3])
  expect([next.routes, next.changed]).toEqual([3, 2])
  next.apply({ key: "p:b", version: 2, record: removed(2) })
  expect(next.find("p:b")).toBeUndefined()
})

it("changes are packed into an image as its routes would be: each gives the record that it had", async () => {
  const before = new Map(referenceRoutes(2_000))
  const image = await openPacked(await packRoutes(before))
  const changes = new Map<RouteKey, RouteRecord | undefined>()
  const after = new Map(before)
  for (const [at, [key, record]] of [...before].entries()) {
    if (at % 5 === 0) changes.set(key, { ...record, version: record.version + 1, owner: `org_${at}` })
    else if (at % 7 === 0) changes.set(key, undefined)
  }
  for (let at = 0; at < 500; at++) changes.set(`p:new-${at}`, removed(at))
  for (const [key, record] of changes) {
    if (record === undefined) after.delete(key)
    else after.set(key, record)
  }
  const next = await openPacked(await packChanges(image, changes, { cursor: "9", builtAt: image.builtAt }))
  expect([next.routes, next.cursor]).toEqual([after.size, "9"])
  expect(new Map(next.entries())).toEqual(after)
  const gone = [...before.keys()].filter((key) => !after.has(key))
  expect(gone.filter((key) => next.find(key) !== -1)).toEqual([])
})

it("a million removals are not all remembered: memory is bounded", async () => {
  const table = new RouteTable(await openPacked(await packRoutes([["p:a", removed(1)]])), "1", 16)
  for (let at = 0; at < 70_000; at++) {
    table.apply({ key: `p:gone-${at}`, version: 1, record: removed(1) })
    table.apply({ key: `p:gone-${at}`, version: 2, record: undefined })
  }
  expect([table.versionOf("p:gone-0"), table.versionOf("p:gone-69999")]).toEqual([-1, 2])
  expect([table.routes, table.changed]).toEqual([1, 0])
})
