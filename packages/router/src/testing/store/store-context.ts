import { monotonicNow } from "@project-ingress/forward/internal"
import { pause } from "../../stores/reading/pause.ts"
import type { RouteKey, RouteRecord } from "../../stores/record.ts"
import type { FirstLookup, Lookup, LookupOptions, RouteStore } from "../../stores/route-store.ts"
import { isObject } from "../../stores/shape.ts"
import { claim, LawBroken, NotApplicable, shown } from "../claim.ts"
import type { Damage } from "./damaged-entries.ts"
import type { SourceFault } from "./faulty-source.ts"
import type { StoreFixture, Undo } from "./store-fixture.ts"

/** What a law works with. */
export type StoreContext = ReturnType<typeof storeContext>

/** How a law looks. */
export interface LookHow {
  readonly refresh?: boolean
  readonly signal?: AbortSignal
}

/** How long a store is asked again while it cannot tell, in ms. */
const PATIENCE_MS = 30_000
/** Between two look-ups of one that cannot tell, in ms. */
const PAUSE_MS = 20

export const pauseBriefly = (): Promise<void> => pause(PAUSE_MS)

/** The fixture with what all laws do. One for each law: `close` ends its faults and disposes of its stores. */
export const storeContext = (fixture: StoreFixture, lookupTimeoutMs: number, run: string) => {
  const opened: RouteStore[] = []
  const undone: Undo[] = []
  let names = 0
  let version = 0

  const settle = async (store: RouteStore): Promise<void> => void (await fixture.settle?.(store))

  /** A name that no other law, and no other run, has used. */
  const name = (): string => `${run}-${(names += 1)}`

  /** A record of a version above all before: of a machine, unless the fields say another kind. */
  const record = (fields: Partial<RouteRecord> = {}): RouteRecord => {
    version += 1
    const id = `mach_${version}`
    const machine = { id, type: "fake", externalId: `ext-${version}`, metadata: { nth: version } }
    const kind = fields.kind === undefined ? { kind: "machine", machine } : {}
    // Its kind and that kind's fields come from one of two places.
    return { ...kind, owner: `org_${version % 3}`, ...fields, version, epoch: version } as RouteRecord
  }

  /** Puts a route; gives the record that look-ups must give. */
  const put = async (key: RouteKey, given: RouteRecord = record()): Promise<RouteRecord> => {
    const kept = await fixture.put(key, given)
    return isObject(kept) && "kind" in kept && "version" in kept ? (kept as unknown as RouteRecord) : given
  }

  /** As a router looks: what throws, rejects or takes too long is unknown. */
  const ask = async <Found extends Lookup>(
    given: AbortSignal | undefined,
    start: (signal: AbortSignal) => Found | PromiseLike<Found>,
  ): Promise<Found | { readonly status: "unknown"; readonly cause: unknown }> => {
    const left = new AbortController()
    const signal = given === undefined ? left.signal : AbortSignal.any([given, left.signal])
    const { promise: late, resolve } = Promise.withResolvers<"late">()
    const timer = setTimeout(() => resolve("late"), lookupTimeoutMs)
    try {
      const found = await Promise.race([new Promise<Found>((settled) => settled(start(signal))), late])
      if (found === "late") return { status: "unknown", cause: `no result within ${lookupTimeoutMs} ms` }
      return checkedLookup(found)
    } catch (cause) {
      if (cause instanceof LawBroken) throw cause
      return { status: "unknown", cause }
    } finally {
      clearTimeout(timer)
      left.abort()
    }
  }
  const look = (store: RouteStore, key: RouteKey, how: LookHow = {}): Promise<Lookup> =>
    ask<Lookup>(how.signal, (signal) => store.get(key, optionsOf(how, signal)))
  const lookFirst = (store: RouteStore, keys: readonly RouteKey[], how: LookHow = {}): Promise<FirstLookup> =>
    ask<FirstLookup>(how.signal, (signal) => store.getFirst!(keys, optionsOf(how, signal)))

  /** The first look-up that holds; the last one, if none has for a long time. */
  const until = async <Found extends Lookup>(
    store: RouteStore,
    ask: () => Promise<Found>,
    holds: (found: Found) => boolean,
  ): Promise<Found> => {
    for (const start = monotonicNow(); ;) {
      const found = await ask()
      if (holds(found) || monotonicNow() - start > PATIENCE_MS) return found
      await pauseBriefly()
      await settle(store)
    }
  }

  /** What the store says of a key: of a store whose source works it must not be unknown for long. */
  const lookUntilKnown = async (store: RouteStore, key: RouteKey, how: LookHow = {}): Promise<Lookup> => {
    const found = await until(store, () => look(store, key, how), isKnown)
    if (found.status !== "unknown") return found
    throw new LawBroken(`${key} is unknown, and its source works: ${shown(found.cause)}`)
  }

  const lookFirstUntilKnown = (store: RouteStore, keys: readonly RouteKey[]): Promise<FirstLookup> =>
    until(store, () => lookFirst(store, keys), isKnown)

  return {
    fixture,
    settle,
    lookUntilKnown,
    lookFirstUntilKnown,
    /** What `getFirst` must equal. */
    firstInTurn: async (store: RouteStore, keys: readonly RouteKey[]): Promise<FirstLookup> => {
      for (const key of keys) {
        const found = await lookUntilKnown(store, key)
        if (found.status !== "miss") return { ...found, key }
      }
      return { status: "miss" }
    },
    /** Looks until it holds. */
    eventually: async (store: RouteStore, key: RouteKey, holds: (found: Lookup) => boolean): Promise<void> => {
      const found = await until(store, () => look(store, key), holds)
      if (!holds(found)) throw new LawBroken(`${key} is ${found.status} for ${PATIENCE_MS} ms, or an old record`)
    },
    needs: (store: RouteStore, method: "getFirst" | "stats" | "dispose"): void => {
      if (store[method] === undefined) throw new NotApplicable(`not applicable: the store has no ${method}`)
    },
    /** How many timers and connections keep the process alive, where the runtime tells. */
    keepingAlive: (): number => {
      const { process } = globalThis as { process?: { getActiveResourcesInfo?: () => readonly string[] } }
      const resources = process?.getActiveResourcesInfo?.()
      if (resources === undefined) throw new NotApplicable("the runtime does not tell what keeps it alive")
      return resources.filter((each) => each === "Timeout" || each.startsWith("TCP") || each.startsWith("Pipe")).length
    },
    name,
    project: (): RouteKey => `p:${name()}`,
    record,
    put,
    remove: async (key: RouteKey): Promise<void> => void (await fixture.remove(key, (version += 1))),
    look,
    lookFirst,
    /** The store of a router that has just started. */
    open: async (): Promise<RouteStore> => {
      const store = await fixture.open()
      opened.push(store)
      return store
    },
    /** Begins a fault. */
    begin: async (fault: SourceFault): Promise<Undo> => {
      const undo = await fixture.faults![fault]!()
      undone.push(undo)
      return undo
    },
    damage: async (how: Damage, key: RouteKey): Promise<void> => void (await fixture.faults![how]!(key)),
    /** The key leads to the record, once the store has caught up. */
    mustHave: async (
      store: RouteStore,
      key: RouteKey,
      expected: RouteRecord,
      how: LookHow = {},
    ): Promise<RouteRecord> => {
      await settle(store)
      return recordOf(await lookUntilKnown(store, key, how), key, expected)
    },
    /** The key leads nowhere, once the store has caught up. */
    mustMiss: async (store: RouteStore, key: RouteKey): Promise<void> => {
      await settle(store)
      claim((await lookUntilKnown(store, key)).status).toBe("miss")
    },
    close: async (): Promise<void> => {
      for (const undo of undone.toReversed()) await undo()
      for (const store of opened) await store.dispose?.()
    },
  }
}

