import { accept, base64url, checkOptions } from "@project-ingress/forward/internal"
import type { RouteKey } from "@project-ingress/hostname"
import type { Route } from "../policies/policy.ts"
import type { RouteRecord } from "../stores/record.ts"
import type { Claims } from "./signed-values.ts"
import { within } from "../stores/reading/within.ts"

/** A project as its record names it: what a registry returns has these fields, but `key`. */
export interface GrantedProject {
  /** A key of its record: `p:misha`. */
  readonly key: RouteKey
  /** The control plane's own id: with it a grant is good under every hostname of the project, else under this key alone. */
  readonly externalId?: string
  readonly owner?: string
  /** The generation that its record has now; a later one ends the grant. Default 0. */
  readonly generation?: number
}

/** What a grant opens, in claims. */
export const grantClaims = async (
  { key, generation = 0, ...project }: GrantedProject,
  ports: readonly number[] | undefined,
): Promise<Claims> => ({
  prj: await projectHash(key, project),
  gen: generation,
  ...(ports === undefined ? {} : { ports: ports.join(" ") }),
})

/** Why a grant does not open a route; `undefined`: it does. By the record and the port arrived at, never by the hostname. */
export const grantProblem = async (
  { prj, gen, ports }: Claims,
  { key, record, port }: Pick<Route, "key" | "record" | "port">,
): Promise<string | undefined> => {
  if (prj !== (await knownHash(key, record))) return "it is for another project"
  // A later generation than the record's: the record is from before a withdrawal, the grant from after it.
  if (typeof gen !== "number" || gen < (record.generation ?? 0)) return "the project's grants were withdrawn"
  const opens = ports === undefined || (typeof ports === "string" && ports.split(" ").includes(String(port)))
  return opens ? undefined : "it is for another port"
}

/**
 * What tells projects apart in a grant. An id is the control plane's and a key is a name, which passes to other projects: neither is taken for the other.
 * A hash, because whoever holds a grant can read it, and owners are nobody's business.
 */
const projectHash = async (key: RouteKey, { externalId, owner }: Omit<GrantedProject, "key">): Promise<string> => {
  const text = JSON.stringify([externalId === undefined ? { key } : { externalId }, owner ?? null])
  return base64url.encode(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))))
}

/** By the record, which a store gives again as long as it is the same. */
const known = new WeakMap<RouteRecord, { readonly key: RouteKey; readonly hash: string }>()

const knownHash = async (key: RouteKey, record: RouteRecord): Promise<string> => {
  const found = known.get(record)
  if (found?.key === key) return found.hash
  const hash = await projectHash(key, record)
  known.set(record, { key, hash })
  return hash
}

/**
 * Asks a platform's hook whether a grant was withdrawn by its id. Anything but a clear no withdraws it. Rejects if the hook does, or
 * takes more than 5 s.
 */
export const isWithdrawn = async (
  isRevoked: ((id: string) => boolean | Promise<boolean>) | undefined,
  id: string,
): Promise<boolean> => {
  const said: unknown = isRevoked !== undefined && (await within(HOOK_MS, () => isRevoked(id)))
  return said !== false
}

/** How long a hook of the platform may take, in ms: a request must not wait for one that hangs. */
export const HOOK_MS = 5_000

/** Names a grant in events, and where it is withdrawn: 122 random bits. */
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
  project: accept.object,
  /** Up to 10 years. */
  expiresInMs: accept.number(1_000, 315_576_000_000),
}

const isPort = (value: unknown): boolean => accept.integer(1, 65_535)(value) === undefined

/**
 * Checks `project`, which may be what a registry returns and more: other fields are left alone.
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
