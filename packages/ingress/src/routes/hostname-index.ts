import type { DeclaredIngress, DeclaredRule, HostnamePattern } from "../resource/ingress.ts"
import { matchPort } from "../resource/ingress.ts"
import { compareHostnames, compareRules } from "../resource/precedence.ts"

/** A rule and the ingress that it is of. */
export interface PlacedRule {
  readonly ingress: DeclaredIngress
  readonly rule: DeclaredRule
  /** Its place in the ingress. */
  readonly at: number
}

/**
 * All that is declared for one hostname or pattern. What a request for the hostname goes to is decided here alone: one that no rule
 * takes is not passed on to a wider pattern, which may be of another owner.
 */
export interface DeclaredHostname {
  readonly pattern: HostnamePattern
  /** By the port that visitors connect to, the most specific first. */
  readonly ports: ReadonlyMap<number, readonly PlacedRule[]>
}

/** Declared hostnames by what they match. */
export interface HostnameIndex {
  /**
   * The most specific one that takes a hostname in lower case, of those that are declared for the port that is asked for: what has
   * rules on another port alone is not in the way of anybody.
   */
  find(hostname: string, isDeclared: (found: DeclaredHostname) => boolean): DeclaredHostname | undefined
  readonly hostnames: readonly DeclaredHostname[]
}

/** Labels from the right. */
interface Node {
  readonly literals: Map<string, Node>
  star?: Node
  found?: DeclaredHostname
}

/** Rules of HTTP by hostname. */
export const indexHostnames = (ingresses: readonly DeclaredIngress[]): HostnameIndex => {
  const byWildcard = new Map<string, { readonly pattern: HostnamePattern; readonly rules: PlacedRule[] }>()
  for (const ingress of ingresses) {
    for (const [at, rule] of ingress.rules.entries()) {
      const { hostname: pattern, protocol } = rule.match
      if (pattern === undefined || protocol !== "http") continue
      const known = byWildcard.get(pattern.wildcard)
      if (known === undefined) byWildcard.set(pattern.wildcard, { pattern, rules: [{ ingress, rule, at }] })
      else known.rules.push({ ingress, rule, at })
    }
  }
  const root: Node = { literals: new Map() }
  const hostnames: DeclaredHostname[] = []
  for (const { pattern, rules } of byWildcard.values()) {
    const declared = { pattern, ports: byPort(rules) }
    hostnames.push(declared)
    place(root, pattern.wildcard.split("."), declared)
  }
  return { hostnames, find: (hostname, isDeclared) => search(root, hostname.split(".").toReversed(), 0, isDeclared) }
}

const byPort = (rules: readonly PlacedRule[]): ReadonlyMap<number, readonly PlacedRule[]> => {
  const ports = new Map<number, PlacedRule[]>()
  for (const placed of rules.toSorted(compareRules)) {
    const port = matchPort(placed.rule)
    const known = ports.get(port)
    if (known === undefined) ports.set(port, [placed])
    else known.push(placed)
  }
  return ports
}

const place = (root: Node, labels: readonly string[], found: DeclaredHostname): void => {
  let node = root
  for (const label of labels.toReversed()) {
    if (label === "*") node = node.star ??= { literals: new Map() }
    else {
      let next = node.literals.get(label)
      if (next === undefined) node.literals.set(label, (next = { literals: new Map() }))
      node = next
    }
  }
  node.found = found
}

/** Every pattern that matches is looked at, since `a.*.x` and `*.bb.x` are compared by their length. `labels`: from the right. */
const search = (
  node: Node,
  labels: readonly string[],
  at: number,
  isDeclared: (found: DeclaredHostname) => boolean,
): DeclaredHostname | undefined => {
  if (at === labels.length) return node.found !== undefined && isDeclared(node.found) ? node.found : undefined
  const literal = node.literals.get(labels[at]!)
  const a = literal === undefined ? undefined : search(literal, labels, at + 1, isDeclared)
  const b = node.star === undefined ? undefined : search(node.star, labels, at + 1, isDeclared)
  if (a === undefined || b === undefined) return a ?? b
  return compareHostnames(a.pattern, b.pattern) < 0 ? a : b
}
