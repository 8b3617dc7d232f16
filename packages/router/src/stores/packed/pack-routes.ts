import { accept, checkOptions } from "@project-ingress/forward/internal"
import { isUsableKey } from "../invalid-route.ts"
import type { OnInvalid } from "../invalid-route.ts"
import type { RouteKey, RouteRecord } from "../record.ts"
import { entryOf, writeEntry } from "./entry.ts"
import { EntryList } from "./entry-list.ts"
import { MAX_CURSOR_BYTES } from "./head.ts"
import { learnDictionary, SAMPLE } from "./learn-dictionary.ts"
import { turns } from "../turns.ts"
import { isCursor, writeImage } from "./write-image.ts"

/** How an image is built. */
export interface PackRoutesOptions {
  /** Where the feed goes on: the `cursor` of the snapshot that the routes are of. At most 4096 bytes. */
  readonly cursor?: string | undefined
  /** In ms since 1970. Default: now. An image is refused where one that was built later is in use. */
  readonly builtAt?: number
  /**
   * Called for each record that no router of this version can use: it is packed as it is and fails its own hostname. And, with the
   * field `key`, for each key that no hostname leads to: it is left out.
   */
  readonly onInvalid?: OnInvalid
}

/** Routes of any number, as a feed's snapshot gives them. */
export type RouteSource =
  | Iterable<readonly [key: RouteKey, record: RouteRecord]>
  | AsyncIterable<readonly [key: RouteKey, record: RouteRecord]>

/**
 * Packs routes into one image, in any order: the same routes, `cursor` and `builtAt` give the same bytes. Of a key that comes twice
 * the higher version counts, of equal ones the later. Lets others run in between.
 *
 * ```ts
 * const { routes, cursor } = await registry.snapshot()
 * await writeFile("routes.packed", await packRoutes(routes, { cursor }))
 * ```
 *
 * @throws {TypeError} for options that it does not have, and what the routes' iterator throws
 * @throws {RangeError} for more routes than one image can hold, 4 GiB
 */
export const packRoutes = async (routes: RouteSource, options: PackRoutesOptions = {}): Promise<Uint8Array> => {
  checkOptions("packRoutes", options, {
    cursor: accept.string,
    builtAt: accept.integer(0),
    onInvalid: accept.function,
  })
  const { cursor, builtAt = Date.now(), onInvalid } = options
  if (cursor !== undefined && !isCursor(cursor))
    throw new TypeError(`packRoutes: cursor must be at most ${MAX_CURSOR_BYTES} bytes`)
  const turn = turns()
  const entries = new EntryList()
  for await (const [key, given] of routes) {
    if (isUsableKey(key, onInvalid)) entries.add(entryOf(key, given, onInvalid))
    if (turn.isOver()) await turn.next()
  }
  const order = await entries.order(turn)
  const sample: string[] = []
  for (const at of order.subarray(0, SAMPLE)) {
    sample.push(entries.jsonAt(at))
    if (turn.isOver()) await turn.next()
  }
  const learnt = await learnDictionary(sample, order.length, turn)
  return writeImage(
    {
      count: order.length,
      hashAt: (at, seed) => entries.hashAt(order[at]!, seed),
      writeAt: (out, at) => writeEntry(out, entries.entryAt(order[at]!), learnt),
      dictionary: learnt,
      cursor,
      builtAt,
    },
    turn,
  )
}
