import type { ErrorRow } from "@project-ingress/forward"
import { errorRow, upstreamErrors } from "@project-ingress/forward/internal"
import type { OwnError } from "./errors.ts"

/** How the router's own failures look to a client. Providers, policies and the engine bring the rows of theirs. */
export const routerErrors = {
  /** With the reason as the next sentence. */
  HostnameMalformed: errorRow(
    400,
    "HOSTNAME_MALFORMED",
    "http_request_error",
    "{Hostname} is not a valid hostname. Check the address for typing errors.",
  ),
  RouteNotFound: errorRow(
    404,
    "ROUTE_NOT_FOUND",
    "destination_not_found",
    "There is no project at {hostname}. Check the address for typing errors.",
  ),
  RouteUnknown: errorRow(
    503,
    "ROUTE_UNKNOWN",
    "destination_unavailable",
    "Where {hostname} leads cannot be looked up at the moment. Wait a little.",
    { retryAfter: 1 },
  ),
  RouteInvalid: errorRow(
    500,
    "ROUTE_INVALID",
    "proxy_configuration_error",
    "{Hostname} is misconfigured. The router's event names the field to correct.",
  ),
  /** Of a `RouteInvalid` whose field is not supported yet. */
  RouteNotSupported: errorRow(
    501,
    "NOT_SUPPORTED",
    "proxy_configuration_error",
    "{Hostname} uses a setting that is not supported yet. The router's event names the field to correct.",
  ),
  RouteRemoved: errorRow(
    410,
    "ROUTE_REMOVED",
    "destination_not_found",
    "There is no project at {hostname} any more. It was removed.",
  ),
  MachineDetached: errorRow(
    503,
    "MACHINE_DETACHED",
    "destination_unavailable",
    "No machine is attached to {project}. Attach one, then reload.",
  ),
  LoopDetected: errorRow(
    508,
    "LOOP_DETECTED",
    "proxy_loop_detected",
    "{Hostname} leads back to itself. Check where the app forwards requests to.",
  ),
  UpgradeUnsupported: errorRow(
    501,
    "UPGRADE_UNSUPPORTED",
    "http_request_error",
    "WebSockets are not passed on here. Run the router with serveNode, mount, serveBun or serveDeno, or on Workers.",
  ),
  LengthRequired: errorRow(
    411,
    "LENGTH_REQUIRED",
    "http_request_error",
    "The body of this request needs a Content-Length. Send it with one, or use another method than GET and HEAD.",
  ),
  PortNotHttp: errorRow(
    400,
    "PORT_NOT_HTTP",
    "http_request_denied",
    "{Port} of {project} does not speak HTTP. Reach it by the command project-ingress forward.",
  ),
  TunnelNotAllowed: errorRow(
    403,
    "TUNNEL_NOT_ALLOWED",
    "http_request_denied",
    "{Port} of {project} cannot be reached by a tunnel. Its settings must have the protocol tcp or udp.",
  ),
  ProtocolNotCarried: errorRow(
    501,
    "PROTOCOL_NOT_CARRIED",
    "http_request_denied",
    "{Port} of {project} cannot be reached this way. With the protocol tcp in its settings, project-ingress forward reaches it.",
  ),
  TunnelUnsupported: errorRow(
    501,
    "TUNNEL_UNSUPPORTED",
    "http_request_denied",
    "{Port} of {project} is reached without a machine proxy, and a tunnel ends in one. Connect to its own address instead.",
  ),
  ProjectLimited: errorRow(
    503,
    "PROJECT_LIMITED",
    "connection_limit_reached",
    "Too many requests or WebSockets of {project} are open. Wait until some of them are complete.",
    { retryAfter: 1 },
  ),
  MachineLimited: errorRow(
    503,
    "MACHINE_LIMITED",
    "connection_limit_reached",
    "Too many requests or WebSockets of the machine behind {hostname} are open. Wait until some of them are complete.",
    { retryAfter: 1 },
  ),
  /** So many ports or names of one machine are asked for that no further ticket is signed for it now. */
  TicketsLimited: errorRow(
    503,
    "TICKETS_LIMITED",
    "connection_limit_reached",
    "Too many ports of {project} were opened at once. Wait a little.",
    { retryAfter: 1 },
  ),
  ProxyFailed: upstreamErrors.ProxyFailed,
} as const satisfies Record<OwnError["_tag"] | "RouteNotSupported", ErrorRow>

/** `RouteNotFound` for who may see the project: its name is right, and the service's is not. Which others there are is not said. */
export const serviceNotFound = errorRow(
  404,
  "ROUTE_NOT_FOUND",
  "destination_not_found",
  "There is no service at {hostname}: {project} has none of this name. Check the address for typing errors.",
)
