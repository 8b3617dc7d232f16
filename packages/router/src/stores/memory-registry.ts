import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { Grammar } from "@project-ingress/hostname"
import { isGrammar } from "./is-grammar.ts"
import { changeLog } from "./registry/change-log.ts"
import { changeWaker } from "./registry/change-waker.ts"
import type { ResolveTxt } from "./registry/domains.ts"
import { changesOptions } from "./registry/feed-options.ts"
import { makeRegistry } from "./registry/make-registry.ts"
import { memoryStorage } from "./registry/memory-storage.ts"
import { memoryTables } from "./registry/memory-tables.ts"
import { randomId } from "./registry/random-id.ts"
import type { RouteKey } from "./record.ts"
import type { RouteFeed } from "./route-feed.ts"
import type { RouteRegistry } from "./route-registry.ts"
import type { Lookup, RouteStore, StoreStats } from "./route-store.ts"

/** How often whoever waits for changes looks for what time alone has changed, in ms. */
const POLL_MS = 1_000

/** What {@link memoryRegistry} accepts. */
export interface MemoryRegistryOptions {
  /** Says which names, machine ids and domains are valid, and which belong to the platform. */
  readonly grammar: Grammar
  /** Looks for the proofs of custom domains. Default: finds none, so that no domain is ever verified. */
  readonly resolveTxt?: ResolveTxt
  /** How long a name is kept from others after a rename or a removal, in ms. Default 30 days. */
  readonly quarantineMs?: number
  /** How long a verified domain leads on while its proof is missing, in ms. Default 7 days. */
  readonly domainGraceMs?: number
  /** How many changes the feed remembers at least, from 1 up. Default 10 000. */
  readonly keptChanges?: number
  /** The time in ms since 1970. Default `Date.now`. */
  readonly now?: () => number
}

/** A registry, its feed and the store to hand to `createRouter`, in one. */
export interface MemoryRegistry extends RouteRegistry, RouteFeed, RouteStore {
  get(key: RouteKey): Lookup
  stats(): StoreStats
}

/**
 * A registry in this process, for tests, examples and platforms with one process. Nothing is kept when the process ends.
 *
 * ```ts
 * const registry = memoryRegistry({ grammar, resolveTxt, domainGraceMs })
 * await registry.putMachine({ id: "mach_1", type: "docker", externalId: "4f1c", metadata: {} })
 * await registry.create({ name: "misha", machine: "mach_1", ports: { 4096: { visibility: "public" } } })
 * const router = createRouter({ grammar, store: registry, providers, signingKey })
 * ```
 *
 * @throws {TypeError} if an option is unknown, missing or of the wrong type
 */
export const memoryRegistry = (options: MemoryRegistryOptions): MemoryRegistry => {
  checkOptions(
    "memoryRegistry",
    options,
    {
      grammar: (value) => (isGrammar(value) ? undefined : "a grammar made by defineGrammar"),
      resolveTxt: accept.function,
      quarantineMs: accept.number(0),
      domainGraceMs: accept.number(0),
      keptChanges: accept.integer(1),
      now: accept.function,
    },
    { required: ["grammar"] },
  )
  const { grammar, quarantineMs = 30 * 86_400_000, domainGraceMs = 7 * 86_400_000, keptChanges = 10_000 } = options
  const { resolveTxt = async () => [], now = () => Date.now() } = options
  const waker = changeWaker()
  const log = changeLog(randomId(16), keptChanges, waker.wake)
  const tables = memoryTables(log, now, { grammar, quarantineMs, newToken: () => randomId(32) })

  return {
    ...makeRegistry(memoryStorage(tables, now), { grammar, resolveTxt, domainGraceMs }),
    snapshot: async (options) => {
      tables.expire()
      return log.snapshot(options)
    },
    changes: async (since, options) => {
      const { limit, ...waiting } = changesOptions(options)
      const read = async () => {
        tables.expire()
        return log.page(since, limit)
      }
      return waker.readUntilChanged(read, { ...waiting, pollMs: POLL_MS })
    },
    get: (key) => {
      tables.expire()
      const record = log.get(key)
      return record === undefined ? { status: "miss" } : { status: "hit", record, layer: "memory" }
    },
    stats: () => ({ layers: [{ layer: "memory", routes: log.size(), ageMs: 0 }] }),
  }
}
