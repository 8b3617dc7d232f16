import { monotonicNow } from "@project-ingress/forward/internal"
import type { RouteKey, RouteRecord } from "../record.ts"
import type { FirstLookup, LookupOptions, RouteStore } from "../route-store.ts"
import { isObject } from "../shape.ts"
import { KeyFailed, LookupFailed } from "../store-health.ts"
import type { StoreHealth } from "../store-health.ts"
import { makeCircuit } from "../reading/circuit.ts"
import { within } from "../reading/within.ts"

/** What the authority said of some keys, in turn. */
export type Reading =
  | { readonly status: "hit"; readonly key: RouteKey; readonly record: RouteRecord; readonly layer: string }
  | { readonly status: "miss"; readonly layer: string }
  | { readonly status: "unknown"; readonly cause: unknown; readonly retryAfterMs: number }

/** The store that knows. Never rejects. */
export interface Authority {
  /** One key, or several where the store takes several at once. */
  readonly ask: (keys: readonly RouteKey[], options: Pick<LookupOptions, "refresh" | "waitUntil">) => Promise<Reading>
  /** In how many ms it makes sense to ask for keys; 0: now. */
  readonly waitMs: (keys: readonly RouteKey[]) => number
  /** When it was last read, by `monotonicNow`; `undefined`: never. */
  readonly readAt: () => number | undefined
}

/** How the authority is asked. */
export interface AuthorityOptions {
  readonly timeoutMs: number
  readonly health: StoreHealth
  readonly random: () => number
}

/** When asking again makes sense, where nobody said, in ms. */
const RETRY_AFTER_MS = 1_000

export const makeAuthority = (store: RouteStore, options: AuthorityOptions): Authority => {
  const { timeoutMs, health, random } = options
  const circuit = makeCircuit(random)
  let readAt: number | undefined

  const lookup = async (keys: readonly RouteKey[], asked: LookupOptions): Promise<FirstLookup> =>
    keys.length > 1 && store.getFirst !== undefined
      ? store.getFirst(keys, asked)
      : { ...(await store.get(keys[0]!, asked)), key: keys[0]! }

  return {
    readAt: () => readAt,
    waitMs: (keys) => circuit.waitMs(nameOf(keys)),
    ask: async (keys, { refresh = false, waitUntil }) => {
      const name = nameOf(keys)
      const shared = sharedOf(keys)
      circuit.begin()
      try {
        const looked = await within(timeoutMs, (signal) =>
          lookup(keys, { refresh, signal, ...(waitUntil === undefined ? {} : { waitUntil }) }),
        )
        const reading = readingOf(looked, keys)
        if (reading.status === "unknown") {
          if (reading.cause instanceof KeyFailed) circuit.keyFailed(name)
          else circuit.failed(name, shared)
          health.failed(reading.cause)
          return reading
        }
        circuit.worked()
        health.worked()
        readAt = monotonicNow()
        return reading
      } catch (cause) {
        circuit.failed(name, shared)
        health.failed(cause)
        return { status: "unknown", cause, retryAfterMs: RETRY_AFTER_MS }
      }
    },
  }
}

const nameOf = (keys: readonly RouteKey[]): string => keys.join(" ")

/**
 * What names below a wildcard have in common: visitors make as many as they like, and its record may be what fails. Not `*.com`, which
 * all of a top-level domain have: if they all fail, it is the authority.
 */
const sharedOf = (keys: readonly RouteKey[]): RouteKey => keys.findLast((key) => !/^d:\*\.[^.]*$/.test(key)) ?? keys[0]!

/** The store's author may have given anything. */
const readingOf = (looked: FirstLookup | undefined, keys: readonly RouteKey[]): Reading => {
  const given = looked?.layer
  const layer = typeof given === "string" ? given : "authority"
  if (looked?.status === "miss") return { status: "miss", layer }
  if (looked?.status === "unknown") {
    const { cause, retryAfterMs = RETRY_AFTER_MS } = looked
    return { status: "unknown", cause, retryAfterMs }
  }
  const key = keys.find((key) => key === looked?.key)
  return looked?.status === "hit" && key !== undefined && isObject(looked.record)
    ? { status: "hit", key, record: looked.record, layer }
    : { status: "unknown", cause: new LookupFailed("the authority gave no look-up"), retryAfterMs: RETRY_AFTER_MS }
}
