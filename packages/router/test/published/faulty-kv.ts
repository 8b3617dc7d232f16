/**
 * A model of Workers KV as its documentation describes it, which miniflare's is not: data centres that cache what they have read,
 * absent keys as well, and see a write late; one write of a key a second; and failures.
 */
import type { KvBinding } from "../../src/stores/cloudflare-kv.ts"

/** What a call comes to instead of its result. */
export type Fault = "429" | "500" | "hang"

interface Written {
  readonly at: number
  readonly value: string | null
  readonly metadata: unknown
  readonly expiresAt: number
}

export const faultyKv = ({ lagMs = 60_000 } = {}) => {
  const history = new Map<string, Written[]>()
  const puts: { readonly key: string; readonly at: number; readonly text: string; readonly expirationTtl?: number }[] =
    []
  /** Decides about each call. */
  let fault: (method: "get" | "put" | "list", key: string) => Fault | undefined = () => undefined
  let inFlight = 0
  let mostInFlight = 0
  let refused = 0

  const asOf = (key: string, at: number): Written | undefined => {
    const found = history.get(key)?.findLast((written) => written.at <= at)
    return found === undefined || found.value === null || found.expiresAt <= at ? undefined : found
  }
  const failing = async (method: "get" | "put" | "list", key: string): Promise<void> => {
    inFlight += 1
    mostInFlight = Math.max(mostInFlight, inFlight)
    // One turn of latency, so that calls overlap.
    await Promise.resolve()
    const what = fault(method, key)
    if (what === "hang") await new Promise(() => undefined)
    inFlight -= 1
    if (what !== undefined) throw new Error(`KV ${method.toUpperCase()} failed: ${what}`)
  }

  /** The namespace as one data centre has it. */
  const place = (): KvBinding => {
    const cached = new Map<string, { readonly value: string | null; readonly until: number }>()
    const readOne = (key: string, cacheTtl: number): string | null => {
      if (cacheTtl < 30) throw new Error("KV GET failed: 400 Invalid cache_ttl")
      const known = cached.get(key)
      if (known !== undefined && Date.now() < known.until) return known.value
      const value = asOf(key, Date.now() - lagMs)?.value ?? null
      cached.set(key, { value, until: Date.now() + cacheTtl * 1_000 })
      return value
    }
    const get = async (keys: string | string[], { cacheTtl }: { readonly cacheTtl: number }) => {
      await failing("get", String(keys))
      if (!Array.isArray(keys)) return readOne(keys, cacheTtl)
      if (keys.length > 100) throw new Error("KV GET_BULK failed: 400")
      return new Map(keys.map((key) => [key, readOne(key, cacheTtl)]))
    }
    return {
      get: get as KvBinding["get"],
      put: async (key, text, { expirationTtl, metadata }) => {
        await failing("put", key)
        const at = Date.now()
        const earlier = history.get(key) ?? []
        if (earlier.length > 0 && at - earlier.at(-1)!.at < 1_000) {
          refused += 1
          throw new Error("KV PUT failed: 429 Too Many Requests")
        }
        const expiresAt = expirationTtl === undefined ? Infinity : at + expirationTtl * 1_000
        history.set(key, [...earlier, { at, value: text, metadata, expiresAt }])
        puts.push({ key, at, text, ...(expirationTtl === undefined ? {} : { expirationTtl }) })
      },
      list: async ({ prefix, cursor }) => {
        await failing("list", prefix)
        const names = [...history.keys()].filter((key) => key.startsWith(prefix)).toSorted()
        const from = Number(cursor ?? 0)
        const page = names.slice(from, from + 1_000).flatMap((name) => {
          const found = asOf(name, Date.now() - lagMs)
          return found === undefined ? [] : [{ name, metadata: found.metadata }]
        })
        return from + 1_000 < names.length
          ? { keys: page, list_complete: false, cursor: `${from + 1_000}` }
          : { keys: page, list_complete: true }
      },
    }
  }

  return {
    place,
    puts,
    /** Every call from now on. */
    setFault: (next: typeof fault) => void (fault = next),
    mostInFlight: () => mostInFlight,
    /** How many writes came too soon after another one of their key. */
    refused: () => refused,
  }
}
