import { accept, checkOptions, monotonicNow } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import type { RecordProblem } from "../decode-record.ts"
import type { RouteKey } from "../record.ts"
import { randomId } from "../registry/random-id.ts"
import type { RouteChange, RouteFeed } from "../route-feed.ts"
import type { RouteSourceEvent } from "../store-event.ts"
import { reasonOf } from "../store-health.ts"
import { compareAll } from "./compare-all.ts"
import { entryToWrite } from "./entry.ts"
import type { EntryToWrite } from "./entry.ts"
import { decodeMarker, encodeMarker, MARKER_INTERVAL_MS, MAX_BEHIND } from "./marker.ts"
import type { Marker } from "./marker.ts"
import { PublishFailed, PublishRefused } from "./publish-errors.ts"
import type { PublishTarget } from "./publish-target.ts"
import { withinTime } from "./within-time.ts"
import { pause, pauseAfter, writeQueue } from "./write-queue.ts"

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
   * field `key`, for each key that no hostname leads to: it is left out.
   */
  readonly onInvalid?: (key: string, problem: RecordProblem) => void
  /** All routes were published (`loaded`), were refused, or publishing fails and works again. */
  readonly onEvent?: (event: RouteSourceEvent) => void
}

/** What a round has done. */
export interface PublishResult {
  /** `all`: all routes were compared with what is stored. `changes`: changes since the last round. */
  readonly round: "all" | "changes"
  /** How many entries were written, removals among them. */
  readonly written: number
  /** True when more can be published at once. */
  readonly more: boolean
}

/**
 * Keeps the routes of a feed where routers read them. How far it has come is stored beside them, once they are written: a publisher
 * that dies in between, or never comes back, loses nothing, and the next one goes on.
 */
export interface RoutePublisher {
  /**
   * One round: what has changed, or all routes where the feed has a gap, nothing is published yet, or `compareMs` are over. For a
   * Worker's schedule. `waitMs`: how long to wait for a change while there is none, at most 60 000; default 0.
   *
   * @throws {PublishFailed} if something could not be written, after retries. The rest was; the next round tries the same again
   * @throws {PublishRefused} as `publishAll` does
   * @throws whatever the feed rejects with, and the signal's reason
   */
  sync(options?: { readonly waitMs?: number; readonly signal?: AbortSignal }): Promise<PublishResult>
  /**
   * Compares all routes with what is stored: writes what is newer and removes what is no longer there.
   *
   * @throws {PublishRefused} if the feed has less than 85 % of the routes that are stored, or earlier versions of some: then
   * nothing is removed. `force: true` publishes it nevertheless
   */
  publishAll(options?: { readonly force?: boolean; readonly signal?: AbortSignal }): Promise<PublishResult>
  /** Rounds until the signal is aborted, with a pause after one that fails: for a process. Then it resolves. */
  run(options: { readonly signal: AbortSignal }): Promise<void>
}

/** How long `run` waits for a change, in ms. */
const RUN_WAIT_MS = 30_000
/** How often the marker is written at most, in one round. */
const MARKER_ATTEMPTS = 3
/** The pauses of `run` after failures, in ms. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [1_000, 60_000]

/** How the options are checked. */
export const publisherChecks: Readonly<Record<keyof PublisherOptions, OptionCheck>> = {
  compareMs: accept.integer(60_000),
  maxRoutes: accept.integer(1),
  maxChanges: accept.integer(1, 100_000),
  onInvalid: accept.function,
  onEvent: accept.function,
}

/** @throws {TypeError} for what is no feed */
export const checkFeed = (owner: string, feed: RouteFeed): void => {
  if (typeof feed?.snapshot !== "function" || typeof feed.changes !== "function")
    throw new TypeError(`${owner}: the feed must have snapshot and changes`)
}

