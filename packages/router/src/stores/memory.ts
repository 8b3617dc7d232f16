import type { Lookup, RouteKey, RouteRecord, RouteStore } from "./route-store.ts"

/** A route as written by hand: the store counts versions and epochs. */
export type RouteInput = Omit<RouteRecord, "version" | "epoch">

/** A route store in this process, for tests, examples and platforms with one process. */
export interface MemoryStore extends RouteStore {
  get(key: RouteKey): Lookup
  /** Points a key at a machine, from now on. Returns the record as stored. */
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
    const record = { ...route, version: epoch, epoch }
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
