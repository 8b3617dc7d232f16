import { accept, checkOptions, monotonicNow } from "@project-ingress/forward/internal"
import { makeCircuit } from "../reading/circuit.ts"
import { makeClockTable } from "../reading/clock-table.ts"
import { makeSharedLoads } from "../reading/shared-loads.ts"
import { ageOf, signOf } from "../reading/sign.ts"
import type { Sign } from "../reading/sign.ts"
import { within } from "../reading/within.ts"
import { checkShrink, openPacked } from "../packed/open-packed.ts"
import type { PackedImage } from "../packed/packed-image.ts"
import { PackedRefused } from "../packed/refused.ts"
import { unpackedRecords } from "../packed/unpacked-records.ts"
import type { UnpackedRecords } from "../packed/unpacked-records.ts"
import { quietly } from "../quietly.ts"
import type { RouteKey } from "../record.ts"
import type { Lookup, LookupOptions, RouteStore, StoreStats } from "../route-store.ts"
import type { RouteSourceEvent } from "../store-event.ts"
import { KeyFailed, LookupFailed, reasonOf } from "../store-health.ts"
import { decodeManifest, MANIFEST, pageName, pageOf } from "./manifest.ts"
import type { Layout, Manifest } from "./manifest.ts"
import type { PageReader } from "./page-storage.ts"

/** How pages are read and kept. Times in ms. */
export interface PagedStoreOptions {
  /** How many bytes of pages are kept in memory, from 1 MiB up. Default 24 MiB, so that a Worker's 128 MB have room for requests. */
  readonly maxBytes?: number
  /** How old what is known of the table may be until it is looked for changes beside a request. Default 5 000. */
  readonly softMs?: number
  /** From then on a request waits until it was looked for changes, for `timeoutMs` at most. Default 30 000. */
  readonly revalidateMs?: number
  /** How long a read may take. Default 2 000. */
  readonly timeoutMs?: number
  /** How old the publisher's last sign may be for an absent key to be a miss; beyond it is unknown, a 503. Default 15 minutes. */
  readonly maxMissAgeMs?: number
  /** How old the publisher's last sign may be for a route to be used at all. Default 24 h. */
  readonly maxAgeMs?: number
  /** A table was read for the first time, was refused, or cannot be read and can be again. What it throws is ignored. */
  readonly onEvent?: (event: RouteSourceEvent) => void
}

/** A store of a table in pages. */
export interface PagedStore extends RouteStore {
  stats(): StoreStats
}

const LAYER = "pages"
/** How many records of one page are kept unpacked: a page's visitors are few. */
const UNPACKED_OF_PAGE = 64
const MIB = 1 << 20

interface KnownTable extends Sign {
  readonly manifest: Manifest
  /** How the table before was laid out, if otherwise: its pages are what there is until this one's can be read. */
  readonly earlier: Layout | undefined
}

interface LoadedPage {
  readonly name: string
  readonly image: PackedImage
  readonly unpack: UnpackedRecords
  /** When the table that it was last seen to be a page of was as the feed said, by `monotonicNow`. */
  asOf: number
}

/**
 * Looks routes up in the pages of `pagePublisher`, of which it keeps those in memory that are asked for: for Workers, where all of a
 * large table does not fit. It decides at once where the page is in memory.
 *
 * ```ts
 * const store = pagedStore(cachedPages(kvPages(env.ROUTES), await caches.open("routes")))
 * ```
 *
 * @throws {TypeError} if an option is unknown or of the wrong type
 */
