import { forwardErrors } from "@project-ingress/forward"
import type { ErrorRow } from "@project-ingress/forward"

/**
 * The error response of each failure of the machine proxy, by tag: those it finds itself, and those of the engine that
 * moves its bytes. Most people see none of these pages, because the router responds first.
 */
export const machineProxyErrors = {
  TargetMissing: row(
    400,
    "missing_proxy_target_host",
    "http_request_error",
    "The request does not say which app it is for. Open the app by its public hostname.",
  ),
  TargetInvalid: row(
    400,
    "invalid_proxy_target_host",
    "http_request_error",
    "The target of the request is invalid. Open the app by its public hostname.",
  ),
  TicketMissing: row(
    401,
    "TICKET_REQUIRED",
    "http_request_denied",
    "This machine accepts requests from its router only. Open the app by its public hostname.",
  ),
  TicketInvalid: row(
    401,
    "TICKET_INVALID",
    "http_request_denied",
    "The router's ticket is invalid or has expired. Reload this page; if it stays, router and machine have different keys.",
  ),
  MachineMisdirected: row(
    421,
    "MACHINE_MISMATCH",
    "destination_unavailable",
    "The request is for another machine. Reload this page.",
  ),
  PortForbidden: row(
    403,
    "PORT_FORBIDDEN",
    "http_request_denied",
    "This port is not open to the outside. The owner of the machine can allow it.",
  ),
  LoopDetected: row(
    508,
    "LOOP_DETECTED",
    "proxy_loop_detected",
    "The request came back to the proxy that forwarded it. Check where the app forwards requests to.",
  ),
  ...forwardErrors,
} as const satisfies Record<string, ErrorRow>

/** The tags of {@link machineProxyErrors}. */
export type MachineProxyErrorTag = keyof typeof machineProxyErrors

function row(status: number, code: string, error: string, title: string): ErrorRow {
  return { status, code, error, title }
}
