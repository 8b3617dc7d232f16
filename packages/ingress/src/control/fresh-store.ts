import type { Lookup, LookupOptions, RouteStore } from "@project-ingress/router"
import type { SyncedTable } from "./synced-table.ts"

/** A store over what is declared, which looks at the storage again before it knows nothing newer than `pollMs`. */
export const freshStore = (
  declared: Required<Pick<RouteStore, "getFirst">> & RouteStore,
  table: SyncedTable,
): RouteStore => {
  /** A hostname is known no better than what is declared, whichever layer has its machine. */
  const dated = <Found extends Lookup>(found: Found): Found => {
    if (found.status !== "hit") return found
    const { ageMs, isFailing } = table.age()
    return { ...found, ageMs: Math.max(found.ageMs ?? 0, Math.round(ageMs)), ...(isFailing ? { stale: true } : {}) }
  }

  const afterFresh = async <Found extends Lookup>(
    { waitUntil }: LookupOptions,
    look: () => Found | PromiseLike<Found>,
  ): Promise<Found> => {
    const waiting = table.fresh(waitUntil)
    if (waiting !== undefined && !(await waiting)) return unread as Found
    return dated(await look())
  }

  // No ingress stands under the names of machines and projects.
  return {
    get: (key, options) =>
      key.startsWith("d:") ? afterFresh(options, () => declared.get(key, options)) : declared.get(key, options),
    getFirst: (keys, options) =>
      keys.some((key) => key.startsWith("d:"))
        ? afterFresh(options, () => declared.getFirst(keys, options))
        : declared.getFirst(keys, options),
    ...(declared.stats === undefined ? {} : { stats: () => declared.stats!() }),
    ...(declared.dispose === undefined ? {} : { dispose: () => declared.dispose!() }),
  }
}

const unread: Lookup = { status: "unknown", layer: "ingress", cause: new Error("no ingress was read yet") }
