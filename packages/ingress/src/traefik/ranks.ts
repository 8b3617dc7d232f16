import type { DeclaredIngress, DeclaredMatch, DeclaredRule } from "../resource/ingress.ts"
import { compareRules } from "../resource/precedence.ts"

/** A router that a rule asks for: its own, or the one that redirects to it. */
export interface Claim {
  readonly ingress: DeclaredIngress
  readonly rule: DeclaredRule
  /** The rule's place in its ingress. */
  readonly index: number
  /** Where visitors connect to. */
  readonly port: number
  readonly isRedirect: boolean
}

/** How many older claims each one gives way to though it is as specific, by claim. Mostly 0. */
export const ranksOf = (claims: readonly Claim[]): ReadonlyMap<Claim, number> => {
  const groups = Map.groupBy(claims, ({ rule: { match }, port }) =>
    JSON.stringify([
      match.protocol,
      port,
      match.hostname?.wildcard,
      match.path,
      match.method,
      Object.keys(match.headers ?? {}).length,
    ]),
  )
  const ranks = new Map<Claim, number>()
  for (const group of groups.values()) {
    const ordered =
      group.length === 1
        ? group
        : group.toSorted(
            (a, b) => compareRules(a, b) || Number(a.isRedirect) - Number(b.isRedirect) || a.index - b.index,
          )
    for (const [at, claim] of ordered.entries()) {
      let rank = 0
      for (const older of ordered.slice(0, at)) {
        if (isCompatible(older.rule.match, claim.rule.match)) rank = Math.max(rank, ranks.get(older)! + 1)
      }
      ranks.set(claim, rank)
    }
  }
  return ranks
}

/** Whether one request can have the fields of both. */
const isCompatible = (a: DeclaredMatch, b: DeclaredMatch): boolean =>
  Object.entries(a.headers ?? {}).every(([name, value]) => {
    const other = b.headers === undefined || !Object.hasOwn(b.headers, name) ? value : b.headers[name]
    return other === value
  })
