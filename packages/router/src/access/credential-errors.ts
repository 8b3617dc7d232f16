import { errorRow } from "@project-ingress/forward/internal"
import { PolicyError } from "../policies/policy-error.ts"

/** A request's access token is not valid, or there are several: 401 `TOKEN_INVALID`. */
export class TokenInvalid extends PolicyError {
  declare readonly _tag: "TokenInvalid"
  constructor(fields: { readonly reason: string }) {
    super({ tag: "TokenInvalid", row: tokenInvalid, challenge: 'Bearer error="invalid_token"', ...fields })
  }
}

/** A request's access token is valid, but opens something else: 403 `TOKEN_SCOPE`. */
export class TokenScope extends PolicyError {
  declare readonly _tag: "TokenScope"
  constructor(fields: { readonly reason: string }) {
    super({ tag: "TokenScope", row: tokenScope, challenge: 'Bearer error="insufficient_scope"', ...fields })
  }
}

/** A share link opens nothing here: 403 `LINK_INVALID`. */
export class LinkInvalid extends PolicyError {
  declare readonly _tag: "LinkInvalid"
  constructor(fields: { readonly reason: string }) {
    super({ tag: "LinkInvalid", row: linkInvalid, ...fields })
  }
}

// RFC 6750 §3.1.
const tokenInvalid = errorRow(
  401,
  "TOKEN_INVALID",
  "http_request_denied",
  "The access token is not valid, or has ended. Ask for a new one, and send exactly one.",
)

const tokenScope = errorRow(
  403,
  "TOKEN_SCOPE",
  "http_request_denied",
  "The access token is not for {hostname}. Ask for one that is for this project and port.",
)

const linkInvalid = errorRow(
  403,
  "LINK_INVALID",
  "http_request_denied",
  "This link has ended, was withdrawn, or is for another address. Ask who sent it for a new one.",
)
