import { errorRow } from "@project-ingress/forward/internal"
import { PolicyError } from "./policy-error.ts"

/** One client, project or machine has had its requests of this period: 429. */
export class RateLimited extends PolicyError {
  declare readonly _tag: "RateLimited"
  constructor(fields: { readonly reason: string; readonly retryAfterMs?: number }) {
    super({ tag: "RateLimited", row: rateLimited, ...fields })
  }
}

const rateLimited = errorRow(
  429,
  "RATE_LIMITED",
  "http_request_denied",
  "There were too many requests to {hostname}. Wait a little, then try again.",
  { retryAfter: 10 },
)
