import type { Rule } from "../stores/record.ts"

/** What a rule may look at. */
export interface RuleRequest {
  readonly method: string
  /** Path and query as sent. */
  readonly path: string
  /** The first value of a field, by lower-case name. */
  readonly header: (lowerName: string) => string | undefined
}

/**
 * The index of the first rule that matches. Paths are compared as sent, without query; rules share one origin and protect
 * nothing from each other.
 */
export const matchRule = (rules: readonly Rule[], request: RuleRequest): number | undefined => {
  const path = request.path.replace(/[?#].*$/s, "")
  const at = rules.findIndex((rule) => matches(rule, path, request))
  return at < 0 ? undefined : at
}

const matches = ({ match }: Rule, path: string, request: RuleRequest): boolean => {
  if (match.method !== undefined && match.method !== request.method) return false
  for (const [name, value] of Object.entries(match.headers ?? {})) {
    if (request.header(name.toLowerCase()) !== value) return false
  }
  if (match.path === undefined) return true
  if ("exact" in match.path) return match.path.exact === path
  // By whole segments: `/api` takes `/api` and `/api/x`, not `/apix`.
  const prefix = match.path.prefix.replace(/\/+$/, "")
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === "/")
}
