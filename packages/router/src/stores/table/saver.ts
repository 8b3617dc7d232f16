import { openPacked } from "../packed/open-packed.ts"
import { packChanges } from "../packed/pack-changes.ts"
import { packRoutes } from "../packed/pack-routes.ts"
import type { RouteKey, RouteRecord } from "../record.ts"
import { within } from "../reading/within.ts"
import { debounced } from "./debounced.ts"
import type { RouteTable } from "./route-table.ts"
import type { SourceHealth } from "./source-health.ts"
import type { TableState } from "./table-state.ts"

/** Builds a new image when many routes have changed, and saves the image that is in use. */
export interface Saver {
  /** The table has changed. */
  readonly changed: () => void
  /** The table is known to be what the source has. */
  readonly heard: () => void
  readonly dispose: () => void
}

/** What a saver works on. */
export interface SaverSettings {
  readonly state: TableState | undefined
  readonly saveMs: number
  readonly health: SourceHealth
  readonly unpacked: number
  readonly table: () => RouteTable | undefined
  /** When the table was last known to be what the source has, in ms since 1970. */
  readonly asOf: () => number
  readonly isReloading: () => boolean
  readonly install: (table: RouteTable) => void
}

/** A change takes about six times the memory of a packed route: beyond this share of the routes they are packed. */
const MOST_CHANGED = 0.05
/** With fewer changes than this it is not worth it. */
const FEW = 1_024
/** How long changes must have stopped until an image is built, in ms, and how long that may be put off. */
const BUILD = { quietMs: 100, longestMs: 1_000 }
/** A table is saved when its changes have stopped for as long, in ms. */
const SAVE_QUIET_MS = 2_000
/** An image says how old it is: after as long it is built again, although nothing has changed, in ms. */
const OLD_MS = 1_800_000
/** How long one save may take, in ms. */
const SAVE_TIMEOUT_MS = 60_000

export const saver = (settings: SaverSettings): Saver => {
  const { state, saveMs, health, unpacked, table, asOf, isReloading, install } = settings
  const disposed = new AbortController()
  /** What was saved last: nothing is written twice. */
  let saved: Uint8Array | undefined
  let work: Promise<void> = Promise.resolve()

  /** Packs what has changed. Discarded when all routes were read again meanwhile. */
  const build = async (): Promise<void> => {
    const from = table()
    if (from === undefined || isReloading()) return
    const builtAt = Math.max(0, Math.floor(asOf()))
    if (from.changed === 0 && builtAt - from.image.builtAt < OLD_MS) return
    const changes = from.changes()
    const image = await openPacked(await packed(from, changes, builtAt), { force: true })
    if (table() === from && !isReloading() && !disposed.signal.aborted) install(from.over(image, changes, unpacked))
  }
  const save = async (): Promise<void> => {
    await build()
    const bytes = table()?.image.bytes
    if (bytes === undefined || bytes === saved || disposed.signal.aborted) return
    await within(SAVE_TIMEOUT_MS, () => state!.save!(bytes), disposed.signal)
    saved = bytes
    health.saved()
  }
  /** One after the other. One that fails is reported, and in the way of none that comes later. */
  const next = (run: () => Promise<void>): Promise<void> =>
    (work = work.then(run).catch((error: unknown) => {
      if (!disposed.signal.aborted) health.saved({ error })
    }))

  const building = debounced(() => next(build), BUILD)
  const saving = debounced(() => next(save), { quietMs: Math.min(SAVE_QUIET_MS, saveMs), longestMs: saveMs })
  return {
    changed: () => {
      const now = table()
      if (now === undefined || disposed.signal.aborted) return
      if (now.changed > Math.max(FEW, now.image.routes * MOST_CHANGED)) building.call()
      if (state?.save !== undefined) saving.call()
    },
    heard: () => {
      const now = table()
      if (state?.save !== undefined && now !== undefined && asOf() - now.image.builtAt > 2 * OLD_MS) saving.call()
    },
    dispose: () => {
      disposed.abort(new Error("the store was disposed of"))
      building.stop()
      saving.stop()
    },
  }
}

/** The image of a table with its changes. Where most is new, what the records have in common is learnt again. */
const packed = (from: RouteTable, changes: ReturnType<RouteTable["changes"]>, builtAt: number): Promise<Uint8Array> => {
  const { cursor } = from
  if (changes.size <= from.image.routes / 2) {
    const records = new Map([...changes].map(([key, { record }]) => [key, record]))
    return packChanges(from.image, records, { cursor, builtAt })
  }
  function* routes(): Generator<readonly [RouteKey, RouteRecord]> {
    yield* from.unchanged(changes)
    for (const [key, { record }] of changes) if (record !== undefined) yield [key, record]
  }
  return packRoutes(routes(), { cursor, builtAt })
}
