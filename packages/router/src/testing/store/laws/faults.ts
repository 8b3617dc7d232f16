import type { RouteKey } from "../../../stores/record.ts"
import { LawBroken } from "../../claim.ts"
import { mustBeKnown } from "../store-context.ts"
import type { StoreContext } from "../store-context.ts"
import { storeLaw } from "../store-law.ts"

/** A source that fails, and comes back. */
export const faults = {
  "error.cold": storeLaw(
    "a store that starts while its source fails knows nothing: no key is a miss",
    "faults.error",
    (context) => cold(context, "error"),
  ),
  "error.warm": storeLaw(
    "a key that was looked up is no miss while the source fails, and is found afterwards",
    "faults.error",
    (context) => warm(context, "error"),
  ),
  "hang.cold": storeLaw(
    "a store that starts while its source hangs knows nothing: no key is a miss",
    "faults.hang",
    (context) => cold(context, "hang"),
  ),
  "hang.warm": storeLaw(
    "a key that was looked up is no miss while the source hangs, and is found afterwards",
    "faults.hang",
    (context) => warm(context, "hang"),
  ),
  "slow.found": storeLaw(
    "a source that is slow is waited for: a key that is there is no miss",
    "faults.slow",
    async (context) => {
      const key = context.project()
      const expected = await context.put(key)
      const undo = await context.begin("slow")
      const store = await context.open()
      const found = await Promise.all(Array.from({ length: 20 }, () => context.look(store, key)))
      for (const each of found) mustBeKnown(each, key, expected)
      await context.mustHave(store, key, expected)
      await undo()
    },
  ),
  "flapping.no-miss": storeLaw(
    "a source that fails now and then makes no key a miss, nor another's",
    "faults.flapping",
    async (context) => {
      const all = []
      for (let nth = 0; nth < 4; nth++) {
        const key = context.project()
        all.push([key, await context.put(key)] as const)
      }
      const store = await context.open()
      const undo = await context.begin("flapping")
      for (let times = 0; times < 25; times++) {
        for (const [key, expected] of all) {
          mustBeKnown(await context.look(store, key, { refresh: times % 5 === 4 }), key, expected)
        }
      }
      await undo()
      for (const [key, expected] of all) await context.mustHave(store, key, expected)
    },
  ),
  "flapping.change": storeLaw(
    "a change that is made while the source fails now and then is seen",
    "faults.flapping",
    async (context) => {
      const [key, removed] = [context.project(), context.project()]
      const first = await context.put(key)
      const kept = await context.put(removed)
      const store = await context.open()
      await context.mustHave(store, key, first)
      await context.mustHave(store, removed, kept)
      const undo = await context.begin("flapping")
      const second = await context.put(key)
      await context.remove(removed)
      for (let times = 0; times < 10; times++) await context.look(store, key)
      await undo()
      await context.eventually(store, key, (found) => found.status === "hit" && found.record.version === second.version)
      await context.eventually(store, removed, ({ status }) => status === "miss")
    },
  ),
  "stale.version": storeLaw(
    "a source that gives an earlier state makes no key go back",
    "faults.stale",
    async (context) => {
      const key = context.project()
      const first = await context.put(key)
      const store = await context.open()
      await context.mustHave(store, key, first)
      const second = await context.put(key)
      await context.mustHave(store, key, second)
      const undo = await context.begin("stale")
      for (const refresh of [false, true, false, true]) {
        await context.settle(store)
        mustBeKnown(await context.look(store, key, { refresh }), key, second)
      }
      await undo()
      await context.mustHave(store, key, second)
    },
  ),
  "reordered.own-record": storeLaw(
    "results that come in another order than they were asked for are each of their own key",
    "faults.reordered",
    async (context) => {
      const all = []
      for (let nth = 0; nth < 20; nth++) {
        const key = context.project()
        all.push([key, await context.put(key)] as const)
      }
      const store = await context.open()
      const undo = await context.begin("reordered")
      const found = await Promise.all(all.map(([key]) => context.look(store, key)))
      for (const [nth, [key, expected]] of all.entries()) mustBeKnown(found[nth]!, key, expected)
      await undo()
    },
  ),
  "reordered.version": storeLaw(
    "a result that comes late replaces no newer one",
    "faults.reordered",
    async (context) => {
      const key = context.project()
      const first = await context.put(key)
      const store = await context.open()
      await context.mustHave(store, key, first)
      const undo = await context.begin("reordered")
      const earlier = context.look(store, key, { refresh: true })
      const second = await context.put(key)
      const later = await context.look(store, key, { refresh: true })
      await earlier
      await undo()
      if (later.status === "hit" && later.record.version === second.version) {
        mustBeKnown(await context.look(store, key), key, second)
      }
      await context.eventually(store, key, (found) => found.status === "hit" && found.record.version === second.version)
      await context.mustHave(store, key, second)
    },
  ),
}

const cold = async (context: StoreContext, fault: "error" | "hang"): Promise<void> => {
  const [key, absent] = [context.project(), context.project()]
  const expected = await context.put(key)
  const undo = await context.begin(fault)
  const store = await context.open()
  const both: readonly RouteKey[] = [key, absent]
  // At once, because each may take its whole time.
  for (const [nth, { status }] of (await Promise.all(both.map((each) => context.look(store, each)))).entries()) {
    if (status !== "unknown") throw new LawBroken(`${both[nth]} is ${status}, and nobody can know`)
  }
  await undo()
  await context.mustHave(store, key, expected)
  await context.mustMiss(store, absent)
}

const warm = async (context: StoreContext, fault: "error" | "hang"): Promise<void> => {
  const key = context.project()
  const expected = await context.put(key)
  const store = await context.open()
  await context.mustHave(store, key, expected)
  const undo = await context.begin(fault)
  const fresh = context.project()
  const [again, refreshed, other] = await Promise.all([
    context.look(store, key),
    context.look(store, key, { refresh: true }),
    context.look(store, fresh),
  ])
  mustBeKnown(again, key, expected)
  mustBeKnown(refreshed, key, expected)
  mustBeKnown(await context.look(store, key), key, expected)
  if (other.status === "hit") throw new LawBroken(`${fresh} is a hit, and was never put`)
  await undo()
  await context.mustHave(store, key, expected)
}
