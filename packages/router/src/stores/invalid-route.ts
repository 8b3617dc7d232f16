import { kindOf } from "@project-ingress/forward/internal"
import type { RecordProblem } from "./decode-record.ts"
import type { RouteKey } from "./record.ts"
import type { RouteChange } from "./route-feed.ts"
import { isRouteKey } from "./route-key.ts"
import { isCount, isObject } from "./shape.ts"

/**
 * Called for each record that no router of this version can use, which fails its own hostnames; and, with the field `key`, for each
 * key that no hostname leads to, which is left out.
 */
export type OnInvalid = (key: string, problem: RecordProblem) => void

/** Whether a hostname can lead to a key; one that none leads to is reported. */
export const isUsableKey = (key: unknown, onInvalid: OnInvalid | undefined): key is RouteKey => {
  if (isRouteKey(key)) return true
  const shown = typeof key === "string" ? key.slice(0, 256) : kindOf(key)
  onInvalid?.(shown, { code: "RECORD_INVALID", field: "key", accepted: "a key that a hostname leads to" })
  return false
}

/** Whether something from a feed, which may be anything, says which version of which key it is; what does not is reported. */
export const isUsableChange = (change: unknown, onInvalid: OnInvalid | undefined): change is RouteChange => {
  const { key, version } = isObject(change) ? change : {}
  if (!isUsableKey(key, onInvalid)) return false
  if (isCount(version)) return true
  onInvalid?.(key, { code: "RECORD_INVALID", field: "version", accepted: "an integer from 0 up" })
  return false
}
