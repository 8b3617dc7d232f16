import { PolicyError } from "./policy-error.ts"

/** The visitor has to sign in first: a navigation is sent to `location` (302), everything else gets a 401. */
export class LoginRequired extends PolicyError {
  declare readonly _tag: "LoginRequired"
  declare readonly location: string
  /** @throws {TypeError} if `location`, a URL or a path, holds anything but visible ASCII */
  constructor(fields: { readonly location: string }) {
    super({ tag: "LoginRequired", row: loginRequired, reason: "a policy asks for a login", location: fields.location })
  }
}

const loginRequired = {
  status: 401,
  code: "LOGIN_REQUIRED",
  error: "http_request_denied",
  title: "Sign in to open this address.",
} as const
