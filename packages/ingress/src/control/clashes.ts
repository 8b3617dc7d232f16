import { matchPort } from "../resource/ingress.ts"
import type { DeclaredMatch, DeclaredRule } from "../resource/ingress.ts"

/**
 * Whether two rules cannot stand beside each other.
 *
 * A hostname on a port has one owner, whose rules differ by path, method or headers. A UDP port has one rule. HTTP and TCP share a
 * port only where the name in the ClientHello tells them apart, and so do two owners of a TCP port.
 */
export const clashes = (one: DeclaredRule, other: DeclaredRule, isSameOwner: boolean): boolean => {
  const [a, b] = [one.match, other.match]
  if (matchPort(one) !== matchPort(other)) return false
  if (a.protocol === "udp" || b.protocol === "udp") return a.protocol === b.protocol
  const isSameHostname = a.hostname?.wildcard === b.hostname?.wildcard
  const isMixed = a.protocol !== b.protocol
  if (!isSameHostname) return (isMixed || !isSameOwner) && needsPort(one, other)
  return isMixed || !isSameOwner || isSameMatch(a, b)
}

/** Whether one of two rules, not both of HTTP, takes what no name tells apart. */
const needsPort = (one: DeclaredRule, other: DeclaredRule): boolean => {
  if (one.match.protocol === "http" && other.match.protocol === "http") return false
  return !(isBySni(one) && isBySni(other))
}

const isBySni = ({ match, tls = false, passthrough = false }: DeclaredRule): boolean =>
  match.hostname !== undefined && (tls || passthrough)

/** Whether two matches of one hostname and port take the same requests. */
const isSameMatch = (a: DeclaredMatch, b: DeclaredMatch): boolean =>
  a.method === b.method && isSamePath(a.path, b.path) && headersOf(a) === headersOf(b)

const isSamePath = (a: DeclaredMatch["path"], b: DeclaredMatch["path"]): boolean => {
  if (a === undefined || b === undefined) return a === b
  return "exact" in a ? "exact" in b && a.exact === b.exact : "prefix" in b && a.prefix === b.prefix
}

const headersOf = ({ headers }: DeclaredMatch): string =>
  headers === undefined ? "" : JSON.stringify(Object.entries(headers).toSorted(([a], [b]) => (a < b ? -1 : 1)))
