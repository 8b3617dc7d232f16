import type { HostnamePattern } from "../resource/ingress.ts"
import { compareHostnames } from "../resource/precedence.ts"
import type { Claim } from "./ranks.ts"

/**
 * Claims for TCP that would take connections from HTTP rules which come first: on one entry point Traefik asks its TCP routers before the
 * HTTP ones, whatever their priorities.
 */
export const tcpOverHttp = (claims: readonly Claim[]): ReadonlySet<Claim> => {
  const byPort = Map.groupBy(
    claims.filter(({ rule }) => rule.match.protocol !== "udp"),
    ({ port }) => port,
  )
  const taking = new Set<Claim>()
  for (const group of byPort.values()) {
    const tcp = group.filter(({ rule }) => rule.match.protocol === "tcp")
    if (tcp.length === 0) continue
    const http = group.filter(({ rule }) => rule.match.protocol === "http")
    const secure = distinct(http.filter(({ rule, isRedirect }) => rule.tls === true && !isRedirect))
    const isPlainUsed = http.some(({ rule, isRedirect }) => isRedirect || rule.tls !== true)
    for (const claim of tcp) {
      const { match, tls = false, passthrough = false } = claim.rule
      const takes =
        tls || passthrough
          ? secure.some((other) => overlap(match.hostname, other) && compareHostnames(match.hostname, other) >= 0)
          : isPlainUsed
      if (takes) taking.add(claim)
    }
  }
  return taking
}

const distinct = (claims: readonly Claim[]): readonly HostnamePattern[] => [
  ...new Map(claims.map(({ rule: { match } }) => [match.hostname!.wildcard, match.hostname!])).values(),
]

/** Whether a hostname matches both. */
const overlap = (a: HostnamePattern | undefined, b: HostnamePattern): boolean => {
  if (a === undefined) return true
  const [left, right] = [a.wildcard.split("."), b.wildcard.split(".")]
  if (left.length !== right.length) return false
  return left.every((label, at) => label === right[at] || label === "*" || right[at] === "*")
}
