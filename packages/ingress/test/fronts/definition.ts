import { matchHostname } from "../../src/resource/hostname-pattern.ts"
import type { DeclaredIngress, DeclaredMatch, DeclaredRule } from "../../src/resource/ingress.ts"
import { matchPort } from "../../src/resource/ingress.ts"
import { compareHostnames, compareRules } from "../../src/resource/precedence.ts"

export interface Asked {
  readonly hostname: string
  /** Default 80. */
  readonly port?: number
  /** Default false. */
  readonly tls?: boolean
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
}

interface Found {
  readonly ingress: DeclaredIngress
  readonly rule: DeclaredRule
  /** Its place in the ingress. */
  readonly at: number
}

/**
 * Which rule takes a request, by definition and without any index: of the hostnames that are declared for the port, the most specific one
 * owns it; of its rules, the first that matches. `undefined`: 404.
 */
export const takenBy = (ingresses: readonly DeclaredIngress[], asked: Asked): Found | undefined => {
  const named = ingresses
    .flatMap((ingress) => ingress.rules.map((rule, at) => ({ ingress, rule, at })))
    .filter(({ rule }) => matchPort(rule) === (asked.port ?? 80) && (rule.tls ?? false) === (asked.tls ?? false))
    .filter(({ rule }) => matchHostname(rule.match.hostname!, asked.hostname) !== undefined)
  const [nearest] = named.map(({ rule }) => rule.match.hostname!).toSorted(compareHostnames)
  const [found] = named
    .filter(({ rule }) => rule.match.hostname!.wildcard === nearest?.wildcard && takes(rule.match, asked))
    .toSorted(compareRules)
  return found
}

const takes = ({ path, method, headers = {} }: DeclaredMatch, asked: Asked): boolean => {
  const [given = ""] = asked.path.split("?")
  const isPath =
    path === undefined ||
    ("exact" in path ? given === path.exact : `${given}/`.startsWith(`${path.prefix.replace(/\/$/, "")}/`))
  return (
    isPath &&
    (method === undefined || method === asked.method) &&
    Object.entries(headers).every(([name, value]) => asked.headers[name] === value)
  )
}
