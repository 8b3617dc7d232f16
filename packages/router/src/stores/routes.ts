import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { startDeadline } from "@project-ingress/forward/internal"
import { RouteInvalid, RouteNotFound, RouteUnknown } from "../errors.ts"
import { decodeRecord } from "./decode-record.ts"
import type { DecodedRecord } from "./decode-record.ts"
import type { RouteKey, RouteRecord } from "./record.ts"
import type { FirstLookup, LookupOptions, LookupSource, RouteStore } from "./route-store.ts"
import { isObject } from "./shape.ts"
import type { StoreEvent } from "./store-event.ts"
import { LookupFailed, storeHealth } from "./store-health.ts"

/** Where keys lead. */
export class Routes extends Context.Service<
  Routes,
  {
    /**
     * The first of one or more keys that leads somewhere. Only a miss goes on to the next key: an exact name that cannot be
     * looked up, or whose record is invalid, never falls through to a wildcard. The store is asked by the call, not by the
     * effect, which is a result already where the store knows at once.
     */
    readonly lookup: (
      keys: readonly [RouteKey, ...RouteKey[]],
      options?: Pick<LookupOptions, "refresh" | "waitUntil">,
    ) => Effect.Effect<FoundRoute, RouteNotFound | RouteUnknown | RouteInvalid>
  }
>()("@project-ingress/router/Routes") {}

/** A decoded record and where it came from. */
export interface FoundRoute extends LookupSource {
  /** Which of the keys led there. */
  readonly key: RouteKey
  /** Deeply frozen. */
  readonly record: RouteRecord
}

/** How long one look-up may take, all its keys together, in ms: a client would rather try again than wait. */
const LOOKUP_TIMEOUT_MS = 5_000

/** How a store is used. */
export interface FromStoreOptions {
  /** Called when the store begins to fail and when it works again, by what came of its look-ups. Must not throw. */
  readonly onEvent?: (event: StoreEvent) => void
}

/**
 * Lifts a store: the one seam. Whatever it throws, rejects with or hangs on is `RouteUnknown`, never a missing route. What it
 * gives is decoded once for each record object.
 */
export const fromStore = (store: RouteStore, { onEvent }: FromStoreOptions = {}): Routes["Service"] => {
  const health = onEvent === undefined ? undefined : storeHealth(onEvent)
  /** A look-up whose client has left never comes here: it says nothing of the store. */
  const observed = (outcome: Outcome | undefined): Outcome | undefined => {
    if (outcome instanceof RouteUnknown) health?.failed(outcome.cause)
    else health?.worked()
    return outcome
  }

  // By identity: a store that keeps its records in memory gives the same object each time.
  const decoded = new WeakMap<object, DecodedRecord>()
  const decode = (record: unknown): DecodedRecord => {
    if (typeof record !== "object" || record === null) return decodeRecord(record)
    const known = decoded.get(record)
    if (known !== undefined) return known
    const fresh = decodeRecord(record)
    decoded.set(record, fresh)
    return fresh
  }

  /** Asks for keys in turn until one is no miss; `undefined` when all are. Synchronous as long as the store is. */
  const search = (
    keys: readonly RouteKey[],
    options: LookupOptions,
  ): Outcome | undefined | Promise<Outcome | undefined> => {
    let rest = keys
    for (let key = rest[0]; key !== undefined; key = rest[0]) {
      const asked = rest
      try {
        const first = asked.length > 1 ? store.getFirst?.(asked, options) : undefined
        const isMany = first !== undefined
        const looked = first ?? store.get(key, options)
        // Not `instanceof`: a database driver may bring promises of its own, or of another realm.
        if (isThenable(looked)) return searchLater(looked, asked, isMany, options)
        const settled = settle(looked, asked, isMany, decode)
        if (isOutcome(settled)) return settled
        rest = settled
      } catch (cause) {
        return new RouteUnknown({ key, cause })
      }
    }
    return undefined
  }

  const searchLater = async (
    looked: PromiseLike<FirstLookup>,
    asked: readonly RouteKey[],
    isMany: boolean,
    options: LookupOptions,
  ): Promise<Outcome | undefined> => {
    try {
      const settled = settle(await looked, asked, isMany, decode)
      if (isOutcome(settled)) return settled
      // Nobody waits for the other keys any more.
      return options.signal.aborted ? undefined : await search(settled, options)
    } catch (cause) {
      return new RouteUnknown({ key: asked[0]!, cause })
    }
  }

  return {
    lookup: (keys, { refresh = false, waitUntil } = {}) => {
      const left = new AbortController()
      const outcome = search(keys, {
        refresh,
        signal: left.signal,
        ...(waitUntil === undefined ? {} : { waitUntil }),
      })
      if (!(outcome instanceof Promise)) return resultOf(keys, observed(outcome))
      return Effect.flatMap(
        Effect.callback<Outcome | undefined>((resume) => {
          const settled = startDeadline(LOOKUP_TIMEOUT_MS, () => {
            left.abort()
            const cause = new LookupFailed(`no result within ${LOOKUP_TIMEOUT_MS} ms`)
            resume(Effect.succeed(new RouteUnknown({ key: keys[0], cause })))
          })
          void outcome.then((late) => {
            settled()
            resume(Effect.succeed(late))
          })
          return Effect.sync(() => {
            settled()
            left.abort()
          })
        }),
        (late) => resultOf(keys, observed(late)),
      )
    },
  }
}

