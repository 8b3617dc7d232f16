import { accept, checkOptions } from "@project-ingress/forward/internal"
import { isUsableKey } from "../invalid-route.ts"
import type { OnInvalid } from "../invalid-route.ts"
import { leastRoutes } from "../shrink.ts"
import { routesIn } from "../packed/head.ts"
import { openPacked } from "../packed/open-packed.ts"
import { packChanges } from "../packed/pack-changes.ts"
import { packRoutes } from "../packed/pack-routes.ts"
import type { PackedImage } from "../packed/packed-image.ts"
import { PackedRefused } from "../packed/refused.ts"
import { addLatest } from "../published/latest-changes.ts"
import { PublishFailed, PublishRefused } from "../published/publish-errors.ts"
import type { PublishResult, RoutePublisher } from "../published/route-publisher.ts"
import { publisherOf } from "../published/rounds.ts"
import { quietly } from "../quietly.ts"
import type { RouteKey, RouteRecord } from "../record.ts"
import type { RouteChange, RouteFeed } from "../route-feed.ts"
import type { RouteSourceEvent } from "../store-event.ts"
import { checkFeed, guardedFeed } from "../guarded-feed.ts"
import { decodeManifest, encodeManifest, MANIFEST, MAX_PAGES, pageName, pageOf } from "./manifest.ts"
import type { Manifest } from "./manifest.ts"
import type { PageStorage } from "./page-storage.ts"

/** How a table is published in pages. */
export interface PagePublisherOptions {
  /**
   * How many pages there are, from 1 to 2^20. Default: a power of two that puts about 2 000 routes into each, changed when all routes are
   * published and a page has less than 500 or more than 4 000.
   */
  readonly pages?: number
  /** How long a page stays that is no longer used, for readers of an earlier manifest, in ms. Default 1 h. */
  readonly keepMs?: number
  /** After so long without a change the manifest is written again, as a sign for readers, in ms. Default 60 000. */
  readonly signMs?: number
  /** How many changes are taken into one round, from 1 to 100 000. Default 10 000. */
  readonly maxChanges?: number
  /**
   * Called for each record that no router of this version can use; and, with the field `key` or `version`, for each route or change
   * that is left out because nobody can tell of what it is.
   */
  readonly onInvalid?: OnInvalid
  /** Called as pages are written: how many of how many. */
  readonly onProgress?: (written: number, of: number) => void
  /** All routes were published (`loaded`), were refused, or publishing fails and works again. What it throws is ignored. */
  readonly onEvent?: (event: RouteSourceEvent) => void
}

const LAYER = "pages"
/** Routes in a page: some 130 kB, which a Worker opens in about a millisecond. */
const ROUTES_OF_PAGE = 2_000
const [LEAST_OF_PAGE, MOST_OF_PAGE] = [500, 4_000]
/** How many pages are written at a time: as many connections as a Worker has. */
const CONCURRENCY = 6

/** A page to be written. */
interface Page {
  readonly name: string
  readonly bytes: Uint8Array
}

/**
 * Publishes the routes of a feed in pages, for `pagedStore`. A round writes the pages that have changed and then the manifest that names
 * them: readers see all of a round or nothing of it, and a publisher that dies in between has published nothing. All routes go through
 * this process's memory when all are published. One publisher for a storage.
 *
 * ```ts
 * const publisher = pagePublisher(kvPages(env.ROUTES), d1Registry(env.DB, { grammar }))
 * await publisher.sync()
 * ```
 *
 * @throws {TypeError} if an option is unknown or of the wrong type
 */
