import { kindOf } from "@project-ingress/forward/internal"
import { decodeRecord, problemMessage } from "./decode-record.ts"
import type { DetachedRoute, MachineRoute, RedirectRoute, RemovedRoute, RouteKey, RouteRecord } from "./record.ts"
import type { Lookup, RouteStore, StoreStats } from "./route-store.ts"
import { isRouteKey } from "./route-key.ts"
import { isObject } from "./shape.ts"

export { memoryRegistry } from "./memory-registry.ts"
export type { MemoryRegistry, MemoryRegistryOptions } from "./memory-registry.ts"
export type { ResolveTxt } from "./registry/domains.ts"
export * from "./registry/errors.ts"
export type { FeedPage, FeedSnapshot, RouteChange, RouteFeed } from "./route-feed.ts"
export type {
  ChangeOptions,
  Domain,
  ListOptions,
  NewMachine,
  NewProject,
  Project,
  ProjectChanges,
  ProjectConfig,
  ProjectPage,
  ProjectRule,
  Redirect,
  RegisteredMachine,
  RequestOptions,
  RouteRegistry,
} from "./route-registry.ts"

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
  /**
   * Points a key somewhere, from now on. Returns the record as stored; its fields are checked when it is looked up. Throws a
   * `TypeError` for a key that no hostname leads to (`p:Misha`), and for a route that is not an object.
   */
  readonly attach: (key: RouteKey, route: RouteInput) => RouteRecord
  /** Forgets a key, from now on. False when it was not attached. Throws a `TypeError` for a key that no hostname leads to. */
  readonly detach: (key: RouteKey) => boolean
  stats(): StoreStats
}

/**
 * Routes in a `Map`. Always knows: a key that is not attached is an authoritative miss. Keys are written one by one; use
 * `memoryRegistry` where all names of a project have to stay in step.
 *
 * ```ts
 * const store = memoryStore({ "p:misha": { machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port: 8080 } } } })
 * ```
 *
 * @throws {TypeError} if a key or a record of `initial` is invalid, naming the field
 */
export const memoryStore = (initial: Readonly<Partial<Record<RouteKey, RouteInput>>> = {}): MemoryStore => {
  const records = new Map<RouteKey, RouteRecord>()
  // One counter of all keys: an epoch stays unique when a key is detached, forgotten and attached again.
  let epoch = 0

  const attach = (key: RouteKey, route: RouteInput): RouteRecord => {
    checkKey(key)
    const written: unknown = route
    if (!isObject(written)) throw new TypeError(`memoryStore: ${key} must be an object, got ${kindOf(written)}`)
    epoch += 1
    const given: RouteRecord =
      route.kind === undefined || route.kind === "machine"
        ? { ...route, kind: "machine", version: epoch, epoch }
        : { ...route, version: epoch, epoch }
    // An invalid one is kept as it is, for the router to refuse: only its own hostname fails.
    const { record = given } = decodeRecord(given)
    records.set(key, record)
    return record
  }

  if (!isObject(initial)) throw new TypeError(`memoryStore: initial must be an object, got ${kindOf(initial)}`)
  for (const [key, route] of Object.entries(initial)) {
    checkKey(key)
    if (route === undefined) continue
    const { problem } = decodeRecord(attach(key as RouteKey, route))
    if (problem !== undefined) throw new TypeError(`memoryStore: ${key}: ${problemMessage(problem)}`)
  }

  return {
    attach,
    detach: (key) => {
      checkKey(key)
      epoch += 1
      return records.delete(key)
    },
    get: (key) => {
      const record = records.get(key)
      return record === undefined ? miss : { status: "hit", record, layer: "memory" }
    },
    stats: () => ({ layers: [{ layer: "memory", routes: records.size, ageMs: 0 }] }),
  }
}

/** A record under a key that is never looked up would look attached and lead nowhere. */
const checkKey = (key: unknown): void => {
  if (isRouteKey(key)) return
  const shown = typeof key === "string" ? key.slice(0, 256) : kindOf(key)
  throw new TypeError(`memoryStore: ${shown} must be a key: p:<slug>, m:<machine>, d:<domain>`)
}

const miss: Lookup = { status: "miss" }
