import type { RouteKey, RouteRecord } from "../../../stores/record.ts"
import { claim, LawBroken, shown } from "../../claim.ts"
import { isObject } from "../../../stores/shape.ts"
import { mustBeKnown, pauseBriefly } from "../store-context.ts"
import { storeLaw } from "../store-law.ts"

/** A store as a router uses it: many look-ups at once, signals, metrics, the end. */
export const use = {
  "concurrent.own-record": storeLaw(
    "of a thousand look-ups at once each gives the record of its own key",
    async (context) => {
      const all: (readonly [RouteKey, RouteRecord | undefined])[] = []
      for (let nth = 0; nth < 40; nth++) {
        const key = context.project()
        all.push([key, nth % 4 === 3 ? undefined : await context.put(key)] as const)
      }
      const store = await context.open()
      // The first look-up of a store that loads is not the subject.
      await context.lookUntilKnown(store, all[0]![0])
      const asked = Array.from({ length: 1_000 }, (_, nth) => all[(nth * 7) % all.length]!)
      const found = await Promise.all(asked.map(([key]) => context.look(store, key)))
      for (const [nth, [key, expected]] of asked.entries()) {
        const each = found[nth]!
        if (expected !== undefined) mustBeKnown(each, key, expected)
        else if (each.status === "hit") throw new LawBroken(`${key} is a hit, and was never put`)
      }
      // A store may bound how much it reads at once, but not for long.
      for (const [key, expected] of all) {
        if (expected === undefined) await context.mustMiss(store, key)
        else await context.mustHave(store, key, expected)
      }
    },
  ),
  "signal.aborted": storeLaw(
    "a look-up whose signal is aborted settles, is no miss of a key that is there, and does no harm to the next",
    async (context) => {
      const key = context.project()
      const expected = await context.put(key)
      const store = await context.open()
      mustBeKnown(
        await context.look(store, key, { signal: AbortSignal.abort(new Error("the client has left")) }),
        key,
        expected,
      )
      await context.mustHave(store, key, expected)
    },
  ),
  "signal.of-one": storeLaw(
    "a signal that is aborted ends its own look-up and no other of the same key",
    async (context) => {
      const key = context.project()
      const expected = await context.put(key)
      const store = await context.open()
      await context.settle(store)
      const left = new AbortController()
      const first = context.look(store, key, { signal: left.signal })
      const others = [1, 2, 3].map(() => context.look(store, key))
      left.abort(new Error("the client has left"))
      mustBeKnown(await first, key, expected)
      for (const found of await Promise.all(others)) {
        if (found.status === "unknown" && isOf(found.cause, left.signal.reason))
          throw new LawBroken("a look-up ended by the signal of another")
        mustBeKnown(found, key, expected)
      }
      await context.mustHave(store, key, expected)
    },
  ),
  "stats.shape": storeLaw(
    "stats, where there are any, are layers with names, counts and ages, at once",
    async (context) => {
      const key = context.project()
      const expected = await context.put(key)
      const store = await context.open()
      const check = (): void => {
        const stats: unknown = store.stats!()
        if (!isObject(stats) || !Array.isArray(stats["layers"]) || stats["layers"].length === 0)
          throw new LawBroken("stats have no layers")
        for (const each of stats["layers"] as readonly unknown[]) {
          const { layer, routes, ageMs } = isObject(each) ? each : {}
          if (typeof layer !== "string" || layer === "") throw new LawBroken("a layer has no name")
          if (routes !== undefined && !(Number.isSafeInteger(routes) && (routes as number) >= 0))
            throw new LawBroken(`the routes of a layer are ${shown(routes)}`)
          if (ageMs !== undefined && !(typeof ageMs === "number" && ageMs >= 0 && ageMs < Infinity))
            throw new LawBroken(`the age of a layer is ${shown(ageMs)}`)
        }
      }
      context.needs(store, "stats")
      check()
      await context.mustHave(store, key, expected)
      check()
    },
  ),
  "stats.no-read": storeLaw("stats, where there are any, read nothing", "reads", async (context) => {
    const key = context.project()
    const expected = await context.put(key)
    const store = await context.open()
    context.needs(store, "stats")
    await context.mustHave(store, key, expected)
    const before = context.fixture.reads!()
    for (let times = 0; times < 1_000; times++) store.stats!()
    claim(context.fixture.reads!() - before).toBeLessThanOrEqual(10)
  }),
  "dispose.settles": storeLaw(
    "dispose, where there is one, ends while look-ups are running, and may be called twice",
    async (context) => {
      const key = context.project()
      await context.put(key)
      const store = await context.open()
      context.needs(store, "dispose")
      const running = [1, 2, 3].map(() => context.look(store, key))
      await store.dispose!()
      await Promise.all(running)
      await store.dispose!()
    },
  ),
  "dispose.exit": storeLaw("nothing that a store has begun keeps the process alive after dispose", async (context) => {
    const [key, absent] = [context.project(), context.project()]
    const expected = await context.put(key)
    // The runner has timers of its own, which come and go.
    let before = Infinity
    for (let times = 0; times < 25; times++) {
      before = Math.min(before, context.keepingAlive())
      await pauseBriefly()
    }
    const store = await context.open()
    await context.mustHave(store, key, expected)
    await context.look(store, absent)
    await context.look(store, key, { refresh: true })
    await store.dispose?.()
    // What is being closed takes a moment.
    for (let times = 0; context.keepingAlive() > before && times < 250; times++) await pauseBriefly()
    if (context.keepingAlive() > before) throw new LawBroken("timers or connections of the store are left")
  }),
}

const isOf = (cause: unknown, reason: unknown): boolean =>
  cause === reason || (isObject(cause) && cause["cause"] === reason)
