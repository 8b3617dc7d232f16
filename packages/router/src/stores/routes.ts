import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { RouteNotFound, RouteUnknown } from "../errors.ts"
import type { RouteKey, RouteRecord } from "./record.ts"
import type { FirstLookup, LookupOptions, LookupSource, RouteStore } from "./route-store.ts"

/** Where keys lead. */
export class Routes extends Context.Service<
  Routes,
  {
    /**
     * The first of one or more keys that leads somewhere. An `unknown` ends the search: an exact name that cannot be looked up
     * never falls through to a wildcard.
     */
    readonly lookup: (
      keys: readonly [RouteKey, ...RouteKey[]],
      options?: Pick<LookupOptions, "refresh" | "waitUntil">,
    ) => Effect.Effect<FoundRoute, RouteNotFound | RouteUnknown>
  }
>()("@project-ingress/router/Routes") {}

/** A decoded record and where it came from. */
export interface FoundRoute extends LookupSource {
  /** Which of the keys led there. */
  readonly key: RouteKey
  readonly record: RouteRecord
}

/** How long a look-up may take, in ms: a client would rather try again than wait. */
const lookupTimeoutMs = 5_000

/** Lifts a store: the one seam. Whatever it throws, rejects with or hangs on is `RouteUnknown`, never a missing route. */
export const fromStore = (store: RouteStore): Routes["Service"] => ({
  lookup: ([key], { refresh = false, waitUntil } = {}) =>
    Effect.suspend(() => {
      const left = new AbortController()
      const unknown = (cause: unknown) => Effect.fail(new RouteUnknown({ key, cause }))
      let found: FirstLookup | PromiseLike<FirstLookup>
      try {
        found = store.get(key, { refresh, signal: left.signal, ...(waitUntil && { waitUntil }) })
      } catch (cause) {
        return unknown(cause)
      }
      if (!(found instanceof Promise)) return read(key, found as FirstLookup)
      const pending = found
      return Effect.tryPromise({
        try: () => pending,
        catch: (cause) => new RouteUnknown({ key, cause }),
      }).pipe(
        Effect.onInterrupt(() => Effect.sync(() => left.abort())),
        Effect.timeoutOrElse({
          duration: lookupTimeoutMs,
          orElse: () => unknown(new Error(`no answer in ${lookupTimeoutMs} ms`)),
        }),
        Effect.flatMap((lookup) => read(key, lookup)),
      )
    }),
})

/** A record crosses a border here, so its shape is looked at: a wrong one is not known, rather than somebody else's. */
const read = (
  key: RouteKey,
  lookup: FirstLookup | undefined,
): Effect.Effect<FoundRoute, RouteNotFound | RouteUnknown> => {
  switch (lookup?.status) {
    case "hit":
      return isRecord(lookup.record)
        ? Effect.succeed({ key, record: lookup.record })
        : Effect.fail(new RouteUnknown({ key, cause: new TypeError("the store gave a record without a machine") }))
    case "miss":
      return Effect.fail(new RouteNotFound({ key }))
    case "unknown":
      return Effect.fail(new RouteUnknown({ key, cause: lookup.cause, retryAfterMs: lookup.retryAfterMs }))
    default:
      return Effect.fail(new RouteUnknown({ key, cause: new TypeError("the store gave no look-up") }))
  }
}

const isRecord = (record: RouteRecord | undefined): boolean => {
  if (record?.kind !== "machine") return record !== undefined && "kind" in record
  const { machine } = record
  return typeof machine?.id === "string" && typeof machine.type === "string" && machine.id !== ""
}
