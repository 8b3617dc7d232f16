import { monotonicNow } from "@project-ingress/forward/internal"
import type { OnInvalid } from "../invalid-route.ts"
import { openPacked } from "../packed/open-packed.ts"
import { packRoutes } from "../packed/pack-routes.ts"
import { PackedRefused } from "../packed/refused.ts"
import { backOffMs } from "../reading/back-off.ts"
import type { BackOff } from "../reading/back-off.ts"
import { pause } from "../reading/pause.ts"
import { LookupFailed } from "../store-health.ts"
import { turns } from "../turns.ts"
import type { FeedPage, RouteFeed } from "../route-feed.ts"
import { compareSnapshot } from "./compare-snapshot.ts"
import { decodeChange, RouteTable } from "./route-table.ts"
import type { DecodedChange } from "./route-table.ts"
import { guardedFeed, TIMEOUT_MS } from "../guarded-feed.ts"
import type { SourceHealth } from "./source-health.ts"

/** What keeps a table like its feed. */
export interface FeedReader {
  /** Reads on and on, until it is disposed of. */
  readonly start: () => void
  /**
   * Reads all routes now, in place of whatever is being read. Rejects with a `PackedRefused` for a snapshot that is not used,
   * unless forced, and with what the feed rejects with.
   */
  readonly reload: (force: boolean) => Promise<void>
  /** Reads the changes that there are now. Resolves once the table has them, or when that did not work. */
  readonly catchUp: () => Promise<void>
  readonly isReloading: () => boolean
  readonly dispose: () => void
}

/** What a reader works on. */
export interface FeedReaderSettings {
  readonly feed: RouteFeed
  readonly health: SourceHealth
  readonly onInvalid: OnInvalid | undefined
  readonly random: () => number
  readonly relistMs: number
  readonly unpacked: number
  readonly table: () => RouteTable | undefined
  /** Changes over to another table. */
  readonly install: (table: RouteTable) => void
  /** The table has all changes that the source had then. */
  readonly heard: () => void
  /** Changes were taken. */
  readonly changed: () => void
}

/** How long the feed may keep a reader waiting, in ms: a connection that is dead is found out so long after at most. */
const WAIT_MS = 10_000
/** A table that has not heard from its source for as long is stale, in ms. */
export const FRESH_MS = WAIT_MS + TIMEOUT_MS
/** The least time between two reads while changes come all the time, in ms: so many routers read so often at most. */
const READ_GAP_MS = 20
/** The least time between two reads of a feed that gives nothing and does not wait, in ms. */
const EMPTY_GAP_MS = 250
/** A source without routes may get its first one soon, and is read at no cost. */
const EMPTY_RETRY_MS = 1_000
/** Between attempts to read a source that fails. */
const BACK_OFF: BackOff = { firstMs: 100, longestMs: 30_000 }