const optionsOf = ({ refresh }: LookHow, signal: AbortSignal): LookupOptions => ({
  signal,
  ...(refresh === undefined ? {} : { refresh }),
})

const isKnown = ({ status }: Lookup): boolean => status !== "unknown"

/** The record of a hit, if it is the expected one. */
export const recordOf = (found: Lookup, key: RouteKey, expected: RouteRecord): RouteRecord => {
  if (found.status !== "hit") throw new LawBroken(`${key} is ${found.status}, and was put`)
  claim(found.record).toEqual(expected)
  return found.record
}

/** Of a known key while its source fails: the record that was put last, or unknown. */
export const mustBeKnown = (found: Lookup, key: RouteKey, expected: RouteRecord): void => {
  if (found.status !== "unknown") recordOf(found, key, expected)
}

const checkedLookup = <Found extends Lookup>(found: Found): Found => {
  const given: unknown = found
  if (!isObject(given)) throw new LawBroken(`the store gave no look-up, but ${shown(given)}`)
  const { status, layer, ageMs, stale, retryAfterMs } = given
  if (status !== "hit" && status !== "miss" && status !== "unknown")
    throw new LawBroken(`the status of a look-up is ${shown(status)}`)
  if (status === "hit" && !("record" in given)) throw new LawBroken("a hit has no record")
  if (layer !== undefined && (typeof layer !== "string" || layer === ""))
    throw new LawBroken(`the layer of a look-up is ${shown(layer)}`)
  if (stale !== undefined && typeof stale !== "boolean") throw new LawBroken(`stale is ${shown(stale)}`)
  for (const [field, ms] of Object.entries({ ageMs, retryAfterMs })) {
    if (ms !== undefined && !(typeof ms === "number" && ms >= 0 && ms < Infinity))
      throw new LawBroken(`${field} of a look-up is ${shown(ms)}`)
  }
  return found
}
