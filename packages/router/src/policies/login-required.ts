import { errorRow } from "@project-ingress/forward/internal"
import { PolicyError } from "./policy-error.ts"

/** The visitor has to sign in first: a navigation is sent to `location` (302) if there is one, everything else gets a 401. */
export class LoginRequired extends PolicyError {
  declare readonly _tag: "LoginRequired"
  /** @throws {TypeError} if `location`, a URL or a path, holds anything but visible ASCII */
  constructor(fields: { readonly location?: string } = {}) {
    super({ tag: "LoginRequired", row: loginRequired, reason: "a policy asks for a login", ...fields })
  }
}

const loginRequired = errorRow(
  401,
  "LOGIN_REQUIRED",
  "http_request_denied",
  "You have to sign in to open {hostname}. Open it in a browser, or send the credentials that it asks for.",
)
