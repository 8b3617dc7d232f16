import { matchPort } from "../resource/ingress.ts"
import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import { contentHash } from "./discovery-response.ts"

/**
 * The names of the clusters of an ingress, one for each of its rules. A name says what the rule takes and whom it lets in, not its place:
 * Envoy takes clusters over before routes, and for that moment the route of one rule must not lead to the target of another, which
 * may ask for a required header.
 */
export const clusterNames = ({ name, rules }: Pick<DeclaredIngress, "name" | "rules">): readonly string[] => {
  const taken = new Map<string, number>()
  return rules.map((rule) => {
    // No ingress's name has a `_`.
    const unique = `${name}_${contentHash(JSON.stringify(identityOf(rule))).slice(0, 8)}`
    const before = taken.get(unique) ?? 0
    taken.set(unique, before + 1)
    return before === 0 ? unique : `${unique}_again${before}`
  })
}

const identityOf = (rule: DeclaredRule): readonly unknown[] => {
  const { match, allowCidrs, requireHeader, passthrough, tls } = rule
  const { protocol, hostname, path, method, headers = {} } = match
  const fields = Object.keys(headers)
    .toSorted()
    .map((name) => [name, headers[name]])
  return [
    protocol,
    hostname?.wildcard,
    matchPort(rule),
    path,
    method,
    fields,
    tls,
    passthrough,
    allowCidrs,
    requireHeader?.sha256,
  ]
}