/** A publisher to any place. Whoever calls it has checked the options. */
export const makePublisher = (target: PublishTarget, feed: RouteFeed, options: PublisherOptions): RoutePublisher => {
  const { compareMs = 86_400_000, maxRoutes = 1_000_000, maxChanges = 10_000 } = options
  const { onInvalid = () => undefined, onEvent = () => undefined } = options
  const { layer } = target

  const queue = writeQueue(target)
  /** The marker as this publisher has written it last. */
  let own: string | undefined
  /** When it did, by `monotonicNow`: the marker is a key as any other. */
  let markedAt = -Infinity
  let isBusy = false
  let isFailing = false

  const reportRefusal = ({ message }: PublishRefused): void =>
    onEvent({ type: "route_source", layer, state: "refused", reason: message })

  /** One round at a time: two would write one key at once. */
  const alone = async <A>(signal: AbortSignal | undefined, round: () => Promise<A>): Promise<A> => {
    signal?.throwIfAborted()
    if (isBusy) throw new PublishFailed(layer, "another round of this publisher is running")
    isBusy = true
    try {
      const result = await round()
      if (isFailing) onEvent({ type: "route_source", layer, state: "recovered" })
      isFailing = false
      return result
    } catch (cause) {
      if (cause instanceof PublishRefused) reportRefusal(cause)
      else if (!isFailing && signal?.aborted !== true) {
        isFailing = true
        const reason = cause instanceof PublishFailed ? cause.message : reasonOf(cause)
        onEvent({ type: "route_source", layer, state: "failing", reason })
      }
      throw cause
    } finally {
      isBusy = false
    }
  }

  /** Writes entries, and remembers which were not written. */
  const makeWriter = (signal: AbortSignal | undefined) => {
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
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    const text = encodeMarker(marker)
    own = undefined
    for (let attempt = 1; ; attempt++) {
      await pause(target.keyIntervalMs - (monotonicNow() - markedAt), signal)
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

  const all = async (force: boolean, signal: AbortSignal | undefined): Promise<PublishResult> => {
    const token = randomId(16)
    await withinTime(target.begin(token))
    const startedAt = Date.now()
    const writer = makeWriter(signal)
    const { cursor, routes } = await compareAll({
      target,
      feed,
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

  const round = async (waitMs: number, signal: AbortSignal | undefined): Promise<PublishResult> => {
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
        reportRefusal(cause)
        comparedAt = Date.now()
      }
    }

    const latest = new Map<RouteKey, RouteChange>()
    const readAt = Date.now()
    let { cursor } = marker
    let more = true
    while (more && latest.size < maxChanges) {
      const wait = waitMs > 0 && latest.size === 0 && cursor === marker.cursor ? { waitMs } : {}
      const page = await feed.changes(cursor, {
        limit: Math.min(1_000, maxChanges - latest.size),
        ...wait,
        ...(signal === undefined ? {} : { signal }),
      })
      if (page.status === "gap") return all(false, signal)
      for (const change of page.changes) {
        if ((latest.get(change.key)?.version ?? 0) < change.version) latest.set(change.key, change)
      }
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

  const sync: RoutePublisher["sync"] = async (given = {}) => {
    checkOptions("sync", given, { waitMs: accept.integer(0, 60_000), signal: accept.object })
    const { waitMs = 0, signal } = given
    return alone(signal, () => round(waitMs, signal))
  }

  return {
    sync,
    publishAll: async (given = {}) => {
      checkOptions("publishAll", given, { force: accept.boolean, signal: accept.object })
      const { force = false, signal } = given
      return alone(signal, () => all(force, signal))
    },
    run: async (given) => {
      checkOptions("run", given, { signal: accept.object }, { required: ["signal"] })
      const { signal } = given
      let failures = 0
      while (!signal.aborted) {
        try {
          await sync({ waitMs: RUN_WAIT_MS, signal })
          failures = 0
        } catch {
          // Reported by `alone`.
          const ms = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures) * (1 + Math.random() / 5)
          failures += 1
          await pause(ms, signal).catch(() => undefined)
        }
      }
    },
  }
}