type Outcome = FoundRoute | RouteUnknown | RouteInvalid

const isOutcome = (settled: Outcome | readonly RouteKey[]): settled is Outcome => !Array.isArray(settled)

const resultOf = (
  [key]: readonly [RouteKey, ...RouteKey[]],
  outcome: Outcome | undefined,
): Effect.Effect<FoundRoute, RouteNotFound | RouteUnknown | RouteInvalid> => {
  if (outcome === undefined) return Effect.fail(new RouteNotFound({ key }))
  return outcome instanceof Error ? Effect.fail(outcome) : Effect.succeed(outcome)
}

/** What a look-up came to, or the keys that are still to be asked for. The store's author may have given anything. */
const settle = (
  looked: FirstLookup | undefined,
  keys: readonly RouteKey[],
  isMany: boolean,
  decode: (record: unknown) => DecodedRecord,
): Outcome | readonly RouteKey[] => {
  const key = isMany ? looked?.key : keys[0]
  switch (looked?.status) {
    case "hit": {
      const at = key === undefined ? -1 : keys.indexOf(key)
      if (key === undefined || at === -1)
        return unknown(keys, "the store gave a record of a key that was not asked for")
      const { record, problem } = decode(looked.record)
      // Without a kind it is no record at all. One of a kind that this version does not know fails only its own hostnames.
      if (problem?.field === "" || (problem?.field === "kind" && !hasKind(looked.record)))
        return unknown([key], "the store gave no record")
      if (problem !== undefined) return new RouteInvalid({ key, problem })
      return record.expiresAt !== undefined && record.expiresAt <= Date.now()
        ? keys.slice(at + 1)
        : { key, record, ...sourceOf(looked) }
    }
    case "miss":
      return isMany ? [] : keys.slice(1)
    case "unknown": {
      const { cause, retryAfterMs } = looked
      return new RouteUnknown({ key: key ?? keys[0]!, cause, retryAfterMs })
    }
    default:
      return unknown(keys, "the store gave no look-up")
  }
}

const unknown = (keys: readonly RouteKey[], reason: string): RouteUnknown =>
  new RouteUnknown({ key: keys[0]!, cause: new LookupFailed(reason) })

const hasKind = (record: unknown): boolean => isObject(record) && Object.hasOwn(record, "kind")

const sourceOf = ({ layer, ageMs, stale }: LookupSource): LookupSource => ({
  ...(layer === undefined ? {} : { layer }),
  ...(ageMs === undefined ? {} : { ageMs }),
  ...(stale === undefined ? {} : { stale }),
})

const isThenable = <A>(value: A | PromiseLike<A>): value is PromiseLike<A> =>
  typeof value === "object" && value !== null && typeof (value as { readonly then?: unknown }).then === "function"
