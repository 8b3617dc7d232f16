import * as fc from "fast-check"
import { afterEach, expect, it, vi } from "vitest"
import { everything } from "../../../../test/requirements.ts"
import type { RouteKey } from "../../src/stores/record.ts"
import type { Lookup, RouteStore } from "../../src/stores/route-store.ts"
import { tableStore } from "../../src/stores/table.ts"
import { fakeFeed } from "./fake-feed.ts"
import { holdClock, passUntil, settled } from "./held-clock.ts"

afterEach(() => vi.useRealTimers())

const keys = ["p:a", "p:b", "p:c", "m:mach_1", "d:www.example.com", "d:*.example.com"] as const satisfies RouteKey[]
const key = fc.constantFrom<RouteKey>(...keys)

type Step =
  | readonly ["put" | "remove" | "refresh", RouteKey]
  | readonly ["replay" | "pass", number]
  | readonly ["gap" | "reload" | "fail" | "hang" | "heal" | "restart"]

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom("put" as const, "remove" as const), key) },
  { weight: 3, arbitrary: fc.tuple(fc.constant("replay" as const), fc.nat(20)) },
  { weight: 4, arbitrary: fc.tuple(fc.constant("pass" as const), fc.constantFrom(0, 20, 300, 3_000, 20_000)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("refresh" as const), key) },
  fc.tuple(fc.constantFrom("gap" as const, "reload" as const, "fail" as const, "hang" as const, "heal" as const)),
  fc.tuple(fc.constant("restart" as const)),
)

it("after any changes, duplicates, replays, gaps, failures, reloads and restarts the table is what the source has, and no version went back", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      holdClock()
      // Enough that stay, so that no removal looks like a source that has lost its routes.
      const feed = fakeFeed([...keys, ...Array.from({ length: 60 }, (_, at): RouteKey => `p:stays-${at}`)])
      let saved: Uint8Array | undefined
      let isDown = false
      const authority: RouteStore = {
        get: async (key) => {
          if (isDown) throw new Error("down")
          const record = feed.routes.get(key)
          return record === undefined ? { status: "miss" } : { status: "hit", record }
        },
      }
      const open = () =>
        tableStore(feed, {
          authority,
          state: { load: async () => saved, save: async (bytes) => void (saved = bytes.slice()) },
          saveMs: 1_000,
          random: () => 0.5,
        })
      let store = open()
      const highest = new Map<RouteKey, number>()
      // What came before is not said again: nobody who has just read everything knows the versions of what was removed before.
      let forgotten = 0
      let isLoaded = false
      const inspect = () => {
        if (!isLoaded && (store.get("p:stays-0") as Lookup).status === "hit") {
          isLoaded = true
          forgotten = feed.log.length
        }
        for (const key of keys) {
          const found = store.get(key) as Lookup
          if (found.status !== "hit") continue
          expect(found.record.version).toBeGreaterThanOrEqual(highest.get(key) ?? 0)
          highest.set(key, found.record.version)
        }
      }
      for (const [name, value] of steps) {
        if (name === "put") feed.put(value)
        else if (name === "remove") feed.remove(value)
        else if (name === "refresh") await Promise.race([store.get(value, { refresh: true }), settled()])
        else if (name === "replay") {
          const kept = isLoaded ? feed.log.slice(forgotten) : []
          if (kept.length > 0) feed.say(kept[value % kept.length]!)
        } else if (name === "pass") await vi.advanceTimersByTimeAsync(value)
        else if (name === "gap") {
          feed.truncate()
          forgotten = feed.log.length
        } else if (name === "reload") void store.reload().catch(() => undefined)
        else if (name === "restart") {
          store.dispose()
          store = open()
          // It begins with what was saved.
          highest.clear()
          isLoaded = false
        } else {
          isDown = name !== "heal"
          if (name === "fail") feed.kill()
          else if (name === "hang") feed.hang()
          else feed.heal()
        }
        await settled()
        inspect()
      }
      isDown = false
      feed.heal()
      const last = feed.put("p:last")
      await passUntil(() => {
        inspect()
        const found = store.get("p:last") as Lookup
        return found.status === "hit" && found.record.version === last
      })
      for (const key of keys) {
        const found = store.get(key) as Lookup
        const expected = feed.routes.get(key)
        expect([key, found.status === "hit" ? found.record : undefined]).toEqual([key, expected])
      }
      expect(store.stats().layers[0]).toMatchObject({ routes: feed.routes.size })
      store.dispose()
      vi.useRealTimers()
    }),
    { numRuns: everything ? 1_000 : 100 },
  )
})
