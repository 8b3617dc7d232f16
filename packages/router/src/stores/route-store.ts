import type { RouteKey } from "@project-ingress/hostname"
import type { Machine } from "@project-ingress/providers"

export type { RouteKey }

/** Where a route leads. Denormalised: one read answers one request. */
export interface RouteRecord {
  /** The machine attached now. */
  readonly machine: Machine
  /** The port of a hostname that names none, 1 to 65535. Default: the grammar's. */
  readonly port?: number
  /** Ports by service name; they win over the grammar's. */
  readonly services?: Readonly<Record<string, number>>
  /**
   * The `Host` the app sees: `localhost:<port>`, the public authority as sent, or a name of its own. Default: what the
   * machine's proxy is set to.
   */
  readonly host?: "localhost" | "preserve" | { readonly name: string }
  /** Never goes backwards, in any layer of a store. */
  readonly version: number
  /** The fencing token: one more at each attach and detach. */
  readonly epoch: number
}

/**
 * What a store knows. `miss` is authoritative, a 404. `unknown` means that nobody can say now, a 503: a store that is down
 * or not loaded yet must never make a project disappear.
 */
export type Lookup =
  | { readonly status: "hit"; readonly record: RouteRecord }
  | { readonly status: "miss" }
  | { readonly status: "unknown"; readonly cause?: unknown; readonly retryAfterMs?: number }

/** How to look. */
export interface LookupOptions {
  /** True after a machine said that it is not the one: ask the authority, past every cache. */
  readonly refresh?: boolean
  /** Aborted when the client has left. */
  readonly signal?: AbortSignal
}

/** What a stranger implements. A `get` that throws or rejects counts as `unknown`. Synchronous where the answer is at hand. */
export interface RouteStore {
  get(key: RouteKey, options: LookupOptions): Lookup | Promise<Lookup>
}
