/**
 * Two routers with a registry, a cache of each place and KV between them, and what must hold of every look-up. The invariants I1 to I6
 * are those of the route data facts.
 */
import { strict as assert } from "node:assert"
import { isDeepStrictEqual } from "node:util"
import type { FirstLookup, RouteKey, RouteRecord, RouteStore } from "../../src/router.ts"
import { layeredStore } from "../../src/stores/layered.ts"
import type { CachedRoute, LayeredStore, RouteCache, RouteChange } from "../../src/stores/layered.ts"
import { FaultyKv } from "../../src/testing/faulty-kv.ts"
import type { KvPlace } from "../../src/testing/faulty-kv.ts"
import { FakeCache, later, lookup, record } from "./fixtures.ts"
import type { Behaviour } from "./fixtures.ts"

export const KEYS: readonly RouteKey[] = ["p:a", "p:b", "d:x.example.com", "d:*.example.com"]
/** As old as a route may be while the authority answers: `revalidateMs`, and as long as a read may take. */
const BOUND_MS = 30_000 + 3_000
/** Until an authority that failed is asked again for certain. */
const PAUSE_MS = 12_000
const HARD_MS = 86_400_000

/** KV as a cache: entries as JSON, whatever the adapter that this project has. */
const kvCache = (place: KvPlace): RouteCache => ({
  layer: "kv",
  read: async (key) => {
    const text = await place.get(key)
    return text === null ? undefined : (JSON.parse(text) as CachedRoute)
  },
  write: (key, entry, { ttlMs }) =>
    place.put(key, JSON.stringify(entry), { expirationTtl: Math.max(60, ttlMs / 1_000) }),
})

interface Registered {
  readonly from: number
  readonly record: RouteRecord | undefined
}

class Registry {
  readonly changes: RouteChange[] = []
  readonly #history = new Map<RouteKey, Registered[]>(
    KEYS.map((key) => [key, [{ from: -Infinity, record: undefined }]]),
  )
  #version = 0

  write(key: RouteKey, owner: string | undefined): void {
    const version = ++this.#version
    const written = owner === undefined ? undefined : record(version, { owner, machine: `${key} ${version}` })
    this.#history.get(key)!.push({ from: performance.now(), record: written })
    this.changes.push({ key, version, ...(written === undefined ? {} : { record: written }) })
  }

  now(key: RouteKey): RouteRecord | undefined {
    return this.#history.get(key)!.at(-1)!.record
  }

  /** All that the key led to since a time. */
  since(key: RouteKey, from: number): readonly (RouteRecord | undefined)[] {
    const all = this.#history.get(key)!
    return all.filter((_, n) => n === all.length - 1 || all[n + 1]!.from >= from).map(({ record }) => record)
  }
}

class Router {
  store!: LayeredStore
  /** What look-ups gave, which the invariants are about. */
  lastHit = new Map<RouteKey, { readonly at: number; readonly version: number }>()
  reads = new Map<RouteKey, number[]>()
  behaviour: Behaviour = "works"
  delayMs = 0
  worksSince = performance.now()
  readonly near = new FakeCache("near")
  readonly #registry: Registry
  readonly #kv: KvPlace

  constructor(registry: Registry, kv: FaultyKv) {
    this.#registry = registry
    this.#kv = kv.place()
    this.restart()
  }

