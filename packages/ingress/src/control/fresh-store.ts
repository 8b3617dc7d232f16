import type { FirstLookup, Lookup, LookupOptions, RouteKey, RouteStore } from "@project-ingress/router"
import type { SyncedTable } from "./synced-table.ts"

/** A store over what is declared, which looks at the storage again before it knows nothing newer than `pollMs`. */
export const freshStore = (
  declared: Required<Pick<RouteStore, "getFirst">> & RouteStore,
  table: SyncedTable,
): RouteStore => {
  const dated = <Found extends Lookup>(found: Found): Found => {
    if (found.layer?.startsWith("ingress") !== true) return found
    const { ageMs, isFailing } = table.age()
    return { ...found, ageMs: Math.max(Math.round(ageMs), found.ageMs ?? 0), ...(isFailing ? { stale: true } : {}) }
  }

  const first = async (keys: readonly RouteKey[], options: LookupOptions): Promise<FirstLookup> => {
    return dated(await declared.getFirst(keys, options))
  }

  const afterFresh = <Found extends Lookup>(
    keys: readonly RouteKey[],
    { waitUntil }: LookupOptions,
    look: () => Found | PromiseLike<Found>,
  ): Found | PromiseLike<Found> => {
    // No ingress stands under the names of machines and projects.
    const waiting = keys.some((key) => key.startsWith("d:")) ? table.fresh(waitUntil) : undefined
    if (waiting === undefined) return look()
    return waiting.then((isKnown) => (isKnown ? look() : (unread as Found)))
  }

  return {
    get: (key, options) =>
      afterFresh([key], options, () => {
        const found = declared.get(key, options)
        return "then" in found ? found.then(dated) : dated(found)
      }),
    getFirst: (keys, options) => afterFresh(keys, options, () => first(keys, options)),
    ...(declared.stats === undefined ? {} : { stats: () => declared.stats!() }),
    ...(declared.dispose === undefined ? {} : { dispose: () => declared.dispose!() }),
  }
}

const unread: Lookup = { status: "unknown", layer: "ingress", cause: new Error("no ingress was read yet") }
