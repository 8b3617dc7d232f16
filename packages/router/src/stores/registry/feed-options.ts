import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { RouteFeed } from "../route-feed.ts"

type ChangesOptions = NonNullable<Parameters<RouteFeed["changes"]>[1]>

/**
 * The options of `changes` with their defaults.
 *
 * @throws {TypeError} for one that it does not have, and the reason of a signal that is aborted
 */
export const changesOptions = (
  options: ChangesOptions = {},
): ChangesOptions & { readonly limit: number; readonly waitMs: number } => {
  checkOptions("changes", options, {
    limit: accept.integer(1, 10_000),
    waitMs: accept.integer(0, 60_000),
    signal: accept.object,
  })
  options.signal?.throwIfAborted()
  return { limit: 1_000, waitMs: 0, ...options }
}