export const pagePublisher = (
  storage: PageStorage,
  feed: RouteFeed,
  options: PagePublisherOptions = {},
): RoutePublisher => {
  for (const method of ["read", "write", "remove"] as const) {
    if (typeof storage?.[method] !== "function")
      throw new TypeError(`pagePublisher: the storage must have a method ${method}`)
  }
  checkFeed("pagePublisher", feed)
  checkOptions("pagePublisher", options, {
    pages: accept.integer(1, MAX_PAGES),
    keepMs: accept.integer(0),
    signMs: accept.integer(0),
    maxChanges: accept.integer(1, 100_000),
    onInvalid: accept.function,
    onProgress: accept.function,
    onEvent: accept.function,
  })
  const { keepMs = 3_600_000, signMs = 60_000, maxChanges = 10_000 } = options
  const { onInvalid = () => undefined, onProgress = () => undefined } = options
  const onEvent = quietly(options.onEvent)
  /** The manifest as this publisher has written it last: a read of an eventual storage may be older. */
  let own: Manifest | undefined

  const source = guardedFeed(feed)
  const read = async (name: string, signal: AbortSignal): Promise<Uint8Array | undefined> =>
    storage.read(name, { fresh: true, signal })

  const readManifest = async (signal: AbortSignal): Promise<Manifest | undefined> => {
    const bytes = await read(MANIFEST, signal)
    if (bytes === undefined) return undefined
    try {
      return decodeManifest(bytes)
    } catch (cause) {
      // Damaged, or of another version: everything is published again.
      if (cause instanceof PackedRefused) return undefined
      throw cause
    }
  }

  /** A page as it is stored; `undefined` if it is gone or damaged. */
  const readPage = async (name: string, signal: AbortSignal): Promise<PackedImage | undefined> => {
    const bytes = await read(name, signal)
    return bytes !== undefined && (await pageName(bytes)) === name ? openPacked(bytes, { force: true }) : undefined
  }

  /** Writes pages by number, those that are stored already not, and then the manifest. */
  const save = async (
    previous: Manifest | undefined,
    next: Pick<Manifest, "seed" | "routes" | "asOf" | "cursor" | "forced"> & { readonly pages: number },
    changed: readonly (readonly [number: number, pack: () => Promise<Page>])[],
    signal: AbortSignal,
  ): Promise<number> => {
    const names: (string | undefined)[] = Array.from({ length: next.pages }, (_, at) => previous?.pages[at])
    const before = new Set(previous?.pages)
    const fresh = new Set<string>()
    let done = 0
    await inParallel(changed, async ([number, pack]) => {
      signal.throwIfAborted()
      const { name, bytes } = await pack()
      // Pages without a route are one and the same.
      if (!before.has(name) && !fresh.has(name)) {
        fresh.add(name)
        await storage.write(name, bytes)
      }
      names[number] = name
      done += 1
      onProgress(done, changed.length)
    })
    const now = Date.now()
    const used = new Set(names)
    const retired = new Map(previous?.retired)
    for (const name of before) if (!used.has(name)) retired.set(name, now)
    const left: [string, number][] = []
    for (const [name, since] of retired) {
      if (used.has(name)) continue
      // A clock that was set back keeps it longer.
      if (now - since > keepMs) await storage.remove(name)
      else left.push([name, since])
    }
    // Every page of a new table was packed, and of an earlier one the others have their names.
    const manifest: Manifest = { ...next, pages: names as string[], retired: left }
    own = undefined
    await storage.write(MANIFEST, encodeManifest(manifest))
    own = manifest
    return fresh.size
  }

  const all = async (force: boolean, signal: AbortSignal): Promise<PublishResult> => {
    const previous = await readManifest(signal)
    const asOf = Math.max(Date.now(), previous?.asOf ?? 0)
    const { cursor, routes } = await source.snapshot(signal)
    const records = new Map<RouteKey, RouteRecord>()
    for await (const [key, record] of routes) {
      if (isUsableKey(key, onInvalid)) records.set(key, record)
    }
    const count = records.size
    if (!force && previous !== undefined && count < leastRoutes(previous.routes))
      throw new PublishRefused(LAYER, "smaller", `${count} routes, and ${previous.routes} are stored`)
    const pages = options.pages ?? pagesFor(count, previous)
    const layout = previous?.pages.length === pages ? previous : undefined
    const seed = layout?.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!
    const parts = Array.from({ length: pages }, (): [RouteKey, RouteRecord][] => [])
    for (const [key, record] of records) parts[pageOf(key, { seed, pages: parts })]!.push([key, record])
    records.clear()

    const pack = async (number: number): Promise<Page> => {
      const page = await named(await packRoutes(parts[number]!, { builtAt: 0, onInvalid }))
      parts[number] = []
      const before = layout?.pages[number]
      if (force || before === undefined || before === page.name) return page
      const stored = await readPage(before, signal)
      const older = stored && olderThan(await openPacked(page.bytes, { force: true }), stored)
      if (older !== undefined)
        throw new PublishRefused(LAYER, "older", `${older} has an earlier version than the one stored`)
      return page
    }
    const changed = parts.map((_, number) => [number, () => pack(number)] as const)
    const next = { seed, pages, routes: count, asOf, cursor, forced: force }
    const written = await save(previous, next, changed, signal)
    onEvent({ type: "route_source", layer: LAYER, state: "loaded", routes: count })
    return { round: "all", written, more: false }
  }

  const changes = async (waitMs: number, signal: AbortSignal): Promise<PublishResult> => {
    const manifest = own ?? (await readManifest(signal))
    if (manifest === undefined) return all(false, signal)
    const asOf = Math.max(Date.now(), manifest.asOf)
    const page = await source.changes(manifest.cursor, waitMs, signal, Math.min(10_000, maxChanges))
    if (page.status === "gap") return all(false, signal)
    const { cursor, more } = page
    if (page.changes.length === 0 && cursor === manifest.cursor && asOf - manifest.asOf < signMs)
      return { round: "changes", written: 0, more }

    const latest = new Map<RouteKey, RouteChange>()
    addLatest(latest, page.changes, onInvalid)
    const byPage = Map.groupBy(latest, ([key]) => pageOf(key, manifest))
    let { routes } = manifest
    const changed: (readonly [number, () => Promise<Page>])[] = []
    for (const [number, entries] of byPage) {
      const image = await readPage(manifest.pages[number]!, signal)
      // What it held is in the feed's snapshot.
      if (image === undefined) return all(false, signal)
      const newer = new Map(
        entries
          .filter(([key, { version }]) => {
            const slot = image.find(key)
            return slot === -1 || image.versionOf(slot) < version
          })
          .map(([key, { record }]) => [key, record]),
      )
      if (newer.size === 0) continue
      const packed = await packChanges(image, newer, { cursor: undefined, builtAt: 0 })
      routes += routesIn(packed) - image.routes
      changed.push([number, () => named(packed)])
    }
    const { seed, pages } = manifest
    const next = { seed, pages: pages.length, routes, asOf, cursor, forced: manifest.forced }
    return { round: "changes", written: await save(manifest, next, changed, signal), more }
  }

  return publisherOf({ layer: LAYER, onEvent, all, changes })
}

