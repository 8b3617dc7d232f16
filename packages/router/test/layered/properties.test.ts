/** Any order of operations and faults, by a clock that the test holds. */
import * as fc from "fast-check"
import { afterEach, beforeEach, describe, it, vi } from "vitest"
import { everything } from "../../../../test/requirements.ts"
import type { KvFault } from "../../src/testing/faulty-kv.ts"
import { holdTime, later } from "./fixtures.ts"
import type { Behaviour } from "./fixtures.ts"
import { KEYS, World } from "./world.ts"

beforeEach(holdTime)
afterEach(() => void vi.useRealTimers())

type Step = (world: World) => Promise<void> | void

const router = fc.nat({ max: 1 })
const key = fc.constantFrom(...KEYS)
const named = <A>(name: string, input: fc.Arbitrary<A>, run: (world: World, input: A) => unknown) =>
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
      fc.constantFrom<KvFault>("none", "error", "hang", "corrupt", "truncated"),
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
    // The latest change of a key, once or again: what came before it no feed gives to a reader that has seen it.
    arbitrary: named("feed", fc.tuple(router, fc.nat()), (world, [n, at]) => {
      const { changes } = world.registry
      const chosen = changes[at % Math.max(1, changes.length)]
      const change = changes.findLast(({ key }) => key === chosen?.key)
      if (change === undefined) return
      world.routers[n]!.store.apply([change])
      // The change said that it is gone: with the authority down nobody knows.
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
        { numRuns: everything ? 100 : 25 },
      )
    },
  )
})
