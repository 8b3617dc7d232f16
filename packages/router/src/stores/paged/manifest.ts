import { hashOfKey, slotOf } from "../packed/key-hash.ts"
import { ByteWriter } from "../packed/bytes.ts"
import { PackedRefused } from "../packed/refused.ts"
import { isCount, isObject } from "../shape.ts"

/**
 * Which pages make up a table. JSON, written after the pages that it names: whoever reads it has all of the table of one moment, or
 * nothing of it. A page's name is the hash of its bytes, so that a page that has not changed is not written or read again.
 */
export interface Manifest {
  /** The seed of the hash that chooses a key's page: without it nobody knows which names would share one. */
  readonly seed: number
  /** The names of the pages, in the order of their numbers. */
  readonly pages: readonly string[]
  /** Routes in all pages. */
  readonly routes: number
  /** When the table was as the feed said, in ms since 1970, by the clock of the publisher. */
  readonly asOf: number
  /** Where the feed goes on. */
  readonly cursor: string
  /** True: published by force, so that a table much smaller than the one before is no accident. */
  readonly forced: boolean
  /** Pages that are no longer used, and since when: readers of an earlier manifest still read them. */
  readonly retired: readonly (readonly [name: string, since: number])[]
}

/** The name that the manifest is stored under. */
export const MANIFEST = "manifest"

/** Raised by every change: another version is refused. */
const FORMAT = 1
/** Far more than a table needs: 2^20 pages of 2 000 routes. */
export const MAX_PAGES = 2 ** 20

export const encodeManifest = (manifest: Manifest): Uint8Array =>
  new TextEncoder().encode(JSON.stringify({ format: FORMAT, ...manifest }))

/** @throws {PackedRefused} for what is no manifest of this version */
export const decodeManifest = (bytes: Uint8Array): Manifest => {
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    // Said below.
  }
  if (!isObject(parsed)) throw refused("", "JSON")
  const { format, seed, pages, routes, asOf, cursor, forced, retired } = parsed
  if (format !== FORMAT) throw refused("format", `${FORMAT}, got ${String(format).slice(0, 20)}`)
  if (!isCount(seed) || seed >= 2 ** 32) throw refused("seed", "an integer of 32 bits")
  if (!Array.isArray(pages) || pages.length === 0 || pages.length > MAX_PAGES || !pages.every((name) => isName(name)))
    throw refused("pages", `1 to ${MAX_PAGES} names of pages`)
  if (!isCount(routes)) throw refused("routes", "a count")
  if (!isCount(asOf)) throw refused("asOf", "a time in ms since 1970")
  if (typeof cursor !== "string") throw refused("cursor", "a string")
  if (typeof forced !== "boolean") throw refused("forced", "true or false")
  if (!Array.isArray(retired) || !retired.every((each) => isRetired(each))) throw refused("retired", "names and times")
  return { seed, pages, routes, asOf, cursor, forced, retired }
}

/** How keys are spread over pages: a page is that of its number in one layout only. */
export interface Layout {
  readonly seed: number
  readonly pages: { readonly length: number }
}

/** The number of the page that holds a key, if any does. */
export const pageOf = (key: string, { seed, pages }: Layout): number =>
  slotOf(hashOfKey(writer, key, seed), pages.length)
// Written and read before anything else runs.
const writer = new ByteWriter()

/** The name of a page: half of its SHA-256, in hex. */
export const pageName = async (bytes: Uint8Array): Promise<string> => {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>), 0, 16)
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")
}

const refused = (field: string, accepted: string): PackedRefused =>
  new PackedRefused("format", field === "" ? "manifest" : `manifest.${field}`, accepted)

const isName = (name: unknown): name is string => typeof name === "string" && /^[\da-f]{32}$/.test(name)

const isRetired = (entry: unknown): boolean => Array.isArray(entry) && isName(entry[0]) && isCount(entry[1])
