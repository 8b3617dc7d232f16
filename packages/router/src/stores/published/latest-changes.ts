import { isUsableChange } from "../invalid-route.ts"
import type { OnInvalid } from "../invalid-route.ts"
import type { RouteKey } from "../record.ts"
import type { RouteChange } from "../route-feed.ts"

/** Adds changes of a feed to those before, of each key the one with the highest version. One without a key or version is reported. */
export const addLatest = (
  latest: Map<RouteKey, RouteChange>,
  changes: readonly RouteChange[],
  onInvalid: OnInvalid,
): void => {
  for (const change of changes) {
    if (!isUsableChange(change, onInvalid)) continue
    if ((latest.get(change.key)?.version ?? 0) < change.version) latest.set(change.key, change)
  }
}
