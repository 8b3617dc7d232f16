import { isCount, isObject } from "../shape.ts"
import { ENTRY_FORMAT } from "./entry.ts"

/**
 * Stands beside the entries once all routes have been published, and says how far a publisher has come. Without it nobody knows
 * whether a key that is absent was never published.
 */
export interface Marker {
  /** Where the feed goes on. */
  readonly cursor: string
  /** When everything was as the feed said, in ms since 1970. */
  readonly at: number
  /** When all routes were last compared, in ms since 1970. */
  readonly comparedAt: number
  /** Keys that could not be written: nobody knows what they lead to. Absent: none. */
  readonly behind?: readonly string[]
}

/** If more keys cannot be written, the marker is not: then no key that is absent is known to be. */
export const MAX_BEHIND = 100

/** Its key: no route's, which begin with a letter and a colon. */
export const MARKER_KEY = "~published"

/** After so long without a change the marker is written again, in ms. */
export const MARKER_INTERVAL_MS = 5 * 60_000

export const encodeMarker = (marker: Marker): string => JSON.stringify({ v: ENTRY_FORMAT, ...marker })

/** `undefined` for what is no marker of a format that this version knows. */
export const decodeMarker = (text: string | null | undefined): Marker | undefined => {
  if (typeof text !== "string") return undefined
  try {
    const fields: unknown = JSON.parse(text)
    if (!isObject(fields)) return undefined
    const { v, cursor, at, comparedAt, behind } = fields
    const isKnown = isCount(v) && v >= 1 && v <= ENTRY_FORMAT
    if (!isKnown || typeof cursor !== "string") return undefined
    if (typeof at !== "number" || typeof comparedAt !== "number") return undefined
    return Array.isArray(behind) ? { cursor, at, comparedAt, behind: behind.map(String) } : { cursor, at, comparedAt }
  } catch {
    return undefined
  }
}
