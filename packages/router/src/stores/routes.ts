import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { RouteNotFound, RouteUnknown } from "../errors.ts"
import type { Lookup, RouteKey, RouteRecord, RouteStore } from "./route-store.ts"

/** Where keys lead. */
export class Routes extends Context.Service<
  Routes,
  {
    /** `refresh`: ask the authority, past every cache. */
    readonly lookup: (
      key: RouteKey,
      options?: { readonly refresh?: boolean },
    ) => Effect.Effect<RouteRecord, RouteNotFound | RouteUnknown>
  }
>()("@project-ingress/router/Routes") {}

/** A store that has not answered by then does not know, in ms: a client would rather try again than wait. */
const lookupTimeoutMs = 5_000

/** Lifts a store: the one seam. Whatever it throws, rejects with or hangs on is `RouteUnknown`, never a missing route. */
export const fromStore = (store: RouteStore): Routes["Service"] => ({
  lookup: (key, { refresh = false } = {}) =>
    Effect.suspend(() => {
      const left = new AbortController()
      const unknown = (cause: unknown) => Effect.fail(new RouteUnknown({ key, cause }))
      let found: Lookup | Promise<Lookup>
      try {
        found = store.get(key, { refresh, signal: left.signal })
      } catch (cause) {
        return unknown(cause)
      }
      if (!(found instanceof Promise)) return read(key, found)
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
const read = (key: RouteKey, lookup: Lookup | undefined): Effect.Effect<RouteRecord, RouteNotFound | RouteUnknown> => {
  switch (lookup?.status) {
    case "hit":
      return isRecord(lookup.record)
        ? Effect.succeed(lookup.record)
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
  const machine = record?.machine
  return typeof machine?.id === "string" && typeof machine.type === "string" && machine.id !== ""
}
