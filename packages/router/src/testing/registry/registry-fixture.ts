import type { Grammar } from "@project-ingress/hostname"
import type { ResolveTxt } from "../../stores/registry/domains.ts"
import type { RouteFeed } from "../../stores/route-feed.ts"
import type { RouteRegistry } from "../../stores/route-registry.ts"
import type { RouteStore } from "../../stores/route-store.ts"

/** What the laws look at: the registry, the feed of what it changes, and where its keys lead now. */
export type AnyRegistry = RouteRegistry & RouteFeed & RouteStore

/** What a law opens a registry with. All of it has the meaning of the same option of `postgresRegistry`. */
export interface TestedOptions {
  readonly grammar: Grammar
  readonly resolveTxt?: ResolveTxt
  readonly now?: () => number
  readonly keptChanges?: number
  readonly pollMs?: number
}

/** A place where a registry is, for {@link routeRegistrySuite}. */
export interface RegistryFixture {
  /** A registry as one more process would have it, on the same rows. */
  readonly open: (options: TestedOptions) => AnyRegistry | Promise<AnyRegistry>
  /** Forgets everything, before each law. Registries that were opened before are not used afterwards. */
  readonly empty: () => void | Promise<void>
  /** Whether a reader of the feed is notified of what another process has changed, rather than by polling. */
  readonly notifies: boolean
}
