import type { ErrorRow } from "@project-ingress/forward"
import { SendFailure, forwardFetch } from "@project-ingress/forward/fetch"
import { failureCode, monotonicNow, startDeadline } from "@project-ingress/forward/internal"
import type { AddressRule } from "@project-ingress/forward/internal"
import { routerErrors } from "../../error-rows.ts"
import { PolicyError } from "../../policies/policy-error.ts"
import type { Policy, Route } from "../../policies/policy.ts"
import type { EdgeLog } from "./edge-log.ts"

/** EdgeProxy's time-out of a health check, in ms. */
const HEALTH_CHECK_MS = 2_000

/**
 * Lets a domain be served under its own name only. To the router `3000.app.example.com` is port 3000 of `app.example.com`; a
 * table of domains has no such names.
 */
export const exactDomains: Policy = {
  name: "exactDomains",
  onRoute: (_, { target }) =>
    target.kind === "project" && target.port === undefined && target.service === undefined
      ? undefined
      : {
          deny: new PolicyError({
            tag: "DomainNotExact",
            row: routerErrors.RouteNotFound,
            reason: "not a domain of the table",
          }),
        },
}

/**
 * EdgeProxy's health check: `GET /` of the machine before each request to one of this region. A status from 200 to 399 within 2 s is
 * healthy. A redirect is not followed: it is a 3xx already, and where it leads is the app's own choice.
 */
export const healthChecks = (region: string, addresses: AddressRule, log: EdgeLog): Policy => ({
  name: "healthChecks",
  onRoute: async ({ signal }, route) => {
    if (route.machine === undefined || regionOf(route) !== region) return undefined
    const origin = String(route.machine.metadata["origin"])
    const began = monotonicNow()
    const { status, reason } = await check(origin, addresses, signal)
    const fields = {
      target: origin,
      domain: route.key.slice(2),
      status,
      reason,
      durationMs: Math.round(monotonicNow() - began),
    }
    if (reason === undefined) {
      log.write("debug", "health check passed", fields)
      return undefined
    }
    // A client that left says nothing of the machine.
    const level = signal.aborted ? "debug" : "warn"
    log.repeated(`health check ${origin}`, { level, message: "health check failed", fields })
    return { deny: new PolicyError({ tag: "HealthCheckFailed", row: unhealthy, reason }) }
  },
})

const unhealthy: ErrorRow = {
  status: 503,
  code: "HEALTH_CHECK_FAILED",
  error: "destination_unavailable",
  title: "The app behind {hostname} does not respond to its health check. Wait a little.",
  retryable: true,
}

const regionOf = ({ record }: Route): unknown => {
  const { region } = (record.metadata ?? {}) as { readonly region?: { readonly id?: unknown } }
  return typeof region?.id === "string" ? region.id.toLowerCase() : undefined
}

/** Names the cause, because whoever tries the edge on one machine finds it first. */
const NOT_ALLOWED = "the machine's address is neither public nor in INGRESS_EDGE_ALLOW_CIDRS (ADDRESS_NOT_ALLOWED)"

interface Checked {
  readonly status?: number
  /** Why the machine is not healthy; absent if it is. */
  readonly reason?: string
}

const check = async (origin: string, addresses: AddressRule, left: AbortSignal): Promise<Checked> => {
  const over = new AbortController()
  const settled = startDeadline(HEALTH_CHECK_MS, () => over.abort())
  try {
    const response = await forwardFetch({
      origin,
      target: "/",
      method: "GET",
      // A connection of its own: an app may close a kept one at any time, and would look dead.
      headers: [
        "Host",
        new URL(origin).host,
        "User-Agent",
        "project-ingress-edge",
        "Accept",
        "*/*",
        "Connection",
        "close",
      ],
      body: null,
      addresses,
      signal: AbortSignal.any([left, over.signal]),
    })
    void response.body?.cancel().catch(() => undefined)
    const { status } = response
    return status >= 200 && status < 400 ? { status } : { status, reason: `status ${status}` }
  } catch (cause) {
    if (over.signal.aborted) return { reason: `no response within ${HEALTH_CHECK_MS} ms` }
    if (left.aborted) return { reason: "the client left" }
    if (!(cause instanceof SendFailure)) return { reason: "the request failed" }
    return { reason: failureCode(cause) === "ADDRESS_NOT_ALLOWED" ? NOT_ALLOWED : cause.message }
  } finally {
    settled()
  }
}
