import type { Grammar } from "@project-ingress/hostname"
import { cacheApi } from "@project-ingress/router/stores/cache-api"
import type { CacheBinding } from "@project-ingress/router/stores/cache-api"
import { kvCache } from "@project-ingress/router/stores/cloudflare-kv"
import { d1Registry } from "@project-ingress/router/stores/d1"
import type { SqlRegistry } from "@project-ingress/router/stores/d1"
import { d1Routes } from "@project-ingress/router/stores/d1-routes"
import { layeredStore } from "@project-ingress/router/stores/layered"
import type { LayeredStore } from "@project-ingress/router/stores/layered"
import type { Env } from "./env.ts"

/** Where routes are read, and where they are written. */
export interface Routes {
  /** For the router: this isolate's memory, else the cache of this place, else KV, else D1, whose word goes into all of them. */
  readonly store: LayeredStore
  /** For the control plane: D1. */
  readonly registry: SqlRegistry
}

/** A route is at most this old while D1 answers. It goes on for a day while D1 does not, also with KV and the cache down. */
const MAX_AGE_MS = 30_000

export const routesOf = (env: Env, grammar: Grammar): Routes => {
  const maxAgeMs = Number(env.ROUTE_MAX_AGE_MS ?? MAX_AGE_MS)
  // Only Workers have it: the DOM's types do not.
  const { default: cache } = caches as unknown as { readonly default: CacheBinding }
  const store = layeredStore({
    authority: d1Routes(env.DB),
    caches: [cacheApi(cache), kvCache(env.ROUTES)],
    softMs: Math.min(5_000, maxAgeMs),
    revalidateMs: maxAgeMs,
    missMs: Math.min(2_000, maxAgeMs),
    onEvent: (event) => console.warn(event),
  })
  return { store, registry: d1Registry(env.DB, { grammar }) }
}

/** Runs an operation of the registry. This isolate sees what it changed at once, others when what they know is too old. */
export const changing = async <A>({ registry, store }: Routes, operation: () => Promise<A>): Promise<A> => {
  let { cursor } = await registry.snapshot()
  const result = await operation()
  try {
    for (let more = true; more;) {
      const page = await registry.changes(cursor)
      if (page.status === "gap") break
      store.apply(page.changes)
      ;({ cursor, more } = page)
    }
  } catch (cause) {
    // The operation is done: this isolate is as late as the others.
    console.warn("the changes could not be read", cause)
  }
  return result
}
