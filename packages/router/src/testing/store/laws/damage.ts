import type { RouteRecord } from "../../../stores/record.ts"
import { decodeRecord } from "../../../stores/decode-record.ts"
import type { Lookup } from "../../../stores/route-store.ts"
import { LawBroken } from "../../claim.ts"
import type { Damage } from "../damaged-entries.ts"
import { recordOf } from "../store-context.ts"
import type { StoreContext } from "../store-context.ts"
import { storeLaw } from "../store-law.ts"

/** Entries that are damaged. */
export const damage = {
  "damage.corrupt": storeLaw("an entry that is not in its format fails only its own key", "faults.corrupt", (context) =>
    damaged(context, "corrupt"),
  ),
  "damage.truncated": storeLaw("an entry that is cut short fails only its own key", "faults.truncated", (context) =>
    damaged(context, "truncated"),
  ),
  "damage.foreign": storeLaw("an entry of a later format fails only its own key", "faults.foreign", (context) =>
    damaged(context, "foreign"),
  ),
}

const damaged = async (context: StoreContext, how: Damage): Promise<void> => {
  const [key, other, absent] = [context.project(), context.project(), context.project()]
  const before = await context.put(key)
  const expected = await context.put(other)
  const warm = await context.open()
  await context.mustHave(warm, key, before)
  await context.damage(how, key)
  for (const store of [warm, await context.open()]) {
    await context.settle(store)
    for (const refresh of [false, true]) {
      mustFail(await context.look(store, key, { refresh }), before)
      await context.mustHave(store, other, expected, { refresh })
    }
    await context.mustMiss(store, absent)
    if (store.getFirst === undefined) continue
    // Whoever cannot tell whether the first key is there does not know that the second one counts.
    const found = await context.lookFirst(store, [key, other])
    if (found.status === "hit" && found.key === other)
      throw new LawBroken("a damaged entry was passed over for the next key")
    mustFail(found, before)
    recordOf(await context.lookFirstUntilKnown(store, [other, key]), other, expected)
  }
  const mended = await context.put(key)
  for (const store of [warm, await context.open()]) {
    await context.eventually(store, key, (found) => found.status === "hit" && found.record.version === mended.version)
    await context.mustHave(store, key, mended)
  }
}

/** Unknown, a record that the router refuses, or what was there before: no miss, and no other record. */
const mustFail = (found: Lookup, before: RouteRecord): void => {
  if (found.status === "miss") throw new LawBroken("a damaged entry is a miss: its project would be gone")
  if (found.status === "unknown" || decodeRecord(found.record).problem !== undefined) return
  if (found.record.version !== before.version) throw new LawBroken("a damaged entry leads somewhere")
}
