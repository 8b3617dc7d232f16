import type { Grammar } from "./grammar.ts"

/** A project under one of the grammar's domains: `misha.iterate.app`. */
export interface ProjectTarget {
  readonly _tag: "Target"
  readonly kind: "project"
  /** The project's public name, lower-case. */
  readonly slug: string
  /** 1 to 65535. Absent: the route's default port applies. Never beside `service`. */
  readonly port?: number
  /** A service by name. It need not be in the grammar: the router's record may know it. */
  readonly service?: string
  /** The grammar's domain that the name was under. */
  readonly domain: string
  readonly customDomain?: never
  readonly machine?: never
}

/** A project under its owner's domain: `www.example.com`, `4096.www.example.com`. The domain is what identifies it. */
export interface CustomDomainTarget {
  readonly _tag: "Target"
  readonly kind: "project"
  readonly customDomain: string
  readonly port?: number
  readonly service?: string
  readonly slug?: never
  readonly domain?: never
  readonly machine?: never
}

/**
 * One machine by its id. On a custom domain the name says only which domain was asked: whether that domain's project may
 * reach this machine is for the caller to decide.
 */
export type MachineTarget = {
  readonly _tag: "Target"
  readonly kind: "machine"
  /** The machine's id with its prefix, lower-case. */
  readonly machine: string
  /** 1 to 65535. Absent: the route's default port applies. */
  readonly port?: number
  readonly slug?: never
  readonly service?: never
} & (
  | { readonly domain: string; readonly customDomain?: never }
  | { readonly customDomain: string; readonly domain?: never }
)

/** What a hostname names. Told apart by `kind`, then by `customDomain`. */
export type Target = ProjectTarget | CustomDomainTarget | MachineTarget

/** A target as written by hand: `_tag` may be left out, and `domain` too, which then is the canonical domain. */
export type TargetInput = Unplaced<Target>

type Unplaced<T> = T extends Target ? Omit<T, "_tag" | "domain"> & Partial<Pick<T, "_tag" | "domain">> : never

/** The key of one route, without port: `p:misha`, `m:mach_123`, `d:www.example.com`. */
export type RouteKey = `p:${string}` | `m:${string}` | `d:${string}`

/** The route a target belongs to. Every port and service of a project shares one key. */
export const routeKey = (target: TargetInput): RouteKey => {
  if (target.kind === "machine") return `m:${target.machine}`
  return target.customDomain === undefined ? `p:${target.slug}` : `d:${target.customDomain}`
}

/**
 * The port a target asks for: its own, else that of a service in the grammar. `undefined` when it names no port, or a
 * service that only the router's record can know.
 */
export const portOf = (grammar: Grammar, target: TargetInput): number | undefined => {
  const { port, service } = target
  return port ?? (service === undefined ? undefined : grammar.lookup.ports.get(service))
}
