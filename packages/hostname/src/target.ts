import type { Grammar } from "./grammar.ts"

/** A project under one of the grammar's domains: `misha.iterate.app`. */
export interface ProjectTarget {
  readonly _tag: "Target"
  readonly kind: "project"
  /** The project's public name, lower-case. */
  readonly slug: string
  /** 1 to 65535. Absent: the route's default port applies. Never beside `service`. */
  readonly port?: number
  /** A service by name. It need not be in the grammar: the route's record may define it. Never beside `port`. */
  readonly service?: string
  /** The domain of the grammar that the name is under. */
  readonly domain: string
  readonly customDomain?: never
  readonly machine?: never
}

/** A project under its owner's domain: `www.example.com`, `4096.www.example.com`. The domain identifies the project. */
export interface CustomDomainTarget {
  readonly _tag: "Target"
  readonly kind: "project"
  /** The owner's domain, lower-case, without root dot. */
  readonly customDomain: string
  /** 1 to 65535. Absent: the route's default port applies. Never beside `service`. */
  readonly port?: number
  /** A service by name. Never beside `port`. */
  readonly service?: string
  readonly slug?: never
  readonly domain?: never
  readonly machine?: never
}

/**
 * One machine by its id. On a custom domain the hostname proves nothing about the owner: the caller decides whether
 * that domain's project may reach this machine.
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

/** What a hostname names. Distinguished by `kind`, then by the presence of `customDomain`. */
export type Target = ProjectTarget | CustomDomainTarget | MachineTarget

/** A target as a caller writes it: `_tag` is optional, and so is `domain`, whose default is the canonical domain. */
export type TargetInput = Unplaced<Target>

type Unplaced<T> = T extends Target ? Omit<T, "_tag" | "domain"> & Partial<Pick<T, "_tag" | "domain">> : never

/** The key of one route, without port: `p:<slug>`, `m:<machine>` or `d:<custom domain>`. */
export type RouteKey = `p:${string}` | `m:${string}` | `d:${string}`

/**
 * The key of the route that a target belongs to: `p:misha`, `m:mach_123`, `d:www.example.com`. All ports and services
 * share it.
 */
export const routeKey = (target: TargetInput): RouteKey => {
  if (target.kind === "machine") return `m:${target.machine}`
  return target.customDomain === undefined ? `p:${target.slug}` : `d:${target.customDomain}`
}

/**
 * The port that a target names: its own, else that of its service in the grammar. `undefined` if it names neither, or a
 * service that only the route's record can define.
 */
export const portOf = (grammar: Grammar, target: TargetInput): number | undefined => {
  const { port, service } = target
  return port ?? (service === undefined ? undefined : grammar.lookup.ports.get(service))
}