  restart(): void {
    this.lastHit = new Map()
    this.reads = new Map()
    const authority: RouteStore = {
      get: (key) => this.#answer([key]),
      getFirst: (keys) => this.#answer(keys),
    }
    this.store = layeredStore({ authority, caches: [this.near, kvCache(this.#kv)], random: () => 0 })
  }

  set(behaviour: Behaviour, delayMs: number): void {
    const answers = behaviour === "works" && delayMs < 1_000
    const answered = this.behaviour === "works" && this.delayMs < 1_000
    if (answers && !answered) this.worksSince = performance.now()
    this.behaviour = behaviour
    this.delayMs = delayMs
  }

  get hasWorkedMs(): number {
    return this.behaviour === "works" && this.delayMs < 1_000 ? performance.now() - this.worksSince : 0
  }

  async #answer(keys: readonly RouteKey[]): Promise<FirstLookup> {
    for (const key of keys) this.reads.set(key, [...(this.reads.get(key) ?? []), performance.now()])
    const { behaviour, delayMs } = this
    const key = keys.find((key) => this.#registry.now(key) !== undefined)
    const found = key && this.#registry.now(key)
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
    if (behaviour === "hangs") await new Promise(() => undefined)
    if (behaviour !== "works") throw new Error("the authority fails")
    return found === undefined ? { status: "miss" } : { status: "hit", key: key!, record: found }
  }
}

/** Routers and all that is between them and the registry. Each look-up is checked. */
export class World {
  readonly registry = new Registry()
  readonly kv = new FaultyKv()
  readonly routers = [new Router(this.registry, this.kv), new Router(this.registry, this.kv)]
  readonly old: { readonly router: Router; readonly key: RouteKey; readonly text: string }[] = []

  async look(n: number, keys: readonly RouteKey[], refresh: boolean): Promise<FirstLookup> {
    const router = this.routers[n]!
    const { store, reads } = router
    const before = new Map([...reads].map(([key, times]) => [key, times.length]))
    const settled: { found?: FirstLookup } = {}
    void Promise.resolve(store.getFirst(keys, lookup({ refresh }))).then((value) => (settled.found = value))
    for (let waited = 0; settled.found === undefined && waited < 5_000; waited += 50) {
      await later(waited === 0 ? 0 : 50)
    }
    const { found } = settled
    // Within its time, whatever fails.
    assert.ok(found, "no result within 5 s")
    for (const key of keys) {
      const reads = (router.reads.get(key)?.length ?? 0) - (before.get(key) ?? 0)
      // One in the background of a look before, and one beside the other keys of a hostname.
      assert.ok(reads <= 2, `I6: ${key} was read ${reads} times`)
    }
    this.#check(router, keys, found)
    for (const key of keys) {
      const text = router.near.entries.get(key)
      if (text !== undefined && this.old.length < 50) this.old.push({ router, key, text })
    }
    return found
  }

  #check(router: Router, keys: readonly RouteKey[], found: FirstLookup): void {
    const now = performance.now()
    const bound = router.hasWorkedMs > BOUND_MS + PAUSE_MS ? BOUND_MS : HARD_MS
    const ledTo = (key: RouteKey, within: number, record: RouteRecord | undefined): boolean =>
      this.registry.since(key, now - within).some((each) => isDeepStrictEqual(each, record))
    if (found.status === "miss") {
      // Whether or not the authority works.
      for (const key of keys) assert.ok(ledTo(key, BOUND_MS, undefined), `I3: ${key} was there`)
      for (const key of keys) router.lastHit.delete(key)
      return
    }
    if (found.status === "unknown") {
      assert.ok(router.hasWorkedMs < PAUSE_MS, "the authority works, and nobody knows")
      const last = router.lastHit.get(keys[0]!)
      // Of a key that led nowhere since, the authority may have said so last.
      const isKept = last !== undefined && !ledTo(keys[0]!, now - last.at + BOUND_MS, undefined)
      assert.ok(!isKept || now - last.at >= HARD_MS - BOUND_MS, `I4: ${keys[0]} was known`)
      return
    }
    const key = found.key!
    assert.ok(ledTo(key, bound, found.record), `I5: ${key} did not lead there, or longer ago`)
    for (const passed of keys.slice(0, keys.indexOf(key))) {
      assert.ok(ledTo(passed, bound, undefined), `I3: ${passed} was there`)
      router.lastHit.delete(passed)
    }
    const { version } = found.record
    assert.ok(version >= (router.lastHit.get(key)?.version ?? 0), `I1: ${key} went back`)
    router.lastHit.set(key, { at: now - (found.ageMs ?? 0), version })
  }

  /** Heals everything, and looks for everything once a second for two minutes. */
  async settle(): Promise<void> {
    this.kv.fault = "none"
    for (const router of this.routers) {
      router.set("works", 0)
      router.near.behaviour = "works"
    }
    for (let s = 0; s < 120; s++) {
      for (const key of KEYS) for (const n of this.routers.keys()) await this.look(n, [key], false)
      await later(1_000)
    }
    for (const key of KEYS) {
      const expected = this.registry.now(key)
      for (const [n, router] of this.routers.entries()) {
        const found = await this.look(n, [key], false)
        assert.deepEqual(found.status === "hit" ? found.record : found.status, expected ?? "miss", "I2: a router")
        for (const text of [router.near.entries.get(key), this.kv.settled(key)]) {
          const entry = text === undefined || text === null ? undefined : (JSON.parse(text) as CachedRoute)
          const isSame = entry?.record === undefined || entry.record.version === expected?.version
          // Or too old to be used without asking.
          assert.ok(isSame || Date.now() - entry.readAt > 30_000, "I2: a cache")
        }
      }
    }
  }
}
