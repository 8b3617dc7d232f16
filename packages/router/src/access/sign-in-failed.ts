import { errorRow } from "@project-ingress/forward/internal"
import { PolicyError } from "../policies/policy-error.ts"

/** Signing in did not work: 400. The code is invalid, has ended, or was made for another browser or host; `reason` says which. */
export class SignInFailed extends PolicyError {
  declare readonly _tag: "SignInFailed"
  constructor(fields: { readonly reason: string }) {
    super({ tag: "SignInFailed", row: signInFailed, ...fields })
  }
}

const signInFailed = errorRow(
  400,
  "SIGN_IN_FAILED",
  "http_request_error",
  "Signing in to {hostname} did not work. Open {hostname} again, in a tab of its own.",
)
