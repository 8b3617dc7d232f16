import { forwardErrors } from "@project-ingress/forward"
import type { ErrorRow } from "@project-ingress/forward"
import type { OwnError } from "./errors.ts"

/** How the router's own failures look to a client. Providers, policies and the engine bring the rows of theirs. */
export const routerErrors = {
  HostnameMalformed: {
    status: 400,
    code: "HOSTNAME_MALFORMED",
    error: "http_request_error",
    title: "Invalid hostname. Check the address for typing errors.",
  },
  RouteNotFound: {
    status: 404,
    code: "ROUTE_NOT_FOUND",
    error: "destination_not_found",
    title: "Not found. No project has this address.",
  },
  RouteUnknown: {
    status: 503,
    code: "ROUTE_UNKNOWN",
    error: "destination_unavailable",
    retryAfter: 1,
    title: "Route temporarily unavailable. This page reloads by itself.",
  },
  RouteInvalid: {
    status: 500,
    code: "ROUTE_INVALID",
    error: "proxy_configuration_error",
    title: "This address is misconfigured. Its owner has to correct the route.",
  },
  /** Of a `RouteInvalid` whose field is not supported yet. */
  RouteNotSupported: {
    status: 501,
    code: "NOT_SUPPORTED",
    error: "proxy_configuration_error",
    title: "This address uses a setting that is not supported yet.",
  },
  RouteRemoved: {
    status: 410,
    code: "ROUTE_REMOVED",
    error: "destination_not_found",
    title: "Gone. The project at this address was removed.",
  },
  MachineDetached: {
    status: 503,
    code: "MACHINE_DETACHED",
    error: "destination_unavailable",
    title: "No machine is attached to this project. Attach one, then reload.",
  },
  LoopDetected: {
    status: 508,
    code: "LOOP_DETECTED",
    error: "proxy_loop_detected",
    title: "This address leads back to itself.",
  },
  UpgradeUnsupported: {
    status: 501,
    code: "UPGRADE_UNSUPPORTED",
    error: "http_request_error",
    title: "WebSockets are not passed on here.",
  },
  LengthRequired: {
    status: 411,
    code: "LENGTH_REQUIRED",
    error: "http_request_error",
    title:
      "The body of this request needs a Content-Length. Send it with one, or use another method than GET and HEAD.",
  },
  ProxyFailed: forwardErrors.ProxyFailed,
} as const satisfies Record<OwnError["_tag"] | "RouteNotSupported", ErrorRow>
