import { isUsableKey } from "../invalid-route.ts"
import type { OnInvalid } from "../invalid-route.ts"
import { checkCount, checkVersion } from "../packed/open-packed.ts"
import { turns } from "../turns.ts"
import type { FeedSnapshot } from "../route-feed.ts"
import { RouteTable, usable, versionIn } from "./route-table.ts"

/**
 * The table of a snapshot, over the image of a table from the same feed: only what differs is unpacked and kept, so that reading a
 * million routes again costs a fraction of packing them.
 *
 * @throws {PackedRefused} for a snapshot that is empty, more than 15 % smaller, or has an earlier version of a route
 */
export const compareSnapshot = async (
  table: RouteTable,
  { routes, cursor }: FeedSnapshot,
  onInvalid: OnInvalid | undefined,
): Promise<RouteTable> => {
  const turn = turns()
  const { image } = table
  const next = new RouteTable(image, cursor, table)
  const isSeen = new Uint8Array(image.slots)
  /** The version that came for a slot whose own is higher: of a key that comes twice the higher one counts. */
  const earlier = new Map<number, number>()
  for await (const [key, record] of routes) {
    if (turn.isOver()) await turn.next()
    if (!isUsableKey(key, onInvalid)) continue
    const slot = image.find(key)
    const version = versionIn(record)
    const known = next.versionOf(key)
    if (slot !== -1) {
      // One without a version fails its own hostnames, and no others.
      const isEarlier = version !== undefined && version < image.versionOf(slot)
      if (!isEarlier) earlier.delete(slot)
      else if (isSeen[slot] === 0) earlier.set(slot, version)
      isSeen[slot] = 1
    }
    if (version === undefined || version > known)
      next.put(key, { version: version ?? Math.max(known, 0), record: usable(key, record, onInvalid) })
  }
  for (const [slot, version] of earlier) checkVersion(version, image.versionOf(slot))
  for (let slot = 0; slot < image.slots; slot++) {
    const key = isSeen[slot] === 0 ? image.keyOf(slot) : undefined
    // Less one: a source that lagged behind brings it back with the change of its own version.
    if (key !== undefined) next.put(key, { version: image.versionOf(slot) - 1, record: undefined })
    if (turn.isOver()) await turn.next()
  }
  checkCount(next.routes, table.routes)
  return next
}
