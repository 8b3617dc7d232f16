import type { MachineRoute, DetachedRoute, RedirectRoute, RemovedRoute, RouteKey, RouteRecord } from "./record.ts"
import type { Lookup, RouteStore } from "./route-store.ts"

/** A route as written by hand: the store counts versions and epochs. */
export type RouteInput =
  | MachineInput
  | Omit<DetachedRoute, Counted>
  | Omit<RedirectRoute, Counted>
  | Omit<RemovedRoute, Counted>

/** A route to a machine as written by hand. */
export interface MachineInput extends Omit<MachineRoute, Counted | "kind"> {
  readonly kind?: "machine"
}

type Counted = "version" | "epoch"

/** A route store in this process, for tests, examples and platforms with one process. */
export interface MemoryStore extends RouteStore {
  get(key: RouteKey): Lookup
  /** Points a key somewhere, from now on. Returns the record as stored. */
  readonly attach: (key: RouteKey, route: RouteInput) => RouteRecord
  /** Forgets a key, from now on. False when it was not attached. */
  readonly detach: (key: RouteKey) => boolean
}

/** Routes in a `Map`. Always knows: a key that is not attached is an authoritative miss. */
export const memoryStore = (initial: Readonly<Partial<Record<RouteKey, RouteInput>>> = {}): MemoryStore => {
  const records = new Map<RouteKey, RouteRecord>()
  // One counter of all keys: an epoch stays unique when a key is detached, forgotten and attached again.
  let epoch = 0

  const attach = (key: RouteKey, route: RouteInput): RouteRecord => {
    epoch += 1
    const record: RouteRecord =
      route.kind === undefined || route.kind === "machine"
        ? { ...route, kind: "machine", version: epoch, epoch }
        : { ...route, version: epoch, epoch }
    records.set(key, record)
    return record
  }
  for (const [key, route] of Object.entries(initial)) if (route !== undefined) attach(key as RouteKey, route)

  return {
    attach,
    detach: (key) => {
      epoch += 1
      return records.delete(key)
    },
    get: (key) => {
      const record = records.get(key)
      return record === undefined ? miss : { status: "hit", record }
    },
  }
}

const miss: Lookup = { status: "miss" }
