/**
 * Two routers with a registry, a cache of each place and KV between them, in any order of operations and faults, by a clock that the
 * test holds. Invariants I1 to I6 are those of the route data facts.
 */
import * as fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { FirstLookup, RouteKey, RouteRecord, RouteStore } from "../../src/router.ts"
import { layeredStore } from "../../src/stores/layered.ts"
import type { CachedRoute, LayeredStore, RouteCache, RouteChange } from "../../src/stores/layered.ts"
import { FaultyKV } from "../kits/faulty-kv.ts"
import type { KVFault, KVPlace } from "../kits/faulty-kv.ts"
import { FakeCache, holdTime, later, lookup, record } from "./fixtures.ts"
import type { Behaviour } from "./fixtures.ts"

beforeEach(holdTime)
afterEach(() => void vi.useRealTimers())

const KEYS: readonly RouteKey[] = ["p:a", "p:b", "d:x.example.com", "d:*.example.com"]
/** As old as a route may be while the authority answers: `revalidateMs`, and as long as a read may take. */
const BOUND_MS = 30_000 + 3_000
/** Until an authority that failed is asked again for certain. */
const PAUSE_MS = 12_000
const HARD_MS = 86_400_000

/** KV as a cache: entries as JSON, whatever the adapter that this project has. */
const kvCache = (place: KVPlace): RouteCache => ({
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
  readonly #kv: KVPlace

  constructor(registry: Registry, kv: FaultyKV) {
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

class World {
  readonly registry = new Registry()
  readonly kv = new FaultyKV()
  readonly routers = [new Router(this.registry, this.kv), new Router(this.registry, this.kv)]
  readonly old: { readonly router: Router; readonly key: RouteKey; readonly text: string }[] = []

  async look(n: number, keys: readonly RouteKey[], refresh: boolean): Promise<FirstLookup> {
    const router = this.routers[n]!
    const { store, reads } = router
    const before = new Map([...reads].map(([key, times]) => [key, times.length]))
    let found: FirstLookup | undefined
    void Promise.resolve(store.getFirst(keys, lookup({ refresh }))).then((value) => (found = value))
    for (let waited = 0; found === undefined && waited < 5_000; waited += 50) await later(waited === 0 ? 0 : 50)
    // Within its time, whatever fails.
    expect(found).toBeDefined()
    for (const key of keys) expect((router.reads.get(key)?.length ?? 0) - (before.get(key) ?? 0)).toBeLessThanOrEqual(1)
    this.#check(router, keys, found!)
    for (const key of keys) {
      const text = router.near.entries.get(key)
      if (text !== undefined && this.old.length < 50) this.old.push({ router, key, text })
    }
    return found!
  }

  #check(router: Router, keys: readonly RouteKey[], found: FirstLookup): void {
    const now = performance.now()
    const bound = router.hasWorkedMs > BOUND_MS + PAUSE_MS ? BOUND_MS : HARD_MS
    if (found.status === "miss") {
      // I3, for all keys, and whether or not the authority answers.
      for (const key of keys) expect(this.registry.since(key, now - BOUND_MS)).toContain(undefined)
      for (const key of keys) router.lastHit.delete(key)
      return
    }
    if (found.status === "unknown") {
      // I4: what was there is there, and an authority that works is never unknown.
      expect(router.hasWorkedMs).toBeLessThan(PAUSE_MS)
      for (const key of keys.slice(0, 1)) {
        const last = router.lastHit.get(key)
        if (last !== undefined) expect(now - last.at).toBeGreaterThanOrEqual(HARD_MS - BOUND_MS)
      }
      return
    }
    const key = found.key!
    // I5: nothing that the key did not lead to within the bound, so no other owner's.
    expect(this.registry.since(key, now - bound)).toContainEqual(found.record)
    expect(found.record).toMatchObject({ machine: { id: `${key} ${found.record.version}` } })
    // I3, of the keys before it.
    for (const passed of keys.slice(0, keys.indexOf(key))) {
      expect(this.registry.since(passed, now - bound)).toContain(undefined)
      router.lastHit.delete(passed)
    }
    // I1
    expect(found.record.version).toBeGreaterThanOrEqual(router.lastHit.get(key)?.version ?? 0)
    router.lastHit.set(key, { at: now - (found.ageMs ?? 0), version: found.record.version })
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
    // I2
    for (const key of KEYS) {
      const expected = this.registry.now(key)
      for (const [n, router] of this.routers.entries()) {
        const found = await this.look(n, [key], false)
        expect(found.status === "hit" ? found.record : found.status).toEqual(expected ?? "miss")
        for (const text of [router.near.entries.get(key), this.kv.settled(key)]) {
          const entry = text === undefined || text === null ? undefined : (JSON.parse(text) as CachedRoute)
          // The same, or too old to be used without asking.
          if (entry?.record?.version !== expected?.version && entry?.record !== undefined) {
            expect(Date.now() - entry.readAt).toBeGreaterThan(30_000)
          }
        }
      }
    }
  }
}

type Step = (world: World) => Promise<void> | void

const router = fc.nat({ max: 1 })
const key = fc.constantFrom(...KEYS)
const named = <A>(name: string, input: fc.Arbitrary<A>, run: (world: World, input: A) => Promise<unknown> | unknown) =>
  input.map((given): Step =>
    Object.assign(async (world: World) => void (await run(world, given)), {
      [fc.toStringMethod]: () => `${name} ${JSON.stringify(given)}`,
    }),
  )

const look = named("look", fc.tuple(router, key, fc.boolean()), (world, [n, key]) => world.look(n, [key], false))
const lookFirst = named("look for the first", router, (world, n) => world.look(n, KEYS.slice(2), false))
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: look },
  { weight: 3, arbitrary: lookFirst },
  { weight: 1, arbitrary: named("refresh", fc.tuple(router, key), (world, [n, key]) => world.look(n, [key], true)) },
  {
    weight: 3,
    arbitrary: named(
      "write",
      fc.tuple(key, fc.constantFrom("org_1", "org_2", "org_3", undefined)),
      (world, [key, owner]) => world.registry.write(key, owner),
    ),
  },
  {
    weight: 4,
    arbitrary: named("wait", fc.constantFrom(50, 900, 2_000, 6_000, 20_000, 31_000, 70_000), (_, ms) => later(ms)),
  },
  { weight: 1, arbitrary: named("wait for hours", fc.constantFrom(3_600_000, 80_000_000), (_, ms) => later(ms)) },
  {
    weight: 3,
    arbitrary: named(
      "authority",
      fc.tuple(
        router,
        fc.constantFrom<Behaviour>("works", "works", "rejects", "hangs"),
        fc.constantFrom(0, 0, 300, 1_500),
      ),
      (world, [n, behaviour, delayMs]) => world.routers[n]!.set(behaviour, delayMs),
    ),
  },
  {
    weight: 1,
    arbitrary: named(
      "near cache",
      fc.tuple(router, fc.constantFrom<Behaviour>("works", "rejects", "hangs")),
      (world, [n, does]) => {
        world.routers[n]!.near.behaviour = does
      },
    ),
  },
  {
    weight: 2,
    arbitrary: named(
      "KV",
      fc.constantFrom<KVFault>("none", "error", "hang", "corrupt", "truncated"),
      (world, fault) => {
        world.kv.fault = fault
      },
    ),
  },
  {
    weight: 1,
    arbitrary: named("a slow writer", fc.nat(), (world, n) => {
      const writes = world.old[n % Math.max(1, world.old.length)]
      writes?.router.near.entries.set(writes.key, writes.text)
    }),
  },
  {
    weight: 2,
    arbitrary: named("feed", fc.tuple(router, fc.nat(), fc.boolean()), (world, [n, at, latest]) => {
      const { changes } = world.registry
      const change = latest ? changes.at(-1) : changes[at % Math.max(1, changes.length)]
      if (change === undefined) return
      world.routers[n]!.store.apply([change])
      // Told that it is gone: with the authority down nobody knows.
      if (change.record === undefined) world.routers[n]!.lastHit.delete(change.key)
    }),
  },
  { weight: 1, arbitrary: named("restart", router, (world, n) => world.routers[n]!.restart()) },
)

describe("two routers, two caches and KV, whatever happens to them", () => {
  it(
    "never serve what is older than promised or another's, never lose a route, and end at what the registry has",
    { timeout: 120_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), async (steps) => {
          const world = new World()
          for (const run of steps) await run(world)
          await world.settle()
        }),
        { numRuns: Number(process.env["LAYERED_RUNS"] ?? 60) },
      )
    },
  )
})
