import type { RouteKey, RouteRecord } from "../record.ts"
import type { PackedImage } from "./packed-image.ts"
import { turns } from "../turns.ts"

/** A key that leads elsewhere in another image. */
export type PackedChange =
  | { readonly change: "added"; readonly key: RouteKey; readonly after: RouteRecord }
  | { readonly change: "removed"; readonly key: RouteKey; readonly before: RouteRecord }
  | { readonly change: "changed"; readonly key: RouteKey; readonly before: RouteRecord; readonly after: RouteRecord }

/** What differs between two images, by key. Lets others run in between. */
export async function* diffPacked(before: PackedImage, after: PackedImage): AsyncGenerator<PackedChange> {
  const turn = turns()
  for (const [key, record] of before.entries()) {
    const slot = after.find(key)
    if (slot === -1) yield { change: "removed", key, before: record }
    else {
      const other = after.recordOf(slot, key)
      if (canonical(record) !== canonical(other)) yield { change: "changed", key, before: record, after: other }
    }
    if (turn.isOver()) await turn.next()
  }
  for (const [key, record] of after.entries()) {
    if (before.find(key) === -1) yield { change: "added", key, after: record }
    if (turn.isOver()) await turn.next()
  }
}

/** JSON in which the order of names does not count. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : inner,
  )
