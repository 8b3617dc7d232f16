import { errorRow } from "@project-ingress/forward/internal"
import { PolicyError } from "../policies/policy-error.ts"

/** A path behind the platform's prefix that has no meaning, or none for such a request: 404, and never the app's. */
export class ReservedPath extends PolicyError {
  declare readonly _tag: "ReservedPath"
  constructor(fields: { readonly reason: string }) {
    super({ tag: "ReservedPath", row: reservedPath, ...fields })
  }
}

const reservedPath = errorRow(
  404,
  "RESERVED_PATH",
  "http_request_denied",
  "There is nothing at this path of {hostname}, which is reserved for the platform. Check the path for typing errors.",
)
