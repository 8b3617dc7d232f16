import type { DeclaredRule } from "../resource/ingress.ts"
import { matchPort } from "../resource/ingress.ts"
import type { ProjectProblem } from "./project-problem.ts"

/** A rule, and how to say where it was written. */
export interface PlacedRule {
  readonly rule: DeclaredRule
  /** `shop`: where it was written, for the other one's problem. */
  readonly at: string
  readonly problem: (sentence: string) => ProjectProblem
}

/** Rules that take the same requests as one before them. */
export const collisions = (placed: readonly PlacedRule[]): readonly ProjectProblem[] => {
  const first = new Map<string, string>()
  return placed.flatMap(({ rule, at, problem }) => {
    const key = requestsOf(rule)
    const other = first.get(key)
    first.set(key, other ?? at)
    if (other === undefined) return []
    const { hostname } = rule.match
    return [problem(`${hostname?.text ?? "this"} on port ${matchPort(rule)} is in use by ${other}`)]
  })
}

const requestsOf = (rule: DeclaredRule): string => {
  const { protocol, hostname, path, method, headers = {} } = rule.match
  const sorted = Object.entries(headers).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([protocol, matchPort(rule), hostname?.wildcard, path, method, sorted])
}
