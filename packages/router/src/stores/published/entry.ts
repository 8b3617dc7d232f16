import { decodeRecord } from "../decode-record.ts"
import { isUsableKey } from "../invalid-route.ts"
import type { OnInvalid } from "../invalid-route.ts"
import type { RouteKey, RouteRecord } from "../record.ts"
import type { CachedRoute } from "../route-cache.ts"
import type { Lookup } from "../route-store.ts"
import { isCount, isObject } from "../shape.ts"
import { KeyFailed } from "../store-health.ts"

/**
 * The format that this version writes. A reader takes every format up to its own and leaves out fields that it does not know, so
 * readers are deployed before writers.
 */
export const ENTRY_FORMAT = 1

/** Far above any record that is valid, escapes included: what is longer is not stored. In UTF-16 units. */
const MAX_TEXT = 4_194_304

/** What is stored under a key: JSON. */
export interface Entry {
  /** The record's; of a tombstone that of the removal. 0 for a miss that an authority gave a cache. */
  readonly version: number
  /** When it was written, in ms since 1970. */
  readonly readAt: number
  /** Absent: the key leads nowhere. Anything else is for the router's decoder to refuse. */
  readonly record?: RouteRecord
}

/** An entry on its way to where it is stored. */
export interface EntryToWrite {
  readonly key: RouteKey
  readonly version: number
  readonly isRemoved: boolean
  /** Also in place of a higher version. */
  readonly isForced?: boolean
  readonly text: string
}

/** An entry as text. Format, version and time come first: a script in Redis reads them without the rest. */
export const encodeEntry = ({ version, readAt, record }: Entry): string =>
  JSON.stringify({ v: ENTRY_FORMAT, version, readAt, record })

/** The entry in a text, or why there is none, as a sentence. Never throws. */
export const decodeEntry = (text: string): Entry | string => {
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch {
    return "the entry is not JSON"
  }
  if (!isObject(fields)) return "the entry is no object"
  const { v, version, readAt, record } = fields
  if (!isCount(v) || v === 0) return "the entry has no format"
  if (v > ENTRY_FORMAT) return `the entry has format ${v}, and this version reads up to ${ENTRY_FORMAT}`
  if (!isCount(version)) return "the entry has no version"
  if (!isCount(readAt)) return "the entry has no time"
  // Looked at by whoever uses it: only its own hostname fails.
  return Object.hasOwn(fields, "record") ? { version, readAt, record: record as RouteRecord } : { version, readAt }
}

/** What a store says of an entry. */
export const lookupOf = (text: string, layer: string): Lookup => {
  const entry = decodeEntry(text)
  if (typeof entry === "string") return { status: "unknown", cause: new KeyFailed(entry), layer }
  return entry.record === undefined ? { status: "miss", layer } : { status: "hit", record: entry.record, layer }
}

/** What a cache says of an entry: one that cannot be read is not in it. */
export const cachedRouteOf = (text: string): CachedRoute | undefined => {
  const entry = decodeEntry(text)
  if (typeof entry === "string") return undefined
  const { readAt, record } = entry
  return record === undefined ? { readAt } : { readAt, record }
}

/** An entry of a cache as text. */
export const cachedText = ({ readAt, record }: CachedRoute): string =>
  encodeEntry({
    version: record === undefined ? 0 : versionOf(record),
    readAt,
    ...(record === undefined ? {} : { record }),
  })

/** What is to be written for a route, unless no hostname leads to its key. */
export const entryToWrite = (
  { key, version, record }: { readonly key: RouteKey; readonly version: number; readonly record?: RouteRecord },
  readAt: number,
  onInvalid: OnInvalid,
): EntryToWrite | undefined => {
  if (!isUsableKey(key, onInvalid)) return undefined
  const isRemoved = record === undefined
  if (!isRemoved) {
    const { problem } = decodeRecord(record)
    if (problem !== undefined) onInvalid(key, problem)
  }
  const text = isRemoved ? encodeEntry({ version, readAt }) : textOf({ version, readAt, record })
  return { key, version, isRemoved, text }
}

/** A record that is no JSON, or far too long, is `null`: the router refuses it, and so its own hostnames fail. */
const textOf = (entry: Required<Entry>): string => {
  try {
    const text = encodeEntry(entry)
    if (text.length <= MAX_TEXT) return text
  } catch {
    // A cycle or a bigint.
  }
  return encodeEntry({ ...entry, record: null as never })
}

/** Of an invalid record 1: any later one replaces it. */
export const versionOf = (record: unknown): number => {
  const version = isObject(record) ? record["version"] : undefined
  return isCount(version) && version > 0 ? version : 1
}
