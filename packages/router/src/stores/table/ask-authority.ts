import type { RouteKey } from "../record.ts"
import { within } from "../reading/within.ts"
import type { FirstLookup, LookupOptions, RouteStore } from "../route-store.ts"
import { usable, versionIn } from "./route-table.ts"
import type { RouteTable } from "./route-table.ts"

/** How long an authority may take for all keys together, in ms: less than a look-up has. */
const TIMEOUT_MS = 2_000

/**
 * Asks for the first of some keys and takes what is newer into the table. Resolves to whether anything was; to false as well when
 * the authority cannot tell.
 */
export const askAuthority = async (
  authority: RouteStore,
  table: () => RouteTable,
  keys: readonly RouteKey[],
  { signal = new AbortController().signal, waitUntil }: Partial<LookupOptions>,
): Promise<boolean> => {
  const before = keys.map((key) => table().versionOf(key))
  let found: FirstLookup
  try {
    found = await within(
      TIMEOUT_MS,
      (inner) => first(authority, keys, { refresh: true, signal: inner, ...(waitUntil && { waitUntil }) }),
      signal,
    )
  } catch {
    return false
  }
  if (found?.status !== "hit" && found?.status !== "miss") return false
  // Whoever comes before the one that was found leads nowhere.
  const misses = found.status === "miss" ? keys.length : keys.indexOf(found.key!)
  let isChanged = false
  for (const [at, key] of keys.slice(0, Math.max(0, misses)).entries()) {
    const known = before[at]!
    // What the feed has said meanwhile is newer. Nothing else brings the route back: an authority that lags behind may not be given,
    // and to serve it again after a while would send visitors to a machine that may be another tenant's by now.
    if (table().find(key) === undefined || table().versionOf(key) !== known) continue
    table().put(key, { version: known, record: undefined })
    isChanged = true
  }
  const key = misses === -1 ? undefined : keys[misses]
  if (found.status === "miss" || key === undefined) return isChanged
  const version = versionIn(found.record)
  if (version === undefined || version <= table().versionOf(key)) return isChanged
  table().apply({ key, version, record: usable(key, found.record, undefined) })
  return true
}

const first = async (
  authority: RouteStore,
  keys: readonly RouteKey[],
  options: LookupOptions,
): Promise<FirstLookup> => {
  if (keys.length > 1 && authority.getFirst !== undefined) return authority.getFirst(keys, options)
  for (const key of keys) {
    const found = await authority.get(key, options)
    if (found?.status !== "miss") return { ...found, key }
  }
  return { status: "miss" }
}
