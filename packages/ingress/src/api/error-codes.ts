import * as Schema from "effect/Schema"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import type { IngressError } from "../resource/errors.ts"

/** The status and the code of each failure of a change: what a client decides by. The codes of the compatible mode are the same. */
export const errorCodes = {
  IngressInvalid: { status: 400, code: "bad_request" },
  TargetNotFound: { status: 400, code: "instance_not_found" },
  HostnameNotAllowed: { status: 400, code: "domain_not_allowed" },
  HostnameReserved: { status: 400, code: "domain_not_allowed" },
  FrontRefused: { status: 400, code: "config_validation_failed" },
  GrantRequired: { status: 403, code: "grant_required" },
  NotFound: { status: 404, code: "not_found" },
  NameTaken: { status: 409, code: "already_exists" },
  HostnameInUse: { status: 409, code: "hostname_in_use" },
  PortInUse: { status: 409, code: "port_in_use" },
  SettingsConflict: { status: 409, code: "settings_conflict" },
  AmbiguousReference: { status: 409, code: "ambiguous" },
  VersionConflict: { status: 412, code: "version_conflict" },
  FrontFailed: { status: 500, code: "internal_error" },
} as const satisfies Record<IngressError["_tag"], { readonly status: number; readonly code: string }>

/** The codes of what is wrong with a request before it reaches an ingress. */
export const requestCodes = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  version_conflict: 412,
  payload_too_large: 413,
  unsupported_media_type: 415,
  internal_error: 500,
  unavailable: 503,
} as const

/** What a response with an error has as its `code`. */
export type ApiCode = (typeof errorCodes)[keyof typeof errorCodes]["code"] | keyof typeof requestCodes

const body = <const Codes extends readonly ApiCode[]>(status: number, identifier: string, ...codes: Codes) =>
  Schema.Struct({
    code: Schema.Literals(codes),
    message: Schema.String.annotate({ description: "For people. Never holds a secret." }),
    field: Schema.optionalKey(Schema.String).annotate({ description: "What is wrong: rules.0.target.port" }),
  })
    .annotate({ identifier })
    .pipe(HttpApiSchema.status(status))

const BadRequest = body(400, "BadRequest", "bad_request")
const Refused = body(
  400,
  "Refused",
  "bad_request",
  "instance_not_found",
  "domain_not_allowed",
  "config_validation_failed",
)
const Forbidden = body(403, "Forbidden", "forbidden", "grant_required")
const NotFound = body(404, "NotFound", "not_found")
const Ambiguous = body(409, "Ambiguous", "ambiguous")
const Conflict = body(
  409,
  "Conflict",
  "already_exists",
  "hostname_in_use",
  "port_in_use",
  "settings_conflict",
  "ambiguous",
)
const VersionConflict = body(412, "VersionConflict", "version_conflict")
const TooLarge = body(413, "TooLarge", "payload_too_large")
const NotJson = body(415, "NotJson", "unsupported_media_type")
const InternalError = body(500, "InternalError", "internal_error")
const Unavailable = body(503, "Unavailable", "unavailable")

/** 401, which every operation can give. */
export const Unauthorized = body(401, "Unauthorized", "unauthorized")

const always = [InternalError, Unavailable] as const
const withBody = [TooLarge, NotJson] as const

/** The errors of each kind of operation, for its definition. */
export const errorsOf = {
  create: [Refused, Forbidden, Conflict, ...withBody, ...always],
  list: [BadRequest, ...always],
  read: [BadRequest, NotFound, Ambiguous, ...always],
  replace: [Refused, Forbidden, NotFound, Conflict, VersionConflict, ...withBody, ...always],
  remove: [Refused, NotFound, Conflict, VersionConflict, ...always],
  grant: [Refused, Forbidden, ...withBody, ...always],
  revoke: [BadRequest, NotFound, ...always],
} as const