export const pagedStore = (reader: PageReader, options: PagedStoreOptions = {}): PagedStore => {
  if (typeof reader?.read !== "function") throw new TypeError("pagedStore: the reader must have a method read")
  checkOptions("pagedStore", options, {
    maxBytes: accept.integer(MIB),
    softMs: accept.integer(0),
    revalidateMs: accept.integer(0),
    timeoutMs: accept.integer(1),
    maxMissAgeMs: accept.integer(0),
    maxAgeMs: accept.integer(0),
    onEvent: accept.function,
  })
  const { maxBytes = 24 * MIB, softMs = 5_000, revalidateMs = 30_000, timeoutMs = 2_000 } = options
  const { maxMissAgeMs = 15 * 60_000, maxAgeMs = 86_400_000 } = options
  const onEvent = quietly(options.onEvent)

  let known: KnownTable | undefined
  /** When it was looked for changes, with success or not, by `monotonicNow`. */
  let triedAt = -Infinity
  let isFailing = false
  const pages = makeClockTable<LoadedPage>(maxBytes)
  const reads = makeSharedLoads<unknown>()
  const circuit = makeCircuit(Math.random)

  /** Resolves to why the table could not be read. */
  const readManifest = async (): Promise<unknown> => {
    triedAt = monotonicNow()
    try {
      const bytes = await within(timeoutMs, (signal) => reader.read(MANIFEST, { fresh: true, signal }))
      if (bytes === undefined) throw new LookupFailed("no routes are published")
      const manifest = decodeManifest(bytes)
      const isFirst = known === undefined
      // Of two reads the later may come from a replica that lags: no failure, and nothing new.
      const isOlder = known !== undefined && manifest.asOf < known.manifest.asOf
      if (known !== undefined && !isOlder && !manifest.forced) checkShrink(manifest.routes, known.manifest.routes)
      known = isOlder
        ? { ...known!, readAt: monotonicNow(), ageMs: ageOf(known!) }
        : { manifest, earlier: known && earlierLayout(manifest, known), ...signOf(manifest.asOf, known) }
      if (isFirst) onEvent({ type: "route_source", layer: LAYER, state: "loaded", routes: manifest.routes })
      else if (isFailing) onEvent({ type: "route_source", layer: LAYER, state: "recovered" })
      isFailing = false
      return undefined
    } catch (cause) {
      if (!isFailing) {
        const state = cause instanceof PackedRefused ? "refused" : "failing"
        onEvent({ type: "route_source", layer: LAYER, state, reason: sentenceOf(cause) })
      }
      isFailing = true
      return cause
    }
  }

  const check = (waitUntil: LookupOptions["waitUntil"]): Promise<unknown> =>
    reads.join(MANIFEST, readManifest, waitUntil)

  /** Resolves to why the page could not be read. */
  const readPage = async (table: KnownTable, number: number): Promise<unknown> => {
    const { manifest, readAt, ageMs } = table
    const name = manifest.pages[number]!
    circuit.begin()
    try {
      const image = await openPage(reader, name, timeoutMs)
      const unpack = unpackedRecords(image, UNPACKED_OF_PAGE)
      const page = { name, image, unpack, asOf: readAt - ageMs }
      pages.set(placeOf(number, manifest), page, { share: "", weight: image.bytes.length })
      circuit.worked()
      return undefined
    } catch (cause) {
      if (cause instanceof KeyFailed) circuit.keyFailed(name)
      else circuit.failed(name)
      return cause
    }
  }

  /** What the page in memory says; `undefined` if it is not there. */
  const lookIn = (key: RouteKey, table: KnownTable): Lookup | undefined => {
    const { manifest } = table
    const number = pageOf(key, manifest)
    const page = pages.get(placeOf(number, manifest))
    if (page === undefined || page.name !== manifest.pages[number]) return undefined
    page.asOf = table.readAt - table.ageMs
    const ageMs = ageOf(table)
    const slot = page.image.find(key)
    if (ageMs > (slot === -1 ? maxMissAgeMs : maxAgeMs)) return noSign
    const source = { layer: LAYER, ageMs, ...(ageMs > maxMissAgeMs ? { stale: true } : {}) }
    return slot === -1 ? { status: "miss", ...source } : { status: "hit", record: page.unpack(slot, key), ...source }
  }

  /**
   * What a page of an earlier table says, where the one in its place cannot be read. Never a miss: the key may be what that one has
   * more, and of another layout a page in its place has other keys.
   */
  const lookInEarlier = (key: RouteKey, { manifest, earlier }: KnownTable): Lookup | undefined => {
    for (const layout of [manifest, earlier]) {
      const page = layout && pages.get(placeOf(pageOf(key, layout), layout))
      const slot = page?.image.find(key) ?? -1
      if (page === undefined || slot === -1) continue
      const ageMs = monotonicNow() - page.asOf
      if (ageMs <= maxAgeMs) return { status: "hit", record: page.unpack(slot, key), layer: LAYER, ageMs, stale: true }
    }
    return undefined
  }

  const lookLater = async (
    key: RouteKey,
    mustCheck: boolean,
    waitUntil: LookupOptions["waitUntil"],
  ): Promise<Lookup> => {
    const failure = mustCheck ? await check(waitUntil) : undefined
    const table = known
    if (table === undefined) return unknown(failure)
    const now = lookIn(key, table)
    if (now !== undefined) return now
    const number = pageOf(key, table.manifest)
    const name = table.manifest.pages[number]!
    // By its place, too: pages without a route have one name.
    const load = `${placeOf(number, table.manifest)} ${name}`
    const retryAfterMs = reads.isLoading(load) ? 0 : circuit.waitMs(name)
    const cause =
      retryAfterMs > 0
        ? new LookupFailed("pages cannot be read")
        : await reads.join(load, () => readPage(table, number), waitUntil)
    // An image larger than the memory for all of them is never there.
    return (
      lookIn(key, table) ??
      lookInEarlier(key, table) ??
      unknown(cause ?? new LookupFailed("the page is larger than maxBytes"), retryAfterMs)
    )
  }

  return {
    get: (key, { refresh = false, waitUntil }) => {
      const table = known
      const sinceRead = table === undefined ? Infinity : monotonicNow() - table.readAt
      if (table === undefined || refresh || sinceRead >= revalidateMs) {
        const isTried = !refresh && monotonicNow() - triedAt < softMs
        return lookLater(key, !isTried || (table === undefined && reads.isLoading(MANIFEST)), waitUntil)
      }
      // It settles by itself, and never rejects.
      if (sinceRead >= softMs && monotonicNow() - triedAt >= softMs) void check(waitUntil)
      return lookIn(key, table) ?? lookLater(key, false, waitUntil)
    },
    stats: () => ({
      layers: [
        known === undefined ? { layer: LAYER } : { layer: LAYER, routes: known.manifest.routes, ageMs: ageOf(known) },
      ],
    }),
  }
}

