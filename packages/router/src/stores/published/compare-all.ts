import type { OnInvalid } from "../invalid-route.ts"
import { leastRoutes } from "../shrink.ts"
import type { RouteKey } from "../record.ts"
import type { GuardedFeed } from "../guarded-feed.ts"
import { entryToWrite, versionOf } from "./entry.ts"
import type { EntryToWrite } from "./entry.ts"
import { PublishFailed, PublishRefused } from "./publish-errors.ts"
import type { PublishTarget } from "./publish-target.ts"

/** What is compared, and how. */
export interface Comparison {
  readonly target: PublishTarget
  readonly source: GuardedFeed
  readonly maxRoutes: number
  readonly force: boolean
  readonly onInvalid: OnInvalid
  readonly signal: AbortSignal
  /** Rejects if too many of them were not written. */
  readonly writeAll: (entries: readonly EntryToWrite[]) => Promise<void>
}

/** How many entries are encoded before they are written. */
const CHUNK = 500

/**
 * Writes of a feed's snapshot what is newer than what is stored, then removes what the snapshot does not have. What is stored is
 * read first, so that a key which the snapshot lacks was removed since.
 *
 * @throws {PublishRefused} before anything is removed
 */
export const compareAll = async ({
  target,
  source,
  maxRoutes,
  force,
  onInvalid,
  signal,
  writeAll,
}: Comparison): Promise<{ readonly cursor: string; readonly routes: number }> => {
  /** Versions of what is stored and was not seen in the snapshot yet; of a tombstone it is negative. */
  const stored = new Map<RouteKey, number>()
  let storedRoutes = 0
  for await (const { key, version, isRemoved } of target.stored()) {
    signal.throwIfAborted()
    if (stored.size === maxRoutes) throw tooMany(target, maxRoutes)
    // A place may list one key twice.
    if (!isRemoved && !stored.has(key)) storedRoutes += 1
    stored.set(key, isRemoved ? -version : version)
  }

  const readAt = Date.now()
  const { cursor, routes } = await source.snapshot(signal)
  let count = 0
  let older = 0
  let chunk: EntryToWrite[] = []
  const flush = async (): Promise<void> => {
    await writeAll(chunk)
    chunk = []
  }
  for await (const [key, record] of routes) {
    signal.throwIfAborted()
    count += 1
    if (count > maxRoutes) throw tooMany(target, maxRoutes)
    const version = versionOf(record)
    const had = stored.get(key)
    stored.delete(key)
    if (had !== undefined && !force) {
      if (Math.abs(had) > version) older += 1
      if (Math.abs(had) > version || had === version) continue
    }
    const entry = entryToWrite({ key, version, record }, readAt, onInvalid)
    if (entry === undefined) continue
    chunk.push(force ? { ...entry, isForced: true } : entry)
    if (chunk.length === CHUNK) await flush()
  }
  await flush()

  if (!force && older > 0)
    throw new PublishRefused(target.layer, "older", `${older} of ${count} have an earlier version than the one stored`)
  if (!force && count < leastRoutes(storedRoutes))
    throw new PublishRefused(target.layer, "smaller", `${count} routes, and ${storedRoutes} are stored`)
  for (const [key, version] of stored) {
    if (version < 0) continue
    // The removal's own version is at least one more.
    const entry = entryToWrite({ key, version: version + 1 }, readAt, onInvalid)
    if (entry !== undefined) chunk.push(entry)
    if (chunk.length === CHUNK) await flush()
  }
  await flush()
  return { cursor, routes: count }
}

const tooMany = ({ layer }: PublishTarget, maxRoutes: number): PublishFailed =>
  new PublishFailed(layer, `there are more than ${maxRoutes} routes: raise maxRoutes`)
