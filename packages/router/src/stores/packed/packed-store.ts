import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { RouteKey } from "../record.ts"
import type { FirstLookup, Lookup, RouteStore, StoreStats } from "../route-store.ts"
import { checkNewer } from "./open-packed.ts"
import { PackedImage } from "./packed-image.ts"
import { UNPACKED, unpackedRecords } from "./unpacked-records.ts"
import type { UnpackedRecords } from "./unpacked-records.ts"

/** How a packed store is set up. */
export interface PackedStoreOptions {
  /**
   * How many records that were looked up are kept unpacked, as the objects that the router has decoded: in pairs,
   * so an odd number counts as one less. 0 to 1 048 576. Default 16 384.
   */
  readonly unpacked?: number
}

/** A route store that reads an image, and changes over to the next one at once. */
export interface PackedStore extends RouteStore {
  /** What is looked up in now. Absent before the first one: every look-up is unknown then, a 503. */
  readonly image: PackedImage | undefined
  /**
   * Takes an image from now on, whole. Open it with `{ previous: store.image }`, which compares each route.
   *
   * @throws {PackedRefused} for one that was built before the one in use, unless forced. That one stays in use
   */
  readonly swap: (image: PackedImage, options?: { readonly force?: boolean }) => void
  get(key: RouteKey): Lookup
  getFirst(keys: readonly RouteKey[]): FirstLookup
  stats(): StoreStats
}

const LAYER = "packed"

/**
 * Looks routes up in an image of `openPacked`. It knows at once: a key that the image does not have is a miss.
 *
 * ```ts
 * const store = packedStore(await openPacked(await readFile("routes.packed")))
 * store.swap(await openPacked(await readFile("routes.packed"), { previous: store.image }))
 * ```
 *
 * @throws {TypeError} for options that it does not have
 */
export const packedStore = (first?: PackedImage, options: PackedStoreOptions = {}): PackedStore => {
  checkOptions("packedStore", options, { unpacked: accept.integer(0, 1_048_576) })
  const { unpacked = UNPACKED } = options
  let used: { readonly image: PackedImage; readonly unpack: UnpackedRecords } | undefined

  const swap: PackedStore["swap"] = (next, given = {}) => {
    checkOptions("swap", given, { force: accept.boolean })
    if (!(next instanceof PackedImage)) throw new TypeError("swap: image must be an image of openPacked")
    if (used !== undefined && given.force !== true) checkNewer(next, used.image)
    used = { image: next, unpack: unpackedRecords(next, unpacked) }
  }

  const getFirst = (keys: readonly RouteKey[]): FirstLookup => {
    if (used === undefined) return notLoaded
    const { image, unpack } = used
    for (const key of keys) {
      const slot = image.find(key)
      if (slot === -1) continue
      return { status: "hit", key, record: unpack(slot, key), layer: LAYER, ageMs: ageMs(image) }
    }
    return miss
  }

  if (first !== undefined) swap(first)
  return {
    get image() {
      return used?.image
    },
    swap,
    get: (key) => {
      if (used === undefined) return notLoaded
      const { image, unpack } = used
      const slot = image.find(key)
      if (slot === -1) return miss
      return { status: "hit", record: unpack(slot, key), layer: LAYER, ageMs: ageMs(image) }
    },
    getFirst,
    stats: () => ({
      layers: [
        used === undefined ? { layer: LAYER } : { layer: LAYER, routes: used.image.routes, ageMs: ageMs(used.image) },
      ],
    }),
  }
}

/** A clock that was set back makes nothing of the future. */
const ageMs = ({ builtAt }: PackedImage): number => Math.max(0, Date.now() - builtAt)

const miss: Lookup = { status: "miss", layer: LAYER }
const notLoaded: Lookup = { status: "unknown", cause: "no image is loaded", retryAfterMs: 1_000, layer: LAYER }
