import { errorRow } from "@project-ingress/forward/internal"
import { PolicyError } from "./policy-error.ts"

/** Whether the visitor may open the route cannot be found out now: 502. Nobody is let in for that. */
export class AuthUnavailable extends PolicyError {
  declare readonly _tag: "AuthUnavailable"
  constructor(fields: { readonly reason: string }) {
    super({ tag: "AuthUnavailable", row: authUnavailable, ...fields })
  }
}

const authUnavailable = errorRow(
  502,
  "AUTH_UNAVAILABLE",
  "destination_unavailable",
  "Whether you may open {hostname} cannot be checked at the moment. Wait a little.",
  { retryAfter: 2 },
)
