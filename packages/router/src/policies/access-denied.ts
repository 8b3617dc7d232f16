import { errorRow } from "@project-ingress/forward/internal"
import { routerErrors } from "../error-rows.ts"
import { PolicyError } from "./policy-error.ts"

/** The visitor may not see this route: 403, or exactly the 404 of a route that does not exist when `hidden`. */
export class AccessDenied extends PolicyError {
  declare readonly _tag: "AccessDenied"
  constructor(fields: { readonly hidden?: boolean; readonly reason?: string } = {}) {
    const { hidden = false, reason = "a policy denied access" } = fields
    super({ tag: "AccessDenied", row: hidden ? routerErrors.RouteNotFound : accessDenied, reason })
  }
}

const accessDenied = errorRow(
  403,
  "ACCESS_DENIED",
  "http_request_denied",
  "You have no access to {hostname}. Ask its owner for access.",
)
