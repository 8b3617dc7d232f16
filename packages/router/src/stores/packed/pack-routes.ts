import { accept, checkOptions, kindOf } from "@project-ingress/forward/internal"
import { decodeRecord } from "../decode-record.ts"
import type { RecordProblem } from "../decode-record.ts"
import { frozenJson } from "../frozen-json.ts"
import type { RouteKey, RouteRecord } from "../record.ts"
import { isRouteKey } from "../route-key.ts"
import { isObject } from "../shape.ts"
import { ByteWriter } from "./bytes.ts"
import { blankImage, MAX_CURSOR_BYTES, MAX_ENTRY_BYTES, partsOf, seal } from "./head.ts"
import { hashOf, slotOf, tagOf } from "./key-hash.ts"
import { learnDictionary } from "./learn-dictionary.ts"
import { MAX_KEY_LENGTH } from "./packed-image.ts"
import { writeByTemplate } from "./template.ts"
import { writeText } from "./text.ts"
import { turns } from "../turns.ts"

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
  if (cursor !== undefined && new TextEncoder().encode(cursor).length > MAX_CURSOR_BYTES)
    throw new TypeError(`packRoutes: cursor must be at most ${MAX_CURSOR_BYTES} bytes`)
  const turn = turns()
  const entries = await collect(routes, onInvalid, turn)
  const learnt = await learnDictionary(entries, turn)
  const table = await place(entries, turn)

  const out = new ByteWriter()
  const chunks: Uint8Array[] = []
  const offsets = new Uint32Array(entries.length)
  let entryBytes = 0
  const flush = (): void => {
    entryBytes += out.at
    chunks.push(out.written().slice())
    out.at = 0
    if (entryBytes > MAX_ENTRY_BYTES) throw new RangeError("packRoutes: routes must fit into 4 GiB")
  }
  for (const at of table.slots) {
    if (at === 0) continue
    const { key, json, version } = entries[at - 1]!
    const record: unknown = JSON.parse(json)
    offsets[at - 1] = entryBytes + out.at
    const template = learnt.closest(record)
    writeText(out, key)
    out.integer(version)
    out.integer(template)
    writeByTemplate(out, learnt.templates[template]!, record, key, learnt)
    if (out.at > CHUNK_BYTES) flush()
    if (turn.isOver()) await turn.next()
  }
  flush()

  const { templates, strings } = learnt
  const dictionary = new TextEncoder().encode(JSON.stringify({ templates, strings }))
  const { bytes, head } = blankImage({
    routes: entries.length,
    slots: table.slots.length,
    seed: table.seed,
    longestProbe: table.longestProbe,
    builtAt,
    cursor,
    dictionaryBytes: dictionary.length,
    entryBytes,
  })
  const parts = partsOf(head)
  const view = new DataView(bytes.buffer)
  for (const [slot, at] of table.slots.entries()) {
    if (at === 0) continue
    view.setUint32(parts.index + slot * 4, offsets[at - 1]!, true)
    bytes[parts.tags + slot] = table.tags[slot]!
    if (turn.isOver()) await turn.next()
  }
  bytes.set(dictionary, parts.dictionary)
  let at = parts.entries
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
    if (turn.isOver()) await turn.next()
  }
  await seal(bytes, head)
  return bytes
}

/** A record as JSON: strings cost the garbage collector less than objects. */
interface Entry {
  readonly key: string
  readonly version: number
  readonly json: string
}

const BUCKETS = 1_024
const CHUNK_BYTES = 1 << 20
/** With more entries the search for a free place gets long, with fewer the table large. */
const LOAD = 0.75
/** A table is built again with another seed when a key is farther from its place than this. */
const LONG_PROBE = 512
const SEEDS = 4

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
    if (isPackable(key)) {
      const { json, version } = jsonOf(key, given, onInvalid)
      buckets[hashOfKey(writer, key, 0) % BUCKETS]!.push({ key, version, json })
    } else {
      const shown = typeof key === "string" ? (key as string).slice(0, 256) : kindOf(key)
      onInvalid?.(shown, { code: "RECORD_INVALID", field: "key", accepted: "a key that a hostname leads to" })
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

const isPackable = (key: unknown): key is RouteKey =>
  typeof key === "string" && key.length <= MAX_KEY_LENGTH && isRouteKey(key)

const jsonOf = (
  key: string,
  given: unknown,
  onInvalid: PackRoutesOptions["onInvalid"],
): { readonly json: string; readonly version: number } => {
  const { record, problem } = decodeRecord(given)
  if (record !== undefined) return { json: JSON.stringify(record), version: record.version }
  onInvalid?.(key, problem)
  let copy: unknown
  try {
    copy = frozenJson(given)
  } catch {
    // No JSON at all. The key is kept: its hostname is an error, not free.
  }
  if (!isObject(copy)) copy = { kind: "unreadable" }
  const { version } = copy as { readonly version?: unknown }
  return { json: JSON.stringify(copy), version: Number.isSafeInteger(version) ? Math.max(0, version as number) : 0 }
}

/** An open-addressing table: for each slot the number of its entry from 1 up, 0 for none. */
interface Table {
  readonly slots: Uint32Array
  readonly tags: Uint8Array
  readonly seed: number
  readonly longestProbe: number
}

const place = async (entries: readonly Entry[], turn: ReturnType<typeof turns>): Promise<Table> => {
  const writer = new ByteWriter()
  let seed = 0
  for (const { key } of entries) {
    seed = Math.imul(seed ^ hashOfKey(writer, key, 1), 0x9e37_79b1) >>> 0
    if (turn.isOver()) await turn.next()
  }
  let best: Table | undefined
  for (let tries = 0; tries < SEEDS; tries++) {
    const table = await fill(entries, (seed + tries) >>> 0, turn)
    if (best === undefined || table.longestProbe < best.longestProbe) best = table
    if (best.longestProbe <= LONG_PROBE) break
  }
  return best!
}

const fill = async (entries: readonly Entry[], seed: number, turn: ReturnType<typeof turns>): Promise<Table> => {
  const size = Math.ceil(entries.length / LOAD) + 1
  const slots = new Uint32Array(size)
  const tags = new Uint8Array(size)
  const writer = new ByteWriter()
  let longestProbe = 0
  for (const [at, { key }] of entries.entries()) {
    const hash = hashOfKey(writer, key, seed)
    let slot = slotOf(hash, size)
    let probe = 0
    while (slots[slot] !== 0) {
      slot = slot + 1 === size ? 0 : slot + 1
      probe += 1
    }
    slots[slot] = at + 1
    tags[slot] = tagOf(hash)
    longestProbe = Math.max(longestProbe, probe)
    if (turn.isOver()) await turn.next()
  }
  return { slots, tags, seed, longestProbe }
}

const hashOfKey = (writer: ByteWriter, key: string, seed: number): number => {
  writer.at = 0
  writeText(writer, key)
  return hashOf(writer.bytes, 0, writer.at, seed)
}
