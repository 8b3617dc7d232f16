/** The error responses of the worker that this router takes the place of, word for word: see docs/waking.md. */
import type { ErrorRow, GeneratedResponse } from "@project-ingress/forward"
import { parse } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import { providerErrors } from "@project-ingress/providers/internal"
import type { ErrorResponses, FailedRequest } from "./error-response.ts"

/**
 * For `errorResponses` of `createRouter`: JSON `{ error, details }` with the words and statuses of the project ingress proxy of `apps/os`.
 * What it did not know is left to the router, as the page of a machine that starts. Nothing in it comes from an exception.
 */
export const projectIngressProxyResponses = (grammar: Grammar): ErrorResponses => {
  const missing = (row: ErrorRow, { subject }: FailedRequest) => {
    const hostname = subject.hostname ?? ""
    const target = parse(grammar, hostname)
    if (target._tag === "Target") {
      return response(row, 404, target.kind === "project" ? "project_not_found" : "machine_not_found")
    }
    const hostnameLabels = hostname.split(".")
    return response(row, 404, "not_found", { hostname, hostnameLabels, projectIngressDomain: grammar.domains[0] })
  }
  return {
    HostnameMalformed: (row, { subject }) => response(row, 400, parseError(grammar, subject.hostname ?? "")),
    RouteNotFound: missing,
    RouteRemoved: missing,
    RouteInvalid: (row) => response(row, 500, "ingress_not_configured"),
    AccessDenied: (row) => response(row, 403, "forbidden"),
    AuthUnavailable: (row) => response(row, 502, "auth_unavailable"),
    MachineDetached: (row) => response(row, 404, "machine_not_found"),
    MachineNotFound: (row) => response(row, 404, "machine_not_found"),
    MachineNotRunning: (row) =>
      row.code === providerErrors.MachineArchived.code
        ? response(row, 409, "machine_not_routable", { machineState: "archived", routableStates })
        : undefined,
    MachineRecordInvalid: (row) => response(row, 503, "machine_unavailable"),
    ...Object.fromEntries(failures.map((tag) => [tag, (row: ErrorRow) => response(row, 502, "proxy_error")])),
  }
}

/** 500 `ingress_not_configured`: for a host that has no domain, and so can make neither a grammar nor a router. */
export const ingressNotConfigured = (): Response =>
  Response.json({ error: "ingress_not_configured" }, { status: 500, headers: { "Cache-Control": "no-store" } })

/** The states in which the worker sent requests to a machine. */
const routableStates = ["starting", "active", "detached"]

/** Failures that were all the same to it. */
const failures = [
  "MachineUnproven",
  "PortClosed",
  "ProviderAuth",
  "ProviderUnavailable",
  "UpstreamTimeout",
  "UpstreamFailed",
  "UpstreamMalformed",
  "ProxyFailed",
]

/** The parser's words for what is wrong with a hostname. */
const parseError = (grammar: Grammar, hostname: string): string => {
  const target = parse(grammar, hostname)
  // Under a domain of its own a project has one label more, which is a port or a name.
  if (target._tag !== "HostnameMalformed") return "invalid_subdomain"
  if (target.part === "port") return "invalid_port"
  return target.part === "slug" ? "invalid_project_slug" : "invalid_hostname"
}

const response = (
  { retryAfter }: ErrorRow,
  status: number,
  error: string,
  details?: Readonly<Record<string, unknown>>,
): GeneratedResponse => ({
  status,
  headers: [
    "Content-Type",
    "application/json",
    "Cache-Control",
    "no-store",
    "X-Content-Type-Options",
    "nosniff",
    ...(retryAfter === undefined ? [] : ["Retry-After", String(retryAfter)]),
  ],
  body: JSON.stringify(details === undefined ? { error } : { error, details }),
})
