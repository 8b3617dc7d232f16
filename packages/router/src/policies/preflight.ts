import { isToken } from "@project-ingress/forward/internal"
import { AccessDenied } from "./access-denied.ts"
import type { Outcome, PolicyRequest } from "./policy.ts"

/** Whether a browser asks if a page may send a request (Fetch, "CORS-preflight request"). */
export const isPreflight = ({ method, header }: Pick<PolicyRequest, "method" | "header">): boolean =>
  method === "OPTIONS" && header("origin") !== undefined && header("access-control-request-method") !== undefined

/** 204 for a page of an origin of ours: that it may send exactly what it asks for. 403 for any other. */
export const preflightResponse = (
  { header }: Pick<PolicyRequest, "header">,
  isOurs: (origin: string) => boolean,
): Outcome => {
  const origin = header("origin")!
  const method = header("access-control-request-method")!
  const fields = header("access-control-request-headers")
  if (!isOurs(origin)) return { deny: new AccessDenied({ reason: "a preflight of another origin" }) }
  if (!isToken(method) || (fields !== undefined && !areTokens(fields))) {
    return { deny: new AccessDenied({ reason: "a preflight for what is no method or field" }) }
  }
  const headers = [
    "Access-Control-Allow-Origin",
    origin,
    "Access-Control-Allow-Credentials",
    "true",
    "Access-Control-Allow-Methods",
    method,
    ...(fields === undefined || fields === "" ? [] : ["Access-Control-Allow-Headers", fields]),
    "Vary",
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    "Cache-Control",
    "no-store",
  ]
  return { respond: { status: 204, headers } }
}

/** `trim` and no expression: one that looks for the spaces at the end of a text takes quadratic time where a text has them inside. */
const areTokens = (list: string): boolean =>
  list === "" || (/^[\t\x20-\x7e]*$/.test(list) && list.split(",").every((name) => isToken(name.trim())))