export const feedReader = (settings: FeedReaderSettings): FeedReader => {
  const { feed, health, onInvalid, random, relistMs, unpacked, table, install } = settings
  const source = guardedFeed(feed)
  const disposed = new AbortController()
  let following: AbortController | undefined
  let reloading:
    | { readonly controller: AbortController; readonly force: boolean; readonly done: Promise<void> }
    | undefined
  let wakeRelist = new AbortController()
  let isGap = true

  const follow = async (signal: AbortSignal): Promise<void> => {
    let failures = 0
    // The first time at once, to know how things are.
    let waitMs = 0
    while (!signal.aborted) {
      try {
        const began = monotonicNow()
        const { cursor } = table()!
        const page = await source.changes(cursor, waitMs, signal)
        if (page.status === "gap") {
          isGap = true
          wakeRelist.abort()
          return
        }
        const changes = await decodePage(page, onInvalid)
        // A reader that was replaced meanwhile has nothing more to say.
        if (signal.aborted) return
        take(table()!, page, changes)
        failures = 0
        const isEmpty = page.changes.length === 0 && (page.cursor === cursor || !page.more)
        if (!page.more) settings.heard()
        health.worked()
        if (changes.length > 0) settings.changed()
        const gap = page.more && !isEmpty ? 0 : isEmpty && waitMs > 0 ? EMPTY_GAP_MS : READ_GAP_MS
        waitMs = page.more ? 0 : WAIT_MS
        await pause(gap - (monotonicNow() - began), signal)
      } catch (cause) {
        if (signal.aborted) return
        waitMs = 0
        health.failed(cause)
        await pause(backOffMs(failures++, BACK_OFF, random), signal)
      }
    }
  }
  const stopFollowing = (): void => {
    following?.abort()
    following = undefined
  }
  const startFollowing = (): void => {
    stopFollowing()
    if (disposed.signal.aborted || table() === undefined || isGap) return
    following = new AbortController()
    void follow(following.signal)
  }

  /** Takes the changes that there are after a table's cursor into it; after that of its snapshot where others are no longer kept. */
  const readRest = async (into: RouteTable, snapshot: string, signal: AbortSignal): Promise<void> => {
    for (let more = true; more;) {
      const page = await source.changes(into.cursor, 0, signal)
      if (page.status === "gap") {
        if (into.cursor === snapshot)
          throw new LookupFailed("the feed keeps its changes for less time than a snapshot takes")
        into.cursor = snapshot
        continue
      }
      const changes = await decodePage(page, onInvalid)
      signal.throwIfAborted()
      more = page.more && page.cursor !== into.cursor
      take(into, page, changes)
    }
  }

  const load = async (force: boolean, signal: AbortSignal): Promise<void> => {
    // From before the snapshot: it does not say which versions the removals between had.
    const since = force || isGap ? undefined : table()?.cursor
    const snapshot = await source.snapshot(signal)
    const before = force ? undefined : table()
    let next: RouteTable
    if (before === undefined) {
      const bytes = await packRoutes(snapshot.routes, { cursor: snapshot.cursor, ...(onInvalid && { onInvalid }) })
      next = new RouteTable(await openPacked(bytes, { force }), snapshot.cursor, unpacked)
    } else next = await compareSnapshot(before, snapshot, onInvalid)
    next.cursor = since ?? snapshot.cursor
    await readRest(next, snapshot.cursor, signal)
    // Twice: the second time nothing new gets into the table that is in use, which the next one would not have.
    stopFollowing()
    await readRest(next, snapshot.cursor, signal)
    if (before !== undefined) next.keepNewer(table()!)
    isGap = false
    install(next)
    settings.heard()
    health.worked()
    health.loaded()
    settings.changed()
  }

  const reload = (force: boolean): Promise<void> => {
    // The older result is discarded: whoever waits for it gets the newer one. What was forced stays so.
    const isForced = force || (reloading?.force ?? false)
    reloading?.controller.abort()
    const controller = new AbortController()
    const signal = AbortSignal.any([controller.signal, disposed.signal])
    const run = async (): Promise<void> => {
      try {
        await load(isForced, signal)
      } catch (cause) {
        if (controller.signal.aborted && !disposed.signal.aborted) return reloading?.done
        if (cause instanceof PackedRefused) health.refused(cause)
        else if (!signal.aborted) health.failed(cause)
        throw cause
      } finally {
        if (reloading === mine) reloading = undefined
        startFollowing()
      }
    }
    // Begins in the next turn, so that `mine` is there.
    const mine = { controller, force: isForced, done: Promise.resolve().then(run) }
    reloading = mine
    return mine.done
  }

  const keepLoaded = async (): Promise<void> => {
    const { signal } = disposed
    let failures = 0
    let hasFailed = false
    while (!signal.aborted) {
      if (!isGap && !hasFailed) {
        wakeRelist = new AbortController()
        // With jitter, so that routers that started together do not read everything together.
        const woken = AbortSignal.any([signal, wakeRelist.signal])
        if (!isGap) await pause(relistMs * (0.9 + random() * 0.2), woken)
        if (signal.aborted) return
      }
      try {
        await reload(false)
        hasFailed = false
        failures = 0
      } catch (cause) {
        // What was refused is the same a moment later; a table that is followed can wait for the next time.
        hasFailed = !(cause instanceof PackedRefused)
        const isEmpty = cause instanceof PackedRefused && cause.reason === "empty"
        const wait = backOffMs(failures++, BACK_OFF, random)
        await pause(isEmpty ? Math.min(wait, EMPTY_RETRY_MS) : wait, signal)
      }
    }
  }

  /** One read of what there is now, and the next one: a read that has begun may be too old for a later caller. */
  let reading: Promise<void> | undefined
  let queued: Promise<void> | undefined
  const readNow = async (): Promise<void> => {
    const current = table()
    if (current === undefined) return
    try {
      const page = await source.changes(current.cursor, 0, disposed.signal)
      if (page.status === "gap") return
      const changes = await decodePage(page, onInvalid)
      // The cursor stays: the reader that follows comes to these changes, too, and that does no harm.
      for (const change of changes) table()?.apply(change)
      if (changes.length > 0) settings.changed()
    } catch {
      // Who follows the feed finds out and reports it.
    }
  }
  const read = (): Promise<void> => (reading = readNow().finally(() => (reading = undefined)))
  const catchUp = (): Promise<void> => {
    if (reading === undefined) return read()
    queued ??= reading.then(() => {
      queued = undefined
      return read()
    })
    return queued
  }

  return {
    start: () => {
      // A table that was restored goes on where its image was built.
      isGap = (table()?.cursor ?? "") === ""
      startFollowing()
      void keepLoaded()
    },
    reload,
    catchUp,
    isReloading: () => reloading !== undefined,
    dispose: () => {
      disposed.abort(new Error("the store was disposed of"))
      stopFollowing()
    },
  }
}

/** The changes of a page that say what they are about. Decoded before any is taken, so that a page is taken at once. */
const decodePage = async (
  page: Extract<FeedPage, { readonly status: "changes" }>,
  onInvalid: OnInvalid | undefined,
): Promise<readonly DecodedChange[]> => {
  const turn = turns()
  const changes: DecodedChange[] = []
  for (const given of page.changes) {
    const change = decodeChange(given, onInvalid)
    if (change !== undefined) changes.push(change)
    if (turn.isOver()) await turn.next()
  }
  return changes
}

const take = (
  table: RouteTable,
  { cursor }: Extract<FeedPage, { readonly status: "changes" }>,
  changes: readonly DecodedChange[],
): void => {
  for (const change of changes) table.apply(change)
  table.cursor = cursor
}
