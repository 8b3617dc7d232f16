import type { Lookup, RouteKey, RouteRecord, RouteStore } from "@project-ingress/router"
import { isRouteKey, within } from "@project-ingress/router/internal"

/** Whether a key leads somewhere cannot be found out now. Nothing was changed; try again. Not one of the errors of a document. */
export class LookupUnavailable extends Error {
  readonly _tag = "LookupUnavailable"
  override readonly name = "LookupUnavailable"
  readonly key: string
  /** When trying again makes sense, in ms, where the store says so. */
  readonly retryAfterMs: number | undefined
  /** `cause`: what the store said, for logs, never for a client. */
  constructor(fields: { readonly key: string; readonly retryAfterMs?: number | undefined; readonly cause?: unknown }) {
    super(`where ${fields.key} leads cannot be found out now`, { cause: fields.cause })
    this.key = fields.key
    this.retryAfterMs = fields.retryAfterMs
  }
}

/** The record of a key, as `lookUp` finds it; `undefined` where there is none. */
export type LookUp = (key: RouteKey) => Promise<RouteRecord | undefined> | RouteRecord | undefined

/**
 * Asks a store. A miss counts only if the authority says the same: what was registered a moment ago may be missing in a cache.
 *
 * @throws {LookupUnavailable} (rejects) where nobody can tell now
 */
export const makeLookUp = (store: RouteStore, timeoutMs: number, now: () => number): LookUp => {
  const ask = (key: RouteKey, refresh: boolean): Promise<Lookup> =>
    within(timeoutMs, (signal) => store.get(key, { refresh, signal }))

  const settle = (key: RouteKey, found: Lookup): RouteRecord | undefined => {
    if (found.status === "hit") {
      const { expiresAt = Infinity } = found.record
      return expiresAt > now() ? found.record : undefined
    }
    if (found.status === "miss") return undefined
    throw new LookupUnavailable({ key, retryAfterMs: found.retryAfterMs, cause: found.cause })
  }

  const slowly = async (
    key: RouteKey,
    first: Lookup | PromiseLike<Lookup>,
    controller: AbortController,
  ): Promise<RouteRecord | undefined> => {
    try {
      const found = await within(timeoutMs, (signal) => {
        signal.addEventListener("abort", () => controller.abort(signal.reason))
        return first
      })
      return settle(key, found.status === "miss" ? await ask(key, true) : found)
    } catch (cause) {
      throw cause instanceof LookupUnavailable ? cause : new LookupUnavailable({ key, cause })
    }
  }

  return (key) => {
    // What no hostname can lead to is not asked for.
    if (!isRouteKey(key)) return undefined
    const controller = new AbortController()
    let first: Lookup | PromiseLike<Lookup>
    try {
      first = store.get(key, { signal: controller.signal })
    } catch (cause) {
      throw new LookupUnavailable({ key, cause })
    }
    return "then" in first || first.status !== "hit" ? slowly(key, first, controller) : settle(key, first)
  }
}
