import { isWildcard } from "../resource/hostname-pattern.ts"
import type { DeclaredMatch, HostnamePattern } from "../resource/ingress.ts"
import { NotExpressible } from "./not-expressible.ts"

/** The highest priority that Traefik lets a router have: MaxInt64 - 1 000. */
export const MAX_PRIORITY = 2n ** 63n - 1n - 1_000n

const MAX_LABELS = 20
const MAX_STARS = 15
const MAX_HEADERS = 15
/** How many rules may stand before one that only age tells apart. */
export const MAX_RANK = 254

/**
 * The order of `compareRules` as a number that depends on the rule alone: a rule's router does not change when other rules come and go.
 * Traefik's own, the length of the rule, would let a regular expression win over a hostname.
 *
 * From the highest bit: exact hostname 1; length of the pattern 8, few stars 4, its literal labels from the left 20; exact path 1, length
 * of the path 13, method 1, headers 4, age among rules that are otherwise equal 8, router of the rule 2.
 *
 * @param rank how many older rules take the same requests and are as specific, 0 to {@link MAX_RANK}
 * @param router 0 to 3, for several routers of one rule
 */
export const priorityOf = (match: DeclaredMatch, rank: number, router: number): bigint => {
  const headers = Object.keys(match.headers ?? {}).length
  if (headers > MAX_HEADERS) throw new NotExpressible("match.headers", `has more than ${MAX_HEADERS} fields`)
  if (rank > MAX_RANK) throw new NotExpressible("match", `is that of more than ${MAX_RANK} older rules`)
  return numberOf(match, headers, MAX_RANK + 1 - rank, router)
}

/** Of the router that takes what no rule of a hostname does: below all of them, and above those of every wider pattern. */
export const unmatchedPriority = (hostname: HostnamePattern): bigint =>
  numberOf({ protocol: "http", hostname }, 0, 0, 0)

const numberOf = (match: DeclaredMatch, headers: number, age: number, router: number): bigint => {
  const { path } = match
  const length = path === undefined ? 0 : "exact" in path ? path.exact.length : path.prefix.length
  return joined([
    [hostnameBits(match), 33],
    [path !== undefined && "exact" in path ? 1 : 0, 1],
    [length, 13],
    [match.method === undefined ? 0 : 1, 1],
    [headers, 4],
    [age, 8],
    [router, 2],
  ])
}

const joined = (parts: readonly (readonly [value: number | bigint, bits: number])[]): bigint =>
  parts.reduce((number, [value, bits]) => (number << BigInt(bits)) | BigInt(value), 0n)

const hostnameBits = ({ hostname }: DeclaredMatch): bigint => {
  if (hostname === undefined) return 0n
  if (!isWildcard(hostname)) return 1n << 32n
  const labels = hostname.wildcard.split(".")
  const stars = labels.filter((label) => label === "*").length
  if (labels.length > MAX_LABELS || stars > MAX_STARS) {
    throw new NotExpressible("match.hostname", `has more than ${MAX_LABELS} labels or ${MAX_STARS} captures`)
  }
  const literals = labels.reduce((bits, label, at) => (label === "*" ? bits : bits | (1 << (MAX_LABELS - 1 - at))), 0)
  return joined([
    [0, 1],
    [hostname.wildcard.length, 8],
    [MAX_STARS - stars, 4],
    [literals, MAX_LABELS],
  ])
}
