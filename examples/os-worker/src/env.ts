import type { KvBinding } from "@project-ingress/router/stores/cloudflare-kv"
import type { D1Binding } from "@project-ingress/router/stores/d1"

/** What `wrangler.jsonc` binds, and the Worker's secrets. */
export interface Env {
  /** What projects live under. The name itself is the OS's own host, with its app and its control plane. */
  readonly DOMAIN: string
  /** The registry: what the control plane writes, and where every look-up ends. */
  readonly DB: D1Binding
  /** A cache of routes that all places share. */
  readonly ROUTES: KvBinding
  /** How old a route may be while D1 answers, in ms, as text; `0`: each request reads D1. Default 30 000. */
  readonly ROUTE_MAX_AGE_MS?: string
  /** A JSON Web Key, as `generateTicketKeys` makes it. */
  readonly SIGNING_KEY: string
  /** What callers of the control plane bear. Without one it is closed. */
  readonly INGRESS_PROXY_API_TOKEN?: string
}
