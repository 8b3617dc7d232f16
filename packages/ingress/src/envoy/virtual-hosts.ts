import { compareRules } from "../resource/precedence.ts"
import { PatternTree } from "./pattern-tree.ts"
import { NOT_FOUND, routesOf } from "./routes.ts"
import type { Message } from "./json.ts"
import type { PlannedRoute } from "./planned-rules.ts"

// No hostname has a `_`.
const OTHERS: Message = { name: "not_found", domains: ["*"], routes: [NOT_FOUND] }

/**
 * The virtual hosts of a listener. Envoy chooses one by the hostname: exact, then the longest `*.suffix`, of which `*` is any number of
 * labels. A hostname's has its own routes alone. A suffix's has those of every pattern that a hostname of it may match, in order
 * of precedence, because Envoy never goes back to another.
 */
export const virtualHosts = (planned: readonly PlannedRoute[]): readonly Message[] => {
  const exact = new Map<string, PlannedRoute[]>()
  const suffixes = new Set<string>()
  const patterns = new PatternTree<PlannedRoute>()
  const sorted = planned.toSorted(compareRules)
  const rank = new Map(sorted.map((route, at) => [route, at]))
  for (const route of sorted) {
    const wildcard = route.rule.match.hostname!.wildcard
    if (wildcard.includes("*")) {
      suffixes.add(suffixOf(wildcard))
      patterns.add(wildcard, route)
    } else if (exact.has(wildcard)) exact.get(wildcard)!.push(route)
    else exact.set(wildcard, [route])
  }
  return [
    ...[...exact.keys()].toSorted().map((hostname) => host(hostname, routesOf(exact.get(hostname)!))),
    ...[...suffixes].toSorted().map((suffix) => {
      const all = patterns.within(suffix).toSorted((a, b) => rank.get(a)! - rank.get(b)!)
      const byPattern = Map.groupBy(all, ({ rule }) => rule.match.hostname!.wildcard)
      return host(`*.${suffix}`, [...[...byPattern.values()].flatMap(routesOf), NOT_FOUND])
    }),
    OTHERS,
  ]
}

const host = (domain: string, routes: readonly Message[]): Message => ({ name: domain, domains: [domain], routes })

/** The labels after the last `*`. */
export const suffixOf = (wildcard: string): string => wildcard.slice(wildcard.lastIndexOf("*") + 2)
