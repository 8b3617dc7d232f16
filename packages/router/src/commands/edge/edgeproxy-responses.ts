import type { GeneratedResponse } from "@project-ingress/forward"
import { providerErrors } from "@project-ingress/providers/internal"
import type { ErrorResponses } from "../../error-response.ts"
import { routerErrors } from "../../error-rows.ts"

/** The responses of EdgeProxy's table, and the tags of ours that they stand for. */
const NOT_FOUND = plain(404, "Service Not Found")
const UNHEALTHY = plain(503, "Service Unavailable - VM not responding")
const BAD_GATEWAY = plain(502, "Bad Gateway")
const INTERNAL = plain(500, "Internal Server Error")

/** Go's `http.Error`: plain text, with a newline. */
function plain(status: number, text: string): GeneratedResponse {
  return {
    status,
    headers: ["Content-Type", "text/plain; charset=utf-8", "X-Content-Type-Options", "nosniff"],
    body: `${text}\n`,
  }
}

const by = (response: GeneratedResponse, tags: readonly string[]): ErrorResponses =>
  Object.fromEntries(tags.map((tag) => [tag, () => response]))

const notOfTheConnection = new Set(["MachineRecordInvalid"])

/**
 * Error responses as EdgeProxy documents them, by the errors of router, providers and engine. What EdgeProxy does not document
 * stays as it is: requests that are refused (4xx of the engine, bounds, a loop), and 503 while there are no routes yet.
 */
export const edgeproxyResponses: ErrorResponses = {
  ...by(
    BAD_GATEWAY,
    [...Object.keys(providerErrors), "UpstreamMalformed"].filter((tag) => !notOfTheConnection.has(tag)),
  ),
  ...by(INTERNAL, ["MachineRecordInvalid", "RouteInvalid", "RouteNotSupported", "ProxyFailed"]),
  ...by(NOT_FOUND, ["RouteNotFound", "HostnameMalformed", "DomainNotExact"]),
  ...by(UNHEALTHY, ["HealthCheckFailed"]),
  RouteUnknown: ({ retryAfter = 1 }) => {
    const response = plain(routerErrors.RouteUnknown.status, "Service Unavailable")
    return { ...response, headers: [...response.headers, "Retry-After", `${retryAfter}`] }
  },
}
