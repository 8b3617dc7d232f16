import { compareRules } from "../resource/precedence.ts"
import { PatternTree } from "./pattern-tree.ts"
import { NOT_FOUND, routesOf } from "./routes.ts"
import type { Message } from "./json.ts"
import type { PlannedRoute } from "./planned-rules.ts"

// No hostname has a `_`.
const OTHERS: Message = { name: "not_found", domains: ["*"], routes: [NOT_FOUND] }

/**
 * The virtual hosts of a listener. Envoy chooses one by the hostname (exact, then the longest `*.suffix`, of which `*` is any number of
 * labels) and never goes back to another, so each has all routes that a hostname of it may match, in order of precedence.
 */
export const virtualHosts = (planned: readonly PlannedRoute[]): readonly Message[] => {
  const sorted = planned.toSorted(compareRules)
  const rank = new Map(sorted.map((route, at) => [route, at]))
  const byRank = (routes: readonly PlannedRoute[]): readonly PlannedRoute[] =>
    routes.toSorted((a, b) => rank.get(a)! - rank.get(b)!)
  const exact = new Map<string, PlannedRoute[]>()
  const suffixes = new Set<string>()
  const patterns = new PatternTree<PlannedRoute>()
  for (const route of sorted) {
    const wildcard = route.rule.match.hostname!.wildcard
    if (wildcard.includes("*")) {
      suffixes.add(suffixOf(wildcard))
      patterns.add(wildcard, route)
    } else if (exact.has(wildcard)) exact.get(wildcard)!.push(route)
    else exact.set(wildcard, [route])
  }
  const hosts: Message[] = []
  const add = (domain: string, routes: readonly PlannedRoute[]): void => {
    const messages = routesOf(routes, domain.startsWith("*"))
    if (messages.length > 0) hosts.push({ name: domain, domains: [domain], routes: messages })
  }
  for (const hostname of [...exact.keys()].toSorted()) {
    add(hostname, byRank([...exact.get(hostname)!, ...patterns.matching(hostname)]))
  }
  for (const suffix of [...suffixes].toSorted()) add(`*.${suffix}`, byRank(patterns.within(suffix)))
  return [...hosts, OTHERS]
}

/** The labels after the last `*`. */
export const suffixOf = (wildcard: string): string => wildcard.slice(wildcard.lastIndexOf("*") + 2)
