import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { RouteKey } from "@project-ingress/hostname"
import type { Route } from "../policies/policy.ts"
import type { Claims } from "./signed-values.ts"

/** A project as its record names it: what a registry returns has these fields. */
export interface GrantedProject {
  /** A key of its record: `p:misha`. */
  readonly key: RouteKey
  /** The control plane's own id: with it a grant is good under every hostname of the project, else under this key alone. */
  readonly externalId?: string
  readonly owner?: string
  /** The generation that its record has now; a later one ends the grant. Default 0. */
  readonly generation?: number
}

/** What a grant opens, in claims that are compared as a whole with those of the route that a request comes to. */
export const grantClaims = (project: GrantedProject, ports: readonly number[] | undefined): Claims => ({
  ...projectClaims(project.key, project),
  ...(ports === undefined ? {} : { ports: ports.join(" ") }),
})

/** Why a grant does not open a route; `undefined`: it does. By the record and the port arrived at, never by the hostname. */
export const grantProblem = (
  claims: Claims,
  { key, record, port }: Pick<Route, "key" | "record" | "port">,
): string | undefined => {
  const wanted = projectClaims(key, record)
  if (claims["prj"] !== wanted["prj"] || claims["own"] !== wanted["own"]) return "it is for another project"
  if (claims["gen"] !== wanted["gen"]) return "the project's grants were withdrawn"
  const { ports } = claims
  const opens = ports === undefined || (typeof ports === "string" && ports.split(" ").includes(String(port)))
  return opens ? undefined : "it is for another port"
}

// An id is of the control plane and a key is a name, which passes to other projects: neither is taken for the other.
const projectClaims = (key: RouteKey, { externalId, owner, generation = 0 }: Omit<GrantedProject, "key">): Claims => ({
  prj: externalId === undefined ? `key ${key}` : `id ${externalId}`,
  gen: generation,
  ...(owner === undefined ? {} : { own: owner }),
})

/** Names a grant in events, and where it is withdrawn: 128 random bits. */
export const grantId = (): string => crypto.randomUUID().replaceAll("-", "")

/** The ports of an option, as a list. */
export const portsOf = (port: number | readonly number[] | undefined): readonly number[] | undefined =>
  typeof port === "number" ? [port] : port

/** Checks of the options that tokens and links share. */
export const grantChecks = {
  subject: (value: unknown) =>
    typeof value === "string" && value !== "" && value.length <= 256 ? undefined : "1 to 256 characters",
  port: (value: unknown) => {
    const ports: unknown = typeof value === "number" ? [value] : value
    const isPorts = Array.isArray(ports) && ports.length > 0 && ports.length <= 32 && ports.every(isPort)
    return isPorts ? undefined : "a port from 1 to 65535, or an array of 1 to 32 of them"
  },
  /** Up to 10 years. */
  expiresInMs: accept.number(1_000, 315_576_000_000),
}

const isPort = (value: unknown): boolean => accept.integer(1, 65_535)(value) === undefined

/**
 * Checks `project`, which may be a whole record or what a registry returns: other fields are left alone.
 *
 * @throws {TypeError} naming the field
 */
export const checkProject = (owner: string, project: GrantedProject): void => {
  const { key, externalId, owner: tenant, generation } = project
  const given = { key, externalId, owner: tenant, generation }
  checkOptions(owner, given, projectChecks, { required: ["key"], at: "project" })
}

const projectChecks = {
  key: (value: unknown) =>
    typeof value === "string" && /^[pmd]:./.test(value) ? undefined : "a route's key: p:misha, m:mach_1, d:example.com",
  externalId: accept.string,
  owner: accept.string,
  generation: accept.integer(),
}
