import { readAuthority } from "./authority.ts"
import { domainOf, type Grammar } from "./grammar.ts"
import { isDomain } from "./lexical.ts"
import type { HostnameMalformed } from "./outcome.ts"
import { parse, parseCustomDomain } from "./parse.ts"
import { routeKey, type RouteKey, type Target } from "./target.ts"

/** A key to look up, and what the hostname names if that key leads somewhere. */
export interface Candidate {
  readonly key: RouteKey
  /**
   * For a machine on a custom domain `key` is the domain's: whether its project and the machine (`routeKey(target)`) have one
   * owner is for the caller to check.
   */
  readonly target: Target
}

/** What is known beside the hostname. */
export interface CandidatesOptions {
  /** The port of the listening socket, 1 to 65535: never that of the `Host` field, which a client writes. */
  readonly localPort?: number
}

/** Look-ups for wildcards that one hostname may cause. */
const MAX_WILDCARDS = 4

/**
 * The keys to look up for a raw `Host`, in order: the first that is no miss decides.
 *
 * A name under the grammar's own domains has one candidate, or none if it is reserved, and is never looked up under `d:`. Any
 * other name has:
 *
 * ```text
 * d:<localPort>:4096.www.example.com     where a listening port is given
 * d:4096.www.example.com                 the name itself
 * d:www.example.com                      its first label taken as a port, a service or a machine
 * d:*.www.example.com  d:*.example.com  d:*.com      at most 4, the longest first
 * ```
 *
 * Empty: not ours (an IP literal, an apex, a reserved name), left to the caller's own app. `HostnameMalformed`: nobody's. Never
 * throws.
 */
export const candidates = (
  grammar: Grammar,
  host: string,
  options: CandidatesOptions = {},
): readonly Candidate[] | HostnameMalformed => {
  const own = parse(grammar, host)
  if (own._tag === "Target") return [{ key: routeKey(own), target: own }]
  if (own._tag === "HostnameMalformed") return own
  const name = readAuthority(host)
  // An IP literal, or a reserved name of the platform.
  if (typeof name !== "string" || domainOf(grammar, name) !== undefined) return []
  const found: Candidate[] = []
  const whole: Target = { _tag: "Target", kind: "project", customDomain: name }
  const isWhole = isDomain(name)
  if (isWhole) {
    if (options.localPort !== undefined) found.push({ key: `d:${options.localPort}:${name}`, target: whole })
    found.push({ key: `d:${name}`, target: whole })
  }
  let dot = name.indexOf(".")
  if (dot === -1) return found
  const parent = name.slice(dot + 1)
  const read = parseCustomDomain(grammar, name, parent)
  if (read._tag === "Target") found.push({ key: `d:${parent}`, target: read })
  if (!isWhole) return found
  for (let wildcards = 0; dot !== -1 && wildcards < MAX_WILDCARDS; wildcards++) {
    found.push({ key: `d:*${name.slice(dot)}`, target: whole })
    dot = name.indexOf(".", dot + 1)
  }
  return found
}

/**
 * True for a name that belongs to the platform: one of the grammar's domains, or anything under one, reserved labels included.
 * Such a name is never a custom domain: `candidates` looks none up under `d:`, and a registry refuses them with this
 * function. Case, a root dot and a leading `*.` make no difference.
 */
export const isPlatformName = (grammar: Grammar, name: string): boolean =>
  domainOf(grammar, name.toLowerCase().replace(/^\*\./, "").replace(/\.$/, "")) !== undefined
