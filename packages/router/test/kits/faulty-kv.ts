/**
 * Workers KV as it is documented, with its faults, by a clock that the caller holds. Simulators are strongly consistent; this is not:
 * a write is visible elsewhere after `delayMs`, each place has a cache of its own that keeps what was not there as well, a key takes
 * one write a second, and a call can fail, hang or give damaged text.
 */
export class FaultyKV {
  /** How long until a write is visible in other places, in ms: "60 seconds or more". */
  delayMs = 60_000
  /** What the next calls do, in every place. */
  fault: KVFault = "none"
  readonly #now: () => number
  readonly #keys = new Map<string, KVWrite[]>()
  readonly #writtenAt = new Map<string, number>()
  reads = 0
  writes = 0

  /** `now`: the time in ms. */
  constructor(now: () => number = () => Date.now()) {
    this.#now = now
  }

  /** The binding as a Worker in one place has it. */
  place(): KVPlace {
    const cache = new Map<string, { readonly value: string | null; readonly until: number }>()
    const own = Symbol()
    return {
      get: async (key, { cacheTtl = 60 } = {}) => {
        this.reads++
        if (cacheTtl < 30) throw new Error("KV GET failed: 400 Invalid cache_ttl")
        await this.#fail("GET")
        const now = this.#now()
        const cached = cache.get(key)
        if (cached !== undefined && cached.until > now) return this.#damaged(cached.value)
        const value = this.#visible(key, own, now)
        cache.set(key, { value, until: now + cacheTtl * 1_000 })
        return this.#damaged(value)
      },
      put: async (key, value, { expirationTtl } = {}) => {
        if (expirationTtl !== undefined && expirationTtl < 60) {
          throw new Error("KV PUT failed: 400 Invalid expiration_ttl")
        }
        await this.#write(key, own, value, expirationTtl)
        cache.delete(key)
      },
      delete: async (key) => {
        await this.#write(key, own, null)
        cache.delete(key)
      },
    }
  }

  /** What is there in the end, when every write is visible. */
  settled(key: string): string | null {
    return this.#keys.get(key)?.at(-1)?.value ?? null
  }

  async #write(key: string, from: symbol, value: string | null, ttl = Infinity): Promise<void> {
    const now = this.#now()
    const before = this.#writtenAt.get(key)
    if (before !== undefined && now - before < 1_000) throw new Error("KV PUT failed: 429 Too Many Requests")
    await this.#fail("PUT")
    this.writes++
    this.#writtenAt.set(key, now)
    const writes = this.#keys.get(key) ?? []
    this.#keys.set(key, writes)
    writes.push({ from, value, at: now, visibleAt: now + this.delayMs, endsAt: now + ttl * 1_000 })
  }

  #visible(key: string, place: symbol, now: number): string | null {
    const seen = this.#keys.get(key)?.findLast(({ from, visibleAt }) => from === place || visibleAt <= now)
    return seen === undefined || seen.endsAt <= now ? null : seen.value
  }

  async #fail(method: string): Promise<void> {
    if (this.fault === "error") throw new Error(`KV ${method} failed: 500 Internal Server Error`)
    if (this.fault === "hang") await new Promise(() => undefined)
  }

  #damaged(value: string | null): string | null {
    if (value === null) return null
    if (this.fault === "corrupt") return value.replaceAll('"', "'")
    return this.fault === "truncated" ? value.slice(0, value.length / 2) : value
  }
}

/** What a call does instead of what it should: rejects, never ends, or gives text that is no JSON, or half of it. */
export type KVFault = "none" | "error" | "hang" | "corrupt" | "truncated"

/** What is used of a KV namespace. Times in s. */
export interface KVPlace {
  get(key: string, options?: { readonly cacheTtl?: number }): Promise<string | null>
  put(key: string, value: string, options?: { readonly expirationTtl?: number }): Promise<void>
  delete(key: string): Promise<void>
}

interface KVWrite {
  readonly from: symbol
  readonly value: string | null
  readonly at: number
  readonly visibleAt: number
  readonly endsAt: number
}
