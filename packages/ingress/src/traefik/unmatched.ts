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
      const labels = hostname.wildcard.split(".").toReversed()
      for (const [isTls, tree] of trees) {
        if (taken.has(isTls) || !isInWider(tree, labels, 0, hostname)) continue
        found.set(ingress, [...(found.get(ingress) ?? []), { hostname, port, isTls }])
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

/** Whether there is a hostname that both this one and a pattern after it take. */
const isInWider = (at: Branch, labels: readonly string[], depth: number, hostname: HostnamePattern): boolean => {
  const label = labels[depth]
  if (label === undefined) return at.pattern !== undefined && compareHostnames(hostname, at.pattern) < 0
  const nexts = label === "*" ? [...at.next.values()] : [at.next.get(label), at.next.get("*")]
  return nexts.some((next) => next !== undefined && isInWider(next, labels, depth + 1, hostname))
}
