import { isCount } from "../shape.ts"
import { PackedRefused } from "./refused.ts"
import type { turns } from "../turns.ts"

/**
 * The bytes of an image, numbers with the lowest byte first:
 *
 * | part       | bytes                                                                                              |
 * | ---------- | -------------------------------------------------------------------------------------------------- |
 * | head       | 80: magic, format, counts, time of building, sizes; then the cursor, the SHA-256 of each slice of  |
 * |            | what follows the head, and the SHA-256 of all of the head before it                                |
 * | index      | 4 a slot: where its entry begins. An open-addressing hash table with linear probing                |
 * | tags       | 1 a slot: 0 for a free one, else eight bits of the hash, so that a miss reads few entries          |
 * | dictionary | JSON: the templates and the strings that many records have in common                               |
 * | entries    | in the order of their slots: key, version, number of the template, what the template leaves open   |
 */
export interface Head {
  readonly routes: number
  readonly slots: number
  readonly seed: number
  /** How far from its place a key is at most. */
  readonly longestProbe: number
  /** In ms since 1970. */
  readonly builtAt: number
  readonly cursor: string | undefined
  readonly headBytes: number
  readonly dictionaryBytes: number
  readonly entryBytes: number
}

/** Raised by every change of the bytes: another version is refused, and the image has to be built again. */
const FORMAT = 1
const MAGIC = "PIROUTES"
const FIXED_BYTES = 80
/** One checksum for so many bytes: hashed in about a millisecond. */
const SLICE_BYTES = 1 << 20
const SUM_BYTES = 32
/** Opaque, but no data of its own. */
export const MAX_CURSOR_BYTES = 4_096
/** What a number of 32 bits can point into. */
export const MAX_ENTRY_BYTES = 2 ** 32 - 1

const NO_CURSOR = 0xffff_ffff

type Sizes = Pick<Head, "slots" | "dictionaryBytes" | "entryBytes">
const bodyBytes = ({ slots, dictionaryBytes, entryBytes }: Sizes): number => slots * 5 + dictionaryBytes + entryBytes

/** Where the parts begin. */
export const partsOf = (head: Head): { index: number; tags: number; dictionary: number; entries: number } => {
  const index = head.headBytes
  const tags = index + head.slots * 4
  const dictionary = tags + head.slots
  return { index, tags, dictionary, entries: dictionary + head.dictionaryBytes }
}

/** An image with its head and nothing else: fill in the parts, then {@link seal} it. */
export const blankImage = (given: Omit<Head, "headBytes">): { readonly bytes: Uint8Array; readonly head: Head } => {
  const cursor = given.cursor === undefined ? undefined : new TextEncoder().encode(given.cursor)
  const slices = Math.ceil(bodyBytes(given) / SLICE_BYTES)
  const headBytes = FIXED_BYTES + (cursor?.length ?? 0) + (slices + 1) * SUM_BYTES
  const head: Head = { ...given, headBytes }
  const bytes = new Uint8Array(headBytes + bodyBytes(given))
  const view = new DataView(bytes.buffer)
  bytes.set(new TextEncoder().encode(MAGIC), 0)
  view.setUint32(8, FORMAT, true)
  view.setUint32(12, cursor?.length ?? NO_CURSOR, true)
  view.setUint32(16, head.routes, true)
  view.setUint32(20, head.slots, true)
  view.setUint32(24, head.seed, true)
  view.setUint32(28, head.longestProbe, true)
  view.setFloat64(32, head.builtAt, true)
  view.setFloat64(40, head.dictionaryBytes, true)
  view.setFloat64(48, head.entryBytes, true)
  view.setFloat64(56, bytes.length, true)
  if (cursor !== undefined) bytes.set(cursor, FIXED_BYTES)
  return { bytes, head }
}

/** How long an image is by its beginning; `undefined` while too little of it is there. */
export const imageBytes = (beginning: Uint8Array): number | undefined => {
  if (beginning.length < FIXED_BYTES) return undefined
  checkFormat(beginning)
  const total = viewOf(beginning).getFloat64(56, true)
  if (!isCount(total)) throw new PackedRefused("format", "head", "a head")
  return total
}

/** How many routes a whole image has, by its head: of one that was packed here, and needs no verification. */
export const routesIn = (image: Uint8Array): number => viewOf(image).getUint32(16, true)

