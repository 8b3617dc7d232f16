import { ByteWriter } from "./bytes.ts"
import { blankImage, MAX_CURSOR_BYTES, MAX_ENTRY_BYTES, partsOf, seal } from "./head.ts"
import { slotOf, tagOf } from "./key-hash.ts"
import type { Template } from "./template.ts"
import type { turns } from "./turns.ts"

/** What an image is made of. */
export interface ImageParts {
  /** How many entries there are: numbers from 0 up. No two have one key. */
  readonly count: number
  /** The hash of an entry's key. */
  readonly hashAt: (at: number, seed: number) => number
  readonly writeAt: (out: ByteWriter, at: number) => void
  readonly dictionary: { readonly templates: readonly Template[]; readonly strings: readonly string[] }
  readonly cursor: string | undefined
  readonly builtAt: number
}

/**
 * Writes an image.
 *
 * @throws {RangeError} for more than one image can hold, 4 GiB
 */
export const writeImage = async (image: ImageParts, turn: ReturnType<typeof turns>): Promise<Uint8Array> => {
  const { count, writeAt, cursor, builtAt } = image
  const table = await place(image, turn)
  const out = new ByteWriter()
  const chunks: Uint8Array[] = []
  const offsets = new Uint32Array(count)
  let entryBytes = 0
  const flush = (): void => {
    entryBytes += out.at
    chunks.push(out.written().slice())
    out.at = 0
    if (entryBytes > MAX_ENTRY_BYTES) throw new RangeError("packRoutes: routes must fit into 4 GiB")
  }
  for (const at of table.slots) {
    if (at === 0) continue
    offsets[at - 1] = entryBytes + out.at
    writeAt(out, at - 1)
    if (out.at > CHUNK_BYTES) flush()
    if (turn.isOver()) await turn.next()
  }
  flush()

  const { templates, strings } = image.dictionary
  const dictionary = new TextEncoder().encode(JSON.stringify({ templates, strings }))
  const { bytes, head } = blankImage({
    routes: count,
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

/** Whether a cursor may be in an image. */
export const isCursor = (cursor: string): boolean => new TextEncoder().encode(cursor).length <= MAX_CURSOR_BYTES

const CHUNK_BYTES = 1 << 20
/** With more entries the search for a free place gets long, with fewer the table large. */
const LOAD = 0.75
/** A table is built again with another seed when a key is farther from its place than this. */
const LONG_PROBE = 512
const SEEDS = 4

/** An open-addressing table: for each slot the number of its entry from 1 up, 0 for none. */
interface Table {
  readonly slots: Uint32Array
  readonly tags: Uint8Array
  readonly seed: number
  readonly longestProbe: number
}

const place = async (image: ImageParts, turn: ReturnType<typeof turns>): Promise<Table> => {
  let seed = 0
  for (let at = 0; at < image.count; at++) {
    seed = Math.imul(seed ^ image.hashAt(at, 1), 0x9e37_79b1) >>> 0
    if (turn.isOver()) await turn.next()
  }
  let best: Table | undefined
  for (let tries = 0; tries < SEEDS; tries++) {
    const table = await fill(image, (seed + tries) >>> 0, turn)
    if (best === undefined || table.longestProbe < best.longestProbe) best = table
    if (best.longestProbe <= LONG_PROBE) break
  }
  return best!
}

const fill = async ({ count, hashAt }: ImageParts, seed: number, turn: ReturnType<typeof turns>): Promise<Table> => {
  const size = Math.ceil(count / LOAD) + 1
  const slots = new Uint32Array(size)
  const tags = new Uint8Array(size)
  let longestProbe = 0
  for (let at = 0; at < count; at++) {
    const hash = hashAt(at, seed)
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
