import { isWildcard } from "./hostname-pattern.ts"
import type { DeclaredMatch, DeclaredRule, HostnamePattern } from "./ingress.ts"

/** A rule and the ingress that it is of, as far as precedence depends on it. */
export interface RankedRule {
  readonly ingress: { readonly name: string; readonly createdAt: number }
  readonly rule: Pick<DeclaredRule, "match">
}

/**
 * Negative if `a` takes a request that both match. For rules of one port and protocol; the rules of Gateway API v1.4, `HTTPRoute`:
 *
 * 1. characters in a matching non-wildcard hostname, the most; 2. characters in a matching hostname, the most;
 * 3. `Exact` path match; 4. `Prefix` path match with the largest number of characters; 5. method match; 6. the largest number of
 * header matches; 7. the oldest by creation; 8. the first in alphabetical order by name; then the rule's place in its ingress, which
 * the caller keeps by a stable sort.
 */
export const compareRules = (a: RankedRule, b: RankedRule): number =>
  compareHostnames(a.rule.match.hostname, b.rule.match.hostname) ||
  compareMatches(a.rule.match, b.rule.match) ||
  a.ingress.createdAt - b.ingress.createdAt ||
  compareText(a.ingress.name, b.ingress.name)

/** Negative if `a` comes first: exact before pattern, then longer before shorter, then by text so that the order is total. */
export const compareHostnames = (a: HostnamePattern | undefined, b: HostnamePattern | undefined): number => {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined)
  return (
    Number(isWildcard(a)) - Number(isWildcard(b)) ||
    b.wildcard.length - a.wildcard.length ||
    // `a.*.x` and `*.b.x` both take `a.b.x`: the more literal, then the leftmost literal one.
    stars(a) - stars(b) ||
    compareText(b.wildcard, a.wildcard)
  )
}

/** Negative if `a` comes first among rules of one hostname. */
export const compareMatches = (a: DeclaredMatch, b: DeclaredMatch): number =>
  Number(isExact(b)) - Number(isExact(a)) ||
  pathLength(b) - pathLength(a) ||
  Number(b.method !== undefined) - Number(a.method !== undefined) ||
  Object.keys(b.headers ?? {}).length - Object.keys(a.headers ?? {}).length

const stars = ({ wildcard }: HostnamePattern): number => wildcard.split(".").filter((label) => label === "*").length

const isExact = ({ path }: DeclaredMatch): boolean => path !== undefined && "exact" in path

const pathLength = ({ path }: DeclaredMatch): number =>
  path === undefined ? 0 : "exact" in path ? path.exact.length : path.prefix.length

/** By code units, the same on every computer. */
export const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
