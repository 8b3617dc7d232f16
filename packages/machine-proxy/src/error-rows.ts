import { forwardErrors } from "@project-ingress/forward"
import type { ErrorRow } from "@project-ingress/forward"
import { errorRow } from "@project-ingress/forward/internal"

/**
 * The error response of each failure of the machine proxy, by tag: those it finds itself, and those of the engine that
 * moves its bytes. Most people see none of these pages, because the router responds first.
 */
export const machineProxyErrors = {
  TargetMissing: errorRow(
    400,
    "missing_proxy_target_host",
    "http_request_error",
    "The request does not say which app it is for. Open the app by its public hostname.",
  ),
  TargetInvalid: errorRow(
    400,
    "invalid_proxy_target_host",
    "http_request_error",
    "The target of the request is invalid. Open the app by its public hostname.",
  ),
  TicketMissing: errorRow(
    401,
    "TICKET_REQUIRED",
    "http_request_denied",
    "This machine accepts requests from its router only. Open the app by its public hostname.",
  ),
  TicketInvalid: errorRow(
    401,
    "TICKET_INVALID",
    "http_request_denied",
    "The router's ticket is invalid or has expired. Send the request again; if this stays, router and machine have different keys or clocks.",
    { retryable: true },
  ),
  TicketWrongTarget: errorRow(
    403,
    "TICKET_WRONG_TARGET",
    "http_request_denied",
    "The router's ticket is for another port or hostname of this machine. Open the app by its public hostname.",
  ),
  MachineMisdirected: errorRow(
    421,
    "MACHINE_MISMATCH",
    "destination_unavailable",
    "The request is for another machine. Send it again by the app's public hostname.",
    { retryable: true },
  ),
  ControlUnavailable: errorRow(
    501,
    "CONTROL_UNAVAILABLE",
    "http_request_denied",
    "This machine's proxy runs without keys, so that nobody can prove to be its router. It lists no ports and ends no sessions.",
  ),
  ControlInvalid: errorRow(
    400,
    "CONTROL_INVALID",
    "http_request_error",
    "The router's request to the machine's proxy is invalid. Use a router and a machine proxy of matching versions.",
  ),
  ProtocolUnsupported: errorRow(
    501,
    "PROTOCOL_UNSUPPORTED",
    "http_request_denied",
    "{Port} is to be spoken to in a protocol that this machine's proxy does not know. Use a newer machine proxy.",
  ),
  TunnelUnavailable: errorRow(
    501,
    "TUNNEL_UNAVAILABLE",
    "http_request_denied",
    "This machine's proxy runs without keys, so that nobody can prove to be its router. It opens no tunnels to ports.",
  ),
  TunnelInvalid: errorRow(
    400,
    "TUNNEL_INVALID",
    "http_request_error",
    "{Port} is reached by a tunnel, and the request is not the handshake of one. Open it by the command project-ingress forward.",
  ),
  PortForbidden: errorRow(
    403,
    "PORT_FORBIDDEN",
    "http_request_denied",
    "{Port} is not open to the outside. The owner of the machine can allow it.",
  ),
  LoopDetected: errorRow(
    508,
    "LOOP_DETECTED",
    "proxy_loop_detected",
    "{Port} leads back to the proxy. It is the proxy's own port, or the app there forwards its requests to it.",
  ),
  ...forwardErrors,
} as const satisfies Record<string, ErrorRow>

/** The tags of {@link machineProxyErrors}. */
export type MachineProxyErrorTag = keyof typeof machineProxyErrors
