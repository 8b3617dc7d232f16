import { monotonicNow } from "@project-ingress/forward/internal"
import { ageOf, signOf } from "../reading/sign.ts"
import type { Sign } from "../reading/sign.ts"
import type { RouteKey } from "../record.ts"
import type { FirstLookup, Lookup, RouteStore } from "../route-store.ts"
import { KeyFailed } from "../store-health.ts"
import { lookupOf } from "./entry.ts"
import { decodeMarker, MARKER_KEY } from "./marker.ts"
import type { Marker } from "./marker.ts"

/** Where published routes are read. */
export interface PublishedSource {
  readonly layer: string
  /** The texts of some keys, in their order. */
  readonly read: (keys: readonly string[]) => Promise<readonly (string | null | undefined)[]>
  /** How old a publisher's last sign may be for a key that is absent to be a miss, in ms. */
  readonly maxMissAgeMs: number
}

/** A store of published routes. */
export interface PublishedStore extends RouteStore {
  get(key: RouteKey): Promise<Lookup>
  getFirst(keys: readonly RouteKey[]): Promise<FirstLookup>
}

/** How long a marker is taken as it was read, in ms. */
const MARKER_KEPT_MS = 30_000

/** Reads what a publisher has written. */
export const publishedStore = ({ layer, read, maxMissAgeMs }: PublishedSource): PublishedStore => {
  /** The marker as it was read. A value and no promise: requests of a Worker share none. */
  let marker: (Sign & Pick<Marker, "behind">) | undefined

  const isPublished = async (absent: readonly RouteKey[]): Promise<boolean> => {
    if (marker === undefined || monotonicNow() - marker.readAt > MARKER_KEPT_MS) {
      const [text] = await read([MARKER_KEY])
      const found = decodeMarker(text)
      marker = found && { ...found, ...signOf(found.at, marker) }
    }
    if (marker === undefined || ageOf(marker) > maxMissAgeMs) return false
    const { behind = [] } = marker
    return !absent.some((key) => behind.includes(key))
  }

  const getFirst = async (keys: readonly RouteKey[]): Promise<FirstLookup> => {
    try {
      const texts = await read(keys)
      const absent: RouteKey[] = []
      let found: FirstLookup = { status: "miss", layer }
      for (const [at, key] of keys.entries()) {
        const text = texts[at]
        const lookup = typeof text === "string" ? lookupOf(text, layer) : undefined
        if (lookup === undefined) absent.push(key)
        else if (lookup.status !== "miss") {
          found = { ...lookup, key }
          break
        }
      }
      // Whoever does not know whether an earlier key is there does not know that this one counts.
      return absent.length === 0 || (await isPublished(absent)) ? found : notPublished(layer)
    } catch (cause) {
      return { status: "unknown", cause, layer }
    }
  }

  return { get: (key) => getFirst([key]), getFirst }
}

const notPublished = (layer: string): Lookup => ({
  status: "unknown",
  cause: new KeyFailed("the key is absent, and not all routes were published lately"),
  retryAfterMs: 5_000,
  layer,
})