const checkFormat = (bytes: Uint8Array): void => {
  const magic = String.fromCharCode(...bytes.subarray(0, MAGIC.length))
  if (magic !== MAGIC) throw new PackedRefused("format", "magic", "that of an image of packRoutes")
  const format = viewOf(bytes).getUint32(8, true)
  if (format !== FORMAT) throw new PackedRefused("format", "format", `${FORMAT}, got ${format}`)
}

/**
 * Reads the head and compares its checksum, and that of each slice.
 *
 * @throws {PackedRefused}
 */
export const verifiedHead = async (bytes: Uint8Array, turn: ReturnType<typeof turns>): Promise<Head> => {
  const total = imageBytes(bytes)
  if (total === undefined) throw new PackedRefused("truncated", "head", `${FIXED_BYTES} bytes, got ${bytes.length}`)
  if (bytes.length < total) throw new PackedRefused("truncated", "bytes", `${total}, got ${bytes.length}`)
  const view = viewOf(bytes)
  const cursorLength = view.getUint32(12, true)
  const cursorBytes = cursorLength === NO_CURSOR ? 0 : cursorLength
  const sizes = {
    slots: view.getUint32(20, true),
    dictionaryBytes: view.getFloat64(40, true),
    entryBytes: view.getFloat64(48, true),
  }
  const slices = Math.ceil(bodyBytes(sizes) / SLICE_BYTES)
  const headBytes = FIXED_BYTES + cursorBytes + (slices + 1) * SUM_BYTES
  const adds = headBytes + bodyBytes(sizes) === total && total === bytes.length && sizes.slots > 0
  if (!adds || !isCount(sizes.dictionaryBytes) || !isCount(sizes.entryBytes) || cursorBytes > MAX_CURSOR_BYTES)
    throw new PackedRefused("format", "head", "sizes that add up to the image's")
  const sumsAt = FIXED_BYTES + cursorBytes
  const headSumAt = headBytes - SUM_BYTES
  if (!isSame(await sha256(bytes.subarray(0, headSumAt)), bytes.subarray(headSumAt, headBytes)))
    throw new PackedRefused("checksum", "head", "that of its checksum")
  for (let slice = 0; slice < slices; slice++) {
    const sumAt = sumsAt + slice * SUM_BYTES
    if (!isSame(await sha256(sliceOf(bytes, headBytes, slice)), bytes.subarray(sumAt, sumAt + SUM_BYTES)))
      throw new PackedRefused("checksum", `slice ${slice}`, "that of its checksum")
    await turn.next()
  }
  const routes = routesIn(bytes)
  const longestProbe = view.getUint32(28, true)
  const builtAt = view.getFloat64(32, true)
  // Beyond the checksums: whoever computes those can write anything.
  if (routes >= sizes.slots) throw new PackedRefused("format", "routes", "fewer than the slots")
  if (longestProbe >= sizes.slots) throw new PackedRefused("format", "longestProbe", "fewer than the slots")
  if (!isCount(builtAt)) throw new PackedRefused("format", "builtAt", "a time in ms since 1970")
  return {
    routes,
    longestProbe,
    builtAt,
    ...sizes,
    seed: view.getUint32(24, true),
    cursor: cursorLength === NO_CURSOR ? undefined : new TextDecoder().decode(bytes.subarray(FIXED_BYTES, sumsAt)),
    headBytes,
  }
}

/** Writes the checksums of an image whose parts are complete. */
export const seal = async (bytes: Uint8Array, { headBytes }: Head): Promise<void> => {
  const slices = Math.ceil((bytes.length - headBytes) / SLICE_BYTES)
  const headSumAt = headBytes - SUM_BYTES
  const sumsAt = headSumAt - slices * SUM_BYTES
  for (let slice = 0; slice < slices; slice++) {
    bytes.set(await sha256(sliceOf(bytes, headBytes, slice)), sumsAt + slice * SUM_BYTES)
  }
  bytes.set(await sha256(bytes.subarray(0, headSumAt)), headSumAt)
}

const sliceOf = (bytes: Uint8Array, headBytes: number, slice: number): Uint8Array => {
  const from = headBytes + slice * SLICE_BYTES
  return bytes.subarray(from, Math.min(from + SLICE_BYTES, bytes.length))
}

// A checksum against accidents: whoever may write images may write any. Web Crypto hashes beside the event loop.
const sha256 = async (bytes: Uint8Array): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>))

const isSame = (one: Uint8Array, other: Uint8Array): boolean => one.every((byte, at) => byte === other[at])

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
