import type { DeclaredRule } from "../resource/ingress.ts"
import { clusterFields } from "./clusters.ts"
import { typed } from "./json.ts"
import type { Message } from "./json.ts"
import { networks } from "./networks.ts"
import type { PlannedRoute } from "./planned-rules.ts"

/** The response to what no rule takes. */
export const NOT_FOUND: Message = {
  match: { prefix: "/" },
  direct_response: { status: 404, body: { inline_string: "No ingress found for this hostname" } },
}

const CHALLENGES = "/.well-known/acme-challenge/"

/**
 * The routes for the rules of one hostname or pattern, in order of precedence. What none of them takes is 404, and not a wider pattern's.
 * The domain of a pattern takes any number of labels: each of its routes looks itself whether the hostname is one of the pattern.
 */
export const routesOf = (planned: readonly PlannedRoute[]): readonly Message[] => {
  const wildcard = planned[0]!.rule.match.hostname!.wildcard
  const matchers = wildcard.includes("*") ? [authorityMatcher(wildcard)] : []
  const whole = planned.findIndex((route) => !isRedirect(route) && takesAll(route.rule.match))
  // Nothing after it is reached.
  const reached = whole === -1 ? planned : planned.slice(0, whole + 1)
  return [...reached.flatMap((route) => messagesOf(route, matchers)), ...(whole === -1 ? [notFound(matchers)] : [])]
}

const isRedirect = ({ action }: PlannedRoute): boolean => action !== "left out" && "redirectTo" in action

const notFound = (headers: readonly Message[]): Message =>
  headers.length === 0 ? NOT_FOUND : { ...NOT_FOUND, match: { prefix: "/", headers } }

const takesAll = ({ path, method, headers }: DeclaredRule["match"]): boolean =>
  isAll(path) && method === undefined && headers === undefined

const isAll = (path: DeclaredRule["match"]["path"]): boolean =>
  path === undefined || ("prefix" in path && path.prefix === "/")

const messagesOf = ({ rule, action }: PlannedRoute, hostname: readonly Message[]): readonly Message[] => {
  // No request has such a path, and Envoy takes none; it is a problem of the rule.
  if (/[?#]/.test(pathText(rule.match.path))) return []
  const matchers = [...hostname, ...fieldMatchers(rule)]
  const match = (...further: readonly Message[]): Message => {
    const headers = [...matchers, ...further]
    return { ...pathMatch(rule.match.path), ...(headers.length === 0 ? {} : { headers }) }
  }
  if (action === "left out") return [{ match: match(), direct_response: response(503, "This route has no target now") }]
  if ("redirectTo" in action) {
    return [
      {
        match: match({ name: ":path", string_match: { prefix: CHALLENGES }, invert_match: true }),
        redirect: { https_redirect: true, ...(action.redirectTo === 443 ? {} : { port_redirect: action.redirectTo }) },
      },
    ]
  }
  const { requireHeader, responseHeaders, allowCidrs } = rule
  const forward: Message = {
    match:
      requireHeader === undefined
        ? match()
        : match({ name: requireHeader.name, string_match: { exact: requireHeader.value! } }),
    // 0s: Envoy would end a response after 15 s.
    route: { ...clusterFields(action), timeout: "0s" },
    ...(requireHeader === undefined ? {} : { request_headers_to_remove: [requireHeader.name] }),
    ...responseFields(responseHeaders),
    ...(allowCidrs === undefined
      ? {}
      : {
          typed_per_filter_config: {
            "envoy.filters.http.rbac": typed("envoy.extensions.filters.http.rbac.v3.RBACPerRoute", {
              rbac: { rules: networks(allowCidrs) },
            }),
          },
        }),
  }
  if (requireHeader === undefined) return [forward]
  return [forward, { match: match(), direct_response: response(403, "Forbidden") }]
}

/** A path as it was declared. */
export const pathText = (path: DeclaredRule["match"]["path"]): string =>
  path === undefined ? "" : "exact" in path ? path.exact : path.prefix

const response = (status: number, text: string): Message => ({ status, body: { inline_string: text } })

const pathMatch = (path: DeclaredRule["match"]["path"]): Message => {
  if (path === undefined || isAll(path)) return { prefix: "/" }
  return "exact" in path ? { path: path.exact } : { path_separated_prefix: path.prefix }
}

const fieldMatchers = ({ match: { method, headers = {} } }: DeclaredRule): readonly Message[] => [
  ...(method === undefined ? [] : [{ name: ":method", string_match: { exact: method } }]),
  ...Object.keys(headers)
    .toSorted()
    .map((name) => ({ name, string_match: { exact: headers[name]! } })),
]

/** Each `*` is one label; the port that a `Host` may have is not looked at. */
const authorityMatcher = (wildcard: string): Message => ({
  name: ":authority",
  string_match: { safe_regex: { regex: `(?i)${wildcardRegex(wildcard)}(?::[0-9]+)?` } },
})

/** A regular expression of RE2, for the whole of a hostname. Patterns are of letters, digits, `-`, `.` and `*`. */
export const wildcardRegex = (wildcard: string): string => wildcard.replaceAll(".", "\\.").replaceAll("*", "[^.:]+")

const responseFields = (rules: DeclaredRule["responseHeaders"]): Message => {
  const { set = {}, remove = [] } = rules ?? {}
  const names = Object.keys(set).toSorted()
  return {
    ...(names.length === 0
      ? {}
      : {
          response_headers_to_add: names.map((key) => ({
            // `%` begins a command of Envoy's.
            header: { key, value: set[key]!.replaceAll("%", "%%") },
            append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
            keep_empty_value: true,
          })),
        }),
    ...(remove.length === 0 ? {} : { response_headers_to_remove: [...new Set(remove)].toSorted() }),
  }
}
