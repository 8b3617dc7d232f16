import type { ErrorRow } from "@project-ingress/forward"

/** What a {@link PolicyError} is made of. */
export interface PolicyErrorFields {
  /** The error's `_tag`, as events name it: `QuotaExceeded`. */
  readonly tag: string
  /** Status, stable code, RFC 9209 error type and title of the response. */
  readonly row: ErrorRow
  /** Why, for logs and events. Never sent to a client. */
  readonly reason: string
  /** When asking again may help, in ms from now; sent as `Retry-After`. */
  readonly retryAfterMs?: number
  /** Where a navigation is sent instead (302): a URL or a path in visible ASCII. Scripts and WebSockets get the row. */
  readonly location?: string
  /** What `WWW-Authenticate` says (RFC 9110 §11.6.1), in visible ASCII and spaces: `Bearer error="invalid_token"`. */
  readonly challenge?: string
}

/**
 * A policy's refusal. It brings its own response row, so a policy outside this package needs no change here.
 *
 * @throws {TypeError} from the constructor if a field is invalid: `location` may hold visible ASCII only, because it becomes a
 *   header, as `code` and `error` of the row do
 *
 * @example
 * new PolicyError({
 *   tag: "QuotaExceeded",
 *   row: { status: 429, code: "QUOTA_EXCEEDED", error: "http_request_denied", title: "This project is over its quota." },
 *   reason: "12 000 of 10 000 requests",
 * })
 */
export class PolicyError extends Error {
  readonly _tag: string
  readonly row: ErrorRow
  readonly retryAfterMs: number | undefined
  readonly location: string | undefined
  readonly challenge: string | undefined
  constructor(fields: PolicyErrorFields) {
    super(fields.reason)
    const { tag, row, retryAfterMs, location, challenge } = fields
    if (typeof tag !== "string" || tag === "") throw new TypeError("tag must be a non-empty string")
    if (!isRow(row)) throw new TypeError("row must be an ErrorRow with status (400 to 599), code, error and title")
    if (location !== undefined && !/^[\x21-\x7e]+$/.test(location)) {
      throw new TypeError("location must be a URL or a path in visible ASCII")
    }
    if (challenge !== undefined && !/^[\x21-\x7e][\x20-\x7e]*$/.test(challenge)) {
      throw new TypeError("challenge must be a scheme with its parameters, in visible ASCII and spaces")
    }
    this._tag = tag
    this.row = row
    this.retryAfterMs = retryAfterMs
    this.location = location
    this.challenge = challenge
  }
  override get name(): string {
    return this._tag
  }
}

const isRow = (row: unknown): row is ErrorRow => {
  const { status, code, error, title, docs, retryAfter = 0 } = (row ?? {}) as Readonly<Record<string, unknown>>
  const isFailure = Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599
  const isText = typeof title === "string" && (docs === undefined || typeof docs === "string")
  return isFailure && isWord(code) && isWord(error) && isText && Number.isInteger(retryAfter)
}

const isWord = (value: unknown): boolean => typeof value === "string" && /^[A-Za-z0-9_-]+$/.test(value)

/** What a policy returned or set, but must not. The sentence is the router's own and may be logged. */
export class PolicyMistake extends TypeError {}
