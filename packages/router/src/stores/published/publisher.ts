import { accept, monotonicNow } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import type { OnInvalid } from "../invalid-route.ts"
import { quietly } from "../quietly.ts"
import type { RouteKey } from "../record.ts"
import { randomId } from "../registry/random-id.ts"
import type { RouteChange, RouteFeed } from "../route-feed.ts"
import type { RouteSourceEvent } from "../store-event.ts"
import { guardedFeed } from "../guarded-feed.ts"
import { compareAll } from "./compare-all.ts"
import { entryToWrite } from "./entry.ts"
import type { EntryToWrite } from "./entry.ts"
import { addLatest } from "./latest-changes.ts"
import { decodeMarker, encodeMarker, MARKER_INTERVAL_MS, MAX_BEHIND } from "./marker.ts"
import type { Marker } from "./marker.ts"
import { PublishFailed, PublishRefused } from "./publish-errors.ts"
import type { PublishTarget } from "./publish-target.ts"
import type { PublishResult, RoutePublisher } from "./route-publisher.ts"
import { publisherOf, reportRefusal } from "./rounds.ts"
import { pause } from "../reading/pause.ts"
import { withinTime } from "./within-time.ts"
import { pauseAfter, writeQueue } from "./write-queue.ts"

/** How routes are published. */
export interface PublisherOptions {
  /** How often all routes are compared with what is stored, in ms, from 60 000 up. Default 24 h. */
  readonly compareMs?: number
  /** How many routes are compared at most, from 1 up: some 100 bytes of memory each. Default 1 000 000. */
  readonly maxRoutes?: number
  /** How many changes are taken into one round, from 1 to 100 000: a key that changes often is written once. Default 10 000. */
  readonly maxChanges?: number
  /**
   * Called for each record that no router of this version can use: it is stored as it is and fails its own hostnames. And, with the
   * field `key` or `version`, for each route or change that is left out because nobody can tell of what it is.
   */
  readonly onInvalid?: OnInvalid
  /** All routes were published (`loaded`), were refused, or publishing fails and works again. What it throws is ignored. */
  readonly onEvent?: (event: RouteSourceEvent) => void
}

/** How often the marker is written at most, in one round. */
const MARKER_ATTEMPTS = 3

/** How the options are checked. */
export const publisherChecks: Readonly<Record<keyof PublisherOptions, OptionCheck>> = {
  compareMs: accept.integer(60_000),
  maxRoutes: accept.integer(1),
  maxChanges: accept.integer(1, 100_000),
  onInvalid: accept.function,
  onEvent: accept.function,
}

