import { isWildcard } from "../resource/hostname-pattern.ts"
import type { HostnamePattern } from "../resource/ingress.ts"
import { compareHostnames } from "../resource/precedence.ts"
import type { Claim } from "./ranks.ts"

/** Requests of a hostname that none of its rules takes, though a wider pattern would. */
export interface Unmatched {
  readonly hostname: HostnamePattern
  readonly port: number
  readonly isTls: boolean
}

interface Declared {
  readonly hostname: HostnamePattern
  /** The first one by name. */
  readonly ingress: string
  /** Whether rules take all that comes: with TLS, in plain text. */
  readonly taken: Set<boolean>
}

interface Branch {
  readonly next: Map<string, Branch>
  pattern?: HostnamePattern
}

/**
 * What has to be 404 because its hostname is somebody's, by the name of the ingress that says so: the first one that has the hostname. For
 * claims in the order of those names.
 */
export const unmatchedOf = (claims: readonly Claim[]): ReadonlyMap<string, readonly Unmatched[]> => {
  const found = new Map<string, Unmatched[]>()
  const named = claims.filter(({ rule: { match } }) => match.protocol !== "udp" && match.hostname !== undefined)
  for (const [port, group] of Map.groupBy(named, ({ port }) => port)) {
    const trees = new Map<boolean, Branch>()
    const declared = new Map<string, Declared>()
    for (const claim of group) {
      const { match } = claim.rule
      const hostname = match.hostname!
      // TCP with a name is TLS.
      const isTls = match.protocol === "tcp" || (claim.rule.tls === true && !claim.isRedirect)
      const own = declared.get(hostname.wildcard) ?? { hostname, ingress: claim.ingress.name, taken: new Set() }
      declared.set(hostname.wildcard, own)
      if (takesAll(claim)) own.taken.add(isTls)
      if (match.protocol === "http" && isWildcard(hostname)) {
        const tree = trees.get(isTls) ?? { next: new Map() }
        trees.set(isTls, tree)
        add(tree, hostname)
      }
    }
    for (const { hostname, ingress, taken } of declared.values()) {
      for (const [isTls, tree] of trees) {
        if (taken.has(isTls) || !isInWider(tree, hostname)) continue
        const own = found.get(ingress) ?? []
        found.set(ingress, own)
        own.push({ hostname, port, isTls })
      }
    }
  }
  return found
}

/** A redirect leaves tokens of ACME to others. */
const takesAll = ({ rule: { match }, isRedirect }: Claim): boolean =>
  !isRedirect && match.path === undefined && match.method === undefined && match.headers === undefined

const add = (tree: Branch, pattern: HostnamePattern): void => {
  let at = tree
  for (const label of pattern.wildcard.split(".").toReversed()) {
    const next = at.next.get(label) ?? { next: new Map() }
    at.next.set(label, next)
    at = next
  }
  at.pattern = pattern
}

/** How many branches are looked at for one hostname: patterns of others could make it very many. */
const MAX_STEPS = 256

/**
 * Whether there is a hostname that both this one and a pattern after it take. Where that takes too long to find out, yes: what is then
 * written responds as Traefik would without it.
 */
const isInWider = (tree: Branch, hostname: HostnamePattern): boolean => {
  const labels = hostname.wildcard.split(".").toReversed()
  let steps = 0
  const isBelow = (at: Branch, depth: number): boolean => {
    steps += 1
    if (steps > MAX_STEPS) return true
    const label = labels[depth]
    if (label === undefined) return at.pattern !== undefined && compareHostnames(hostname, at.pattern) < 0
    if (label === "*") {
      for (const next of at.next.values()) if (isBelow(next, depth + 1)) return true
      return false
    }
    return [at.next.get(label), at.next.get("*")].some((next) => next !== undefined && isBelow(next, depth + 1))
  }
  return isBelow(tree, 0)
}
