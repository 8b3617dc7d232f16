import { damagedText } from "./store/damaged-entries.ts"

/**
 * Workers KV as it is documented, with its faults, by a clock that the caller holds. Simulators are strongly consistent; this is not:
 * a write is visible elsewhere after `delayMs`, each place has a cache of its own that keeps what was not there as well, a key takes
 * one write a second, and a call can fail, hang or give damaged text.
 *
 * ```ts
 * const kv = new FaultyKv(() => clock.ms)
 * await kvPublisher(kv.place(), registry).sync()
 * const store = kvStore(kv.place()) // in another data centre
 * ```
 */
export class FaultyKv {
  /** How long until a write is visible in other places, in ms: "60 seconds or more". */
  delayMs = 60_000
  /** What the next calls do, in every place. */
  fault: KvFault = "none"
  /** Decides about single calls; `undefined` leaves it to `fault`. A read of several keys has them joined by commas. */
  faultOf: (method: KvMethod, key: string) => KvFault | undefined = () => undefined
  /** All writes, the first one first. */
  readonly log: KvWrite[] = []
  /** How many reads, writes, and writes that came too soon after another one of their key. */
  reads = 0
  writes = 0
  refused = 0
  /** How many calls there were at once, at most. */
  mostConcurrent = 0
  #running = 0
  readonly #now: () => number
  readonly #keys = new Map<string, StoredWrite[]>()

  /** `now`: the time in ms. */
  constructor(now: () => number = () => Date.now()) {
    this.#now = now
  }

  /** The binding as a Worker in one place has it. */
  place(): KvPlace {
    const cache = new Map<string, { readonly value: string | null; readonly until: number }>()
    const own = Symbol()
    const readOne = (key: string, cacheTtl: number): string | null => {
      const now = this.#now()
      const cached = cache.get(key)
      if (cached !== undefined && cached.until > now) return this.#damaged(key, cached.value)
      const value = this.#visible(key, own, now)?.value ?? null
      cache.set(key, { value, until: now + cacheTtl * 1_000 })
      return this.#damaged(key, value)
    }
    const get = async (keys: string | string[], { cacheTtl = 60 }: { readonly cacheTtl?: number } = {}) => {
      this.reads++
      if (cacheTtl < 30) throw new Error("KV GET failed: 400 Invalid cache_ttl")
      if (Array.isArray(keys) && keys.length > 100) throw new Error("KV GET_BULK failed: 400 Too many keys")
      await this.#call("get", String(keys))
      return Array.isArray(keys) ? new Map(keys.map((key) => [key, readOne(key, cacheTtl)])) : readOne(keys, cacheTtl)
    }
    return {
      // One function has no overloads.
      get: get as KvPlace["get"],
      put: async (key, value, { expirationTtl, metadata } = {}) => {
        if (expirationTtl !== undefined && expirationTtl < 60) {
          throw new Error("KV PUT failed: 400 Invalid expiration_ttl")
        }
        await this.#write(key, own, value, { expirationTtl, metadata })
        cache.delete(key)
      },
      delete: async (key) => {
        await this.#write(key, own, null, {})
        cache.delete(key)
      },
      list: async ({ prefix = "", cursor = "0" } = {}) => {
        await this.#call("list", prefix)
        const names = [...this.#keys.keys()].filter((key) => key.startsWith(prefix)).toSorted()
        const end = Number(cursor) + 1_000
        const keys = names.slice(Number(cursor), end).flatMap((name) => {
          const found = this.#visible(name, own, this.#now())
          return found?.value == null ? [] : [{ name, metadata: found.metadata }]
        })
        return end < names.length ? { keys, list_complete: false, cursor: `${end}` } : { keys, list_complete: true }
      },
    }
  }

  /** What is there in the end, when every write is visible. */
  settled(key: string): string | null {
    return this.#keys.get(key)?.at(-1)?.value ?? null
  }

  async #write(
    key: string,
    from: symbol,
    value: string | null,
    { expirationTtl, metadata }: { readonly expirationTtl?: number | undefined; readonly metadata?: unknown },
  ): Promise<void> {
    await this.#call(value === null ? "delete" : "put", key)
    const now = this.#now()
    const writes = this.#keys.get(key) ?? []
    if (writes.length > 0 && now - writes.at(-1)!.at < 1_000) {
      this.refused++
      throw new Error("KV PUT failed: 429 Too Many Requests")
    }
    this.writes++
    this.#keys.set(key, writes)
    const written = { key, value, at: now, ...(expirationTtl === undefined ? {} : { expirationTtl }) }
    this.log.push(written)
    const endsAt = now + (expirationTtl ?? Infinity) * 1_000
    writes.push({ ...written, metadata, from, visibleAt: now + this.delayMs, endsAt })
  }

  #visible(key: string, place: symbol, now: number): StoredWrite | undefined {
    const seen = this.#keys.get(key)?.findLast(({ from, visibleAt }) => from === place || visibleAt <= now)
    return seen === undefined || seen.endsAt <= now ? undefined : seen
  }

  async #call(method: KvMethod, key: string): Promise<void> {
    this.#running++
    this.mostConcurrent = Math.max(this.mostConcurrent, this.#running)
    // So that calls overlap.
    await Promise.resolve()
    const fault = this.faultOf(method, key) ?? this.fault
    if (fault === "hang") await new Promise(() => undefined)
    this.#running--
    const failed = `KV ${method.toUpperCase()} failed`
    if (fault === "error") throw new Error(`${failed}: 500 Internal Server Error`)
    if (fault === "limited") throw new Error(`${failed}: 429 Too Many Requests`)
  }

  #damaged(key: string, value: string | null): string | null {
    const fault = this.faultOf("get", key) ?? this.fault
    return value !== null && (fault === "corrupt" || fault === "truncated") ? damagedText(value, fault) : value
  }
}

/**
 * What a call does instead of what it should: rejects, as KV does when it fails or when there are too many, never ends, or gives text
 * that is no JSON, or half of it.
 */
export type KvFault = "none" | "error" | "limited" | "hang" | "corrupt" | "truncated"

/** A call of KV. */
export type KvMethod = "get" | "put" | "delete" | "list"

/** What is used of a KV namespace. Times in s. */
export interface KvPlace {
  get(key: string, options?: { readonly cacheTtl?: number }): Promise<string | null>
  /** At most 100 keys. */
  get(keys: string[], options?: { readonly cacheTtl?: number }): Promise<ReadonlyMap<string, string | null>>
  put(
    key: string,
    value: string,
    options?: { readonly expirationTtl?: number; readonly metadata?: unknown },
  ): Promise<void>
  delete(key: string): Promise<void>
  /** At most 1 000 keys. */
  list(options?: { readonly prefix?: string; readonly cursor?: string }): Promise<KvKeys>
}

/** A page of keys, in order. */
export interface KvKeys {
  readonly keys: readonly { readonly name: string; readonly metadata?: unknown }[]
  readonly list_complete: boolean
  readonly cursor?: string
}

/** A write. */
export interface KvWrite {
  readonly key: string
  /** `null`: the key was deleted. */
  readonly value: string | null
  /** In ms, by the model's clock. */
  readonly at: number
  /** In s. */
  readonly expirationTtl?: number
}

interface StoredWrite extends KvWrite {
  readonly metadata: unknown
  readonly from: symbol
  readonly visibleAt: number
  readonly endsAt: number
}