/** Where a page is kept: under its number, in place of the one before. */
const placeOf = (number: number, { seed, pages }: Layout): string => `${seed} ${pages.length} ${number}`

const earlierLayout = ({ seed, pages }: Manifest, { manifest, earlier }: KnownTable): Layout | undefined =>
  seed === manifest.seed && pages.length === manifest.pages.length
    ? earlier
    : { seed: manifest.seed, pages: { length: manifest.pages.length } }

/** Reads a page, and once more past all caches if it is damaged there. */
const openPage = async (reader: PageReader, name: string, timeoutMs: number): Promise<PackedImage> => {
  for (const fresh of [false, true]) {
    const bytes = await within(timeoutMs, (signal) => reader.read(name, { fresh, signal }))
    // Compared with its name, a page of another table, or another page of this one, is not taken for it.
    if (bytes !== undefined && (await pageName(bytes)) === name) return openPacked(bytes, { force: true })
  }
  // As a page that was written just now may be: it says nothing of the others.
  throw new KeyFailed("a page is absent or damaged")
}

const sentenceOf = (cause: unknown): string => (cause instanceof PackedRefused ? cause.message : reasonOf(cause))

const noSign: Lookup = {
  status: "unknown",
  cause: new LookupFailed("the publisher of the routes has given no sign for too long"),
  retryAfterMs: 5_000,
  layer: LAYER,
}

const unknown = (cause: unknown, retryAfterMs = 0): Lookup => ({
  status: "unknown",
  cause,
  retryAfterMs: Math.max(1_000, retryAfterMs),
  layer: LAYER,
})
