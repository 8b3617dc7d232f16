import type { Exported, ExportInput, ExportProblem } from "../fronts/front.ts"

/** How long resolvers keep a record, in s. */
const TTL = 300

/**
 * The records of a zone, one for each hostname and for each of `more`, that lead to the address of the front. For `$INCLUDE` in a zone of BIND, Knot or NSD: without an
 * SOA record, whose serial is not the same at every run. Every name is a full one.
 */
export const zoneRecords = (
  { ingresses }: Pick<ExportInput, "ingresses">,
  address: string,
  more: readonly string[] = [],
): Exported => {
  const type = address.includes(":") ? "AAAA" : "A"
  const problems: ExportProblem[] = []
  const names = new Set<string>(more)
  for (const { name: ingress, rules } of ingresses) {
    for (const [at, { match }] of rules.entries()) {
      const name = match.hostname?.wildcard
      // By port alone: visitors know the address.
      if (name === undefined) continue
      // RFC 4592 §2.1.1: an asterisk is a wildcard as the leftmost label only.
      if (name.lastIndexOf("*") > 0) {
        const reason = "has a label that DNS has no wildcard for"
        problems.push({ kind: "unsupported", ingress, field: `rules.${at}.match.hostname`, reason })
      } else names.add(name)
    }
  }
  const lines = [...names].toSorted().map((name) => `${name}. ${TTL} IN ${type} ${address}\n`)
  return {
    files: [{ path: "ingress.records", text: `; generated: $INCLUDE this file in the zone\n${lines.join("")}` }],
    problems,
  }
}
