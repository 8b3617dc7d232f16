import { forwardErrors } from "@project-ingress/forward"
import type { ErrorRow } from "@project-ingress/forward"

/** How each failure of the machine proxy looks to a client, by tag: its own, and those of the engine that it runs on. */
export const machineProxyErrors = {
  TargetMissing: row(400, "missing_proxy_target_host", "http_request_error", "The request names no target."),
  TargetInvalid: row(400, "invalid_proxy_target_host", "http_request_error", "The request names an invalid target."),
  TicketMissing: row(
    401,
    "TICKET_REQUIRED",
    "http_request_denied",
    "This machine accepts requests from its router only.",
  ),
  TicketInvalid: row(
    401,
    "TICKET_INVALID",
    "http_request_denied",
    "This machine accepts requests from its router only.",
  ),
  MachineMisdirected: row(421, "MACHINE_MISMATCH", "destination_unavailable", "Wrong machine."),
  PortForbidden: row(403, "PORT_FORBIDDEN", "http_request_denied", "This port is not open to the outside."),
  LoopDetected: row(508, "LOOP_DETECTED", "proxy_loop_detected", "This address leads back to itself."),
  ...forwardErrors,
} as const satisfies Record<string, ErrorRow>

/** The tags of {@link machineProxyErrors}. */
export type MachineProxyErrorTag = keyof typeof machineProxyErrors

function row(status: number, code: string, error: string, title: string): ErrorRow {
  return { status, code, error, title }
}