const named = async (bytes: Uint8Array): Promise<Page> => ({ name: await pageName(bytes), bytes })

/** Whatever pages there are, they stay while they are neither small nor large. */
const pagesFor = (routes: number, previous: Manifest | undefined): number => {
  const now = previous?.pages.length
  if (now !== undefined && routes <= now * MOST_OF_PAGE && (now === 1 || routes >= now * LEAST_OF_PAGE)) return now
  return Math.min(MAX_PAGES, 2 ** Math.max(0, Math.ceil(Math.log2(routes / ROUTES_OF_PAGE))))
}

/** The first key that has an earlier version than in the image before. */
const olderThan = (image: PackedImage, before: PackedImage): RouteKey | undefined => {
  for (let slot = 0; slot < image.slots; slot++) {
    const versions = image.versionsOf(slot, before)
    if (versions !== undefined && versions.own < versions.other) return image.keyOf(slot)
  }
  return undefined
}

/** Runs all, a few at a time; rejects with the first failure, once those that have begun have ended. */
const inParallel = async <A>(items: readonly A[], run: (item: A) => Promise<void>): Promise<void> => {
  let next = 0
  let failure: { readonly cause: unknown } | undefined
  const work = async (): Promise<void> => {
    while (next < items.length && failure === undefined) {
      const item = items[next++]!
      try {
        await run(item)
      } catch (cause) {
        failure ??= { cause }
      }
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, work))
  if (failure === undefined) return
  const { cause } = failure
  throw cause instanceof PublishRefused ? cause : new PublishFailed(LAYER, "a page was not written", cause)
}
