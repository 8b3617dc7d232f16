import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { RecordProblem } from "../decode-record.ts"
import type { RouteKey, RouteRecord } from "../record.ts"
import { ByteWriter } from "./bytes.ts"
import { entryOf, hashOfKey, isPackable, writeEntry } from "./entry.ts"
import type { Entry } from "./entry.ts"
import { MAX_CURSOR_BYTES } from "./head.ts"
import { learnDictionary } from "./learn-dictionary.ts"
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
  readonly onInvalid?: (key: string, problem: RecordProblem) => void
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
  const entries = await collect(routes, onInvalid, turn)
  const learnt = await learnDictionary(entries, turn)
  const writer = new ByteWriter()
  return writeImage(
    {
      count: entries.length,
      hashAt: (at, seed) => hashOfKey(writer, entries[at]!.key, seed),
      writeAt: (out, at) => writeEntry(out, entries[at]!, learnt),
      dictionary: learnt,
      cursor,
      builtAt,
    },
    turn,
  )
}

const BUCKETS = 1_024

/** All entries, one for each key, in an order that depends on nothing but the keys. */
const collect = async (
  routes: RouteSource,
  onInvalid: PackRoutesOptions["onInvalid"],
  turn: ReturnType<typeof turns>,
): Promise<readonly Entry[]> => {
  // Many small sorts instead of one that holds everything up.
  const buckets: Entry[][] = Array.from({ length: BUCKETS }, () => [])
  const writer = new ByteWriter()
  for await (const [key, given] of routes) {
    if (isPackable(key, onInvalid)) {
      buckets[hashOfKey(writer, key, 0) % BUCKETS]!.push(entryOf(key, given, onInvalid))
    }
    if (turn.isOver()) await turn.next()
  }
  const entries: Entry[] = []
  for (const bucket of buckets) {
    // Stable: of equal versions the later one comes last.
    bucket.sort((one, other) => (one.key < other.key ? -1 : one.key > other.key ? 1 : one.version - other.version))
    for (const [at, entry] of bucket.entries()) if (bucket[at + 1]?.key !== entry.key) entries.push(entry)
    bucket.length = 0
    if (turn.isOver()) await turn.next()
  }
  return entries
}
