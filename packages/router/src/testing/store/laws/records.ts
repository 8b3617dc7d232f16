import type { RouteKey, RouteRecord } from "../../../stores/record.ts"
import { claim, LawBroken } from "../../claim.ts"
import { HALF_OF_A_PAIR } from "../../half-of-a-pair.ts"
import { storeLaw } from "../store-law.ts"

/** Hits, misses and what they give. */
export const records = {
  "hit.record": storeLaw("a look-up of a key gives the record that was put, of every kind", async (context) => {
    const kinds: readonly Partial<RouteRecord>[] = [
      {},
      { kind: "detached" },
      { kind: "redirect", to: "https://example.com/", status: 308 },
      { kind: "redirect", to: { project: "anna" }, status: 302, visibility: "private" },
      { kind: "removed", visibility: "public" },
    ]
    const all: (readonly [RouteKey, RouteRecord])[] = []
    for (const fields of kinds) {
      const key = context.project()
      all.push([key, await context.put(key, context.record(fields))])
    }
    const store = await context.open()
    for (const [key, expected] of all) await context.mustHave(store, key, expected)
  }),
  "hit.fields": storeLaw("a record comes back with every field", async (context) => {
    const key = context.project()
    const machine = {
      id: "mach_1",
      type: "fake",
      externalId: `a"b\\c'd\u{1f600}`,
      metadata: { list: [1.5, null, true, "é"], nested: { 2: "b", 1: "a" } },
    }
    const expected = await context.put(
      key,
      context.record({
        machine,
        replicas: [{ ...machine, id: "mach_2" }],
        balance: "round-robin",
        port: 5173,
        services: { web: 8000, constructor: 8001 },
        visibility: "public",
        ports: { 80: { visibility: "private", appOrigin: { host: "app.example.com" } } },
        rules: [{ match: { path: { prefix: "/api" }, headers: { "x-a": "1" } }, targets: [{ port: 9000, weight: 2 }] }],
        region: "fra",
        generation: 7,
        externalId: "Customer-7",
        expiresAt: 4_000_000_000_000,
        metadata: { "%_'\"": "'; drop table routes; --" },
      }),
    )
    await context.mustHave(await context.open(), key, expected)
  }),
  "hit.any-text": storeLaw(
    "a record comes back with any text that JSON can have: NUL, half of a pair",
    async (context) => {
      const key = context.project()
      const metadata = { nul: "a\0b", half: HALF_OF_A_PAIR, controls: "\u0001\r\n\u2028" }
      const expected = await context.put(key, context.record({ metadata }))
      await context.mustHave(await context.open(), key, expected)
    },
  ),
  "hit.again": storeLaw(
    "a record that was given is never changed later: a newer one is another object",
    async (context) => {
      const key = context.project()
      const first = await context.put(key)
      const store = await context.open()
      const given = await context.mustHave(store, key, first)
      const text = JSON.stringify(given)
      await context.mustHave(store, key, first)
      const second = await context.put(key)
      const next = await context.mustHave(store, key, second)
      if (next === given) throw new LawBroken("the newer record is the object that was given before")
      await context.remove(key)
      await context.mustMiss(store, key)
      claim(JSON.stringify(given)).toBe(text)
    },
  ),
  "miss.never-put": storeLaw("a key that was never put is a miss, looked up once or again", async (context) => {
    const store = await context.open()
    const known = context.project()
    await context.put(known)
    const key = context.project()
    for (let times = 0; times < 3; times++) await context.mustMiss(store, key)
  }),
  "miss.removed": storeLaw("a key that was removed is a miss, and one that is put again is there", async (context) => {
    const [key, other] = [context.project(), context.project()]
    const first = await context.put(key)
    const kept = await context.put(other)
    const store = await context.open()
    await context.mustHave(store, key, first)
    await context.remove(key)
    await context.mustMiss(store, key)
    await context.mustHave(store, other, kept)
    const again = await context.put(key)
    await context.mustHave(store, key, again)
    await context.mustHave(await context.open(), key, again)
  }),
  "miss.then-put": storeLaw("a key that was a miss is there once it is put", async (context) => {
    const key = context.project()
    const store = await context.open()
    await context.put(context.project())
    await context.mustMiss(store, key)
    await context.mustHave(store, key, await context.put(key))
  }),
  "version.newer": storeLaw("a newer version replaces an older one, again and again", async (context) => {
    const key = context.project()
    const first = await context.put(key)
    const store = await context.open()
    await context.mustHave(store, key, first)
    for (let times = 0; times < 3; times++) await context.mustHave(store, key, await context.put(key))
  }),
  "version.older": storeLaw(
    "a write of an older version never replaces a newer one, which was looked up",
    async (context) => {
      const key = context.project()
      const older = context.record()
      const newer = await context.put(key)
      const store = await context.open()
      await context.mustHave(store, key, newer)
      await context.put(key, older)
      for (let times = 0; times < 3; times++) await context.mustHave(store, key, newer)
    },
  ),
  "refresh.newer": storeLaw("a look-up with refresh gives what was put behind the store's back", async (context) => {
    const key = context.project()
    const first = await context.put(key)
    const store = await context.open()
    await context.mustHave(store, key, first)
    const second = await context.put(key)
    const found = await context.look(store, key, { refresh: true })
    claim(found).toMatchObject({ status: "hit", record: { version: second.version } })
    claim(await context.look(store, key)).toMatchObject({ status: "hit", record: { version: second.version } })
  }),
}