/** A publisher to any place. Whoever calls it has checked the options. */
export const makePublisher = (target: PublishTarget, feed: RouteFeed, options: PublisherOptions): RoutePublisher => {
  const { compareMs = 86_400_000, maxRoutes = 1_000_000, maxChanges = 10_000 } = options
  const { onInvalid = () => undefined } = options
  const onEvent = quietly(options.onEvent)
  const { layer } = target

  const source = guardedFeed(feed)
  const queue = writeQueue(target)
  /** The marker as this publisher has written it last. */
  let own: string | undefined
  /** When it did, by `monotonicNow`: the marker is a key as any other. */
  let markedAt = -Infinity

  /** Writes entries, and remembers which were not written. */
  const makeWriter = (signal: AbortSignal) => {
    const failed: RouteKey[] = []
    let written = 0
    let cause: unknown
    const failure = (): PublishFailed =>
      new PublishFailed(layer, `${failed.length} of ${failed.length + written} entries were not written`, cause)
    return {
      write: async (entries: readonly EntryToWrite[]): Promise<void> => {
        const done = await queue.writeAll(entries, signal)
        written += done.written
        failed.push(...done.failed)
        ;({ cause } = done.failed.length > 0 ? done : { cause })
        if (failed.length > MAX_BEHIND) throw failure()
      },
      written: () => written,
      behind: () => failed,
      /** @throws {PublishFailed} if something was not written. That counts more than a marker that was not. */
      check: (markerFailure?: unknown): void => {
        if (failed.length > 0) throw failure()
        if (markerFailure !== undefined) throw markerFailure
      },
    }
  }

  const saveMarker = async (
    marker: Marker,
    expected: Parameters<PublishTarget["save"]>[1],
    signal: AbortSignal,
  ): Promise<void> => {
    const text = encodeMarker(marker)
    own = undefined
    for (let attempt = 1; ; attempt++) {
      await pause(target.keyIntervalMs - (monotonicNow() - markedAt), signal)
      signal?.throwIfAborted()
      markedAt = monotonicNow()
      try {
        if (await withinTime(target.save(text, expected))) break
      } catch (cause) {
        if (attempt === MARKER_ATTEMPTS) throw new PublishFailed(layer, "the marker was not written", cause)
        await pause(pauseAfter(attempt, target.keyIntervalMs), signal)
        continue
      }
      throw new PublishFailed(layer, "what was stored is gone, or another publisher was faster")
    }
    own = text
  }

  const all = async (force: boolean, signal: AbortSignal): Promise<PublishResult> => {
    const token = randomId(16)
    await withinTime(target.begin(token))
    const startedAt = Date.now()
    const writer = makeWriter(signal)
    const { cursor, routes } = await compareAll({
      target,
      source,
      maxRoutes,
      force,
      onInvalid,
      signal,
      writeAll: writer.write,
    })
    const behind = writer.behind()
    // Where something is missing, the next round compares again.
    const marker = behind.length === 0 ? { comparedAt: startedAt } : { comparedAt: 0, behind }
    await saveMarker({ cursor, at: startedAt, ...marker }, { begunBy: token }, signal).catch(writer.check)
    writer.check()
    onEvent({ type: "route_source", layer, state: "loaded", routes })
    return { round: "all", written: writer.written(), more: false }
  }

  const round = async (waitMs: number, signal: AbortSignal): Promise<PublishResult> => {
    // Where a read may be older than the last write, what this publisher has written itself is known better.
    if (own === undefined || target.isConsistent) own = (await withinTime(target.readMarker())) ?? undefined
    const marker = decodeMarker(own)
    if (own === undefined || marker === undefined) return all(false, signal)
    let { comparedAt } = marker
    if (Math.abs(Date.now() - comparedAt) >= compareMs) {
      try {
        return await all(false, signal)
      } catch (cause) {
        if (!(cause instanceof PublishRefused)) throw cause
        // Changes are right nevertheless; compared again when it is due again.
        reportRefusal(layer, onEvent, cause)
        comparedAt = Date.now()
      }
    }

    const latest = new Map<RouteKey, RouteChange>()
    const readAt = Date.now()
    let { cursor } = marker
    let more = true
    while (more && latest.size < maxChanges) {
      const wait = latest.size === 0 && cursor === marker.cursor ? waitMs : 0
      const page = await source.changes(cursor, wait, signal, Math.min(1_000, maxChanges - latest.size))
      if (page.status === "gap") return all(false, signal)
      addLatest(latest, page.changes, onInvalid)
      ;({ cursor, more } = page)
    }
    const entries = Array.from(latest.values(), (change) => entryToWrite(change, readAt, onInvalid))
    const writer = makeWriter(signal)
    await writer.write(entries.filter((entry) => entry !== undefined))
    const behind = writer.behind()
    const isSame = cursor === marker.cursor && comparedAt === marker.comparedAt && marker.behind === undefined
    if (behind.length > 0 || !isSame || Math.abs(readAt - marker.at) >= MARKER_INTERVAL_MS) {
      // The changes of what is missing are read again.
      const next = behind.length === 0 ? { cursor } : { cursor: marker.cursor, behind }
      await saveMarker({ ...next, at: readAt, comparedAt }, { previous: own }, signal).catch(writer.check)
    }
    writer.check()
    return { round: "changes", written: writer.written(), more }
  }

  return publisherOf({ layer, onEvent, all, changes: round })
}
