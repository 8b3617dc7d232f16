import type { Grammar } from "@project-ingress/hostname"
import type { RouteStore } from "@project-ingress/router"
import type { RouteRegistry } from "@project-ingress/router/stores/memory"
import type { Front } from "../fronts/front.ts"
import type { DeclaredIngress, TargetProtocol } from "../resource/ingress.ts"
import type { Grant, IngressStorage, UnreadableDocument } from "../storage/ingress-storage.ts"
import type { IngressStatus } from "./status.ts"

/** What `createIngresses` accepts. */
export interface IngressesOptions {
  /** Where ingresses are kept. */
  readonly storage: IngressStorage
  /** The platform's names are reserved: no ingress may declare one. */
  readonly grammar: Grammar
  /** Where machines and projects are looked up (`m:` and `p:`); a registry, or any store of the router. */
  readonly store: RouteStore
  /**
   * Where settings of ports are written: those that a rule declares for a port of a machine or project hang on that port, under every
   * one of its names. Absent: `allowCidrs` and `requireHeader` are refused but for `url` targets.
   */
  readonly registry?: RouteRegistry
  /** Further proxies that are given the configuration, in this order. Default none: the router alone. */
  readonly fronts?: readonly Front[]
  /** Where the targets of `fronts` are dialled. Default: what the records of `store` say, for machines of type `upstream`. */
  readonly address?: (target: {
    readonly machine: string
    readonly port: number
  }) => string | undefined | Promise<string | undefined>
  /** The zone of the internal DNS responder, for captures. */
  readonly internalZone?: string
  /**
   * Turns what a document says of a machine into its id: `my-api` into `mach_1`. `undefined`: there is none. Default: it is the id.
   */
  readonly findMachine?: (
    reference: string,
    context: { readonly owner: string | undefined },
  ) => string | undefined | Promise<string | undefined>
  /** Hostnames of the control plane itself: reserved, too. */
  readonly reservedHostnames?: readonly string[]
  /** Patterns of the hostnames that rules with `tls` may have: `example.com`, `*.example.com` (one label), `*`. Default: all. */
  readonly tlsDomains?: readonly string[]
  /** Whether an owner may use a hostname: asked at every change that declares one, also by pattern. Default: everybody everything. */
  readonly authorizeHostname?: (request: {
    readonly hostname: string
    readonly owner: string | undefined
  }) => boolean | Promise<boolean>
  /**
   * Whether an owner may lead to an address (`url` targets): asked at every change of an ingress that has an owner. Default: no where there
   * are `fronts`, which connect to whatever they are given; yes without, as the router checks each address that it connects to.
   */
  readonly authorizeUrl?: (request: {
    /** A name or an address, IPv6 without brackets. */
    readonly host: string
    readonly port: number
    readonly protocol: TargetProtocol
    readonly owner: string
  }) => boolean | Promise<boolean>
  /** Listening port to the port that visitors connect to, where the router stands behind a balancer: `{ 8080: 80, 8443: 443 }`. */
  readonly publicPorts?: Readonly<Record<number, number>>
  /** How often `store` looks whether another process has changed something, in ms, 100 to 60 000. Default 1 000. */
  readonly pollMs?: number
  /** How long one front, the storage or the store may take for one step, in ms, 1 to 600 000. Default 30 000. */
  readonly stepTimeoutMs?: number
  /** Called with what happens beside calls: a reconciliation, an unreadable document, a failed read. Must not throw. */
  readonly onEvent?: (event: IngressEvent) => void
  /** Default `Date.now`. */
  readonly now?: () => number
}

/** Options of a change. */
export interface ChangeOptions {
  /** Whose ingresses there are for this call: others are not found. Absent: the operator, for whom there are all. */
  readonly owner?: string
  /** The expected version. */
  readonly ifVersion?: number
  /** True: plan and validate, and change nothing. Default false. */
  readonly dryRun?: boolean
}

/** What a change came to. */
export interface Changed {
  readonly ingress: DeclaredIngress
  /**
   * What it changed, or would change, at each front. Of a call with `owner` at the router alone: the files of other fronts hold what all
   * owners declared.
   */
  readonly diffs: readonly { readonly front: string; readonly diff: string }[]
}

/**
 * The ingresses of a platform. Each change is planned, validated and applied at every front, read back, and then stored: all of it, or
 * nothing, and then it rejects with an `IngressError`.
 *
 * A reference is an id, a name, or the beginning of an id that no other shares.
 */
export interface Ingresses {
  create(document: unknown, options?: Omit<ChangeOptions, "ifVersion">): Promise<Changed>
  /** Replaces the rules and the name. */
  replace(reference: string, document: unknown, options?: ChangeOptions): Promise<Changed>
  remove(reference: string, options?: ChangeOptions): Promise<Pick<Changed, "diffs">>
  read(reference: string, options?: Pick<ChangeOptions, "owner">): Promise<DeclaredIngress>
  /** By id, in pages. */
  list(options?: {
    readonly owner?: string
    readonly cursor?: string
    /** 1 to 1 000. Default 100. */
    readonly limit?: number
  }): Promise<{ readonly ingresses: readonly DeclaredIngress[]; readonly next?: string }>
  status(reference: string, options?: Pick<ChangeOptions, "owner">): Promise<IngressStatus>
  /** The owner of a target lets ingresses of another owner lead there. */
  grant(grant: Pick<Grant, "owner" | "to" | "target">): Promise<Grant>
  /**
   * Takes a grant back: what leads there by it ends with the next request. Rejects with `FrontFailed` if a front could not be brought to
   * it; the grant is gone all the same, and `reconcile` tries again.
   */
  revokeGrant(id: string, options?: Pick<ChangeOptions, "owner">): Promise<void>
  listGrants(options?: Pick<ChangeOptions, "owner">): Promise<readonly Grant[]>
  /**
   * Brings every front to what is stored. Called by `start`, and by you whenever somebody may have changed a front by hand, or another
   * process or the registry something that a front of this process depends on. Resolves to what was different. Rejects with the first
   * failure when every front had its turn.
   */
  reconcile(): Promise<readonly { readonly front: string; readonly diff: string }[]>
  /**
   * Reads what is stored, finishes or takes back what a killed process left, and brings the fronts to it. Call it once. A front that
   * fails is an event: what is stored counts, and the others go on. Rejects if the storage cannot be read.
   */
  start(): Promise<{ readonly unreadable: readonly UnreadableDocument[] }>
  /** The store to hand to `createRouter`: the platform's own, and the hostnames of ingresses. */
  readonly store: RouteStore
  /** Ends timers and connections; fronts go on. */
  dispose(): Promise<void>
}

/** What happens beside calls. */
export type IngressEvent =
  | { readonly type: "reconciled"; readonly front: string; readonly diff: string }
  | { readonly type: "unreadable"; readonly document: UnreadableDocument }
  /** A process was killed while it carried out a change: its note. The change counts if it is stored, and is taken back if not. */
  | { readonly type: "interrupted"; readonly note: string }
  | { readonly type: "error"; readonly during: "read" | "reconcile" | "roll back" | "mark"; readonly cause: unknown }
