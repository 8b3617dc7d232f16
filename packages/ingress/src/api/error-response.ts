import type { StorageUnavailable } from "../control/ask-storage.ts"
import type { LookupUnavailable } from "../control/look-up.ts"
import type { IngressError } from "../resource/errors.ts"
import type { RevisionConflict } from "../storage/ingress-storage.ts"
import { errorCodes } from "./error-codes.ts"
import type { ApiCode } from "./error-codes.ts"
import { RequestProblem } from "./request-problem.ts"

/** What a client reads of a failure. */
export interface ErrorBody {
  readonly code: ApiCode
  /** For people. Never holds a secret. */
  readonly message: string
  /** What is wrong: `rules.0.target.port`. */
  readonly field?: string
}

/** The response for whatever was thrown. What is not known is 500 without its cause, which is given to `onError`. */
export const errorResponse = (
  error: unknown,
  mode: "hypeman" | undefined,
  onError: (error: unknown) => void,
): Response => {
  if (error instanceof RequestProblem) {
    const { code, message, field, status, headers } = error
    const text = mode === "hypeman" && code === "not_found" ? hypemanTexts.NotFound : message
    return json({ code, message: text, ...(field === undefined ? {} : { field }) }, status, headers)
  }
  if (!isIngressError(error) || error._tag === "FrontFailed") onError(error)
  if (isTemporary(error)) {
    const { retryAfterMs = 1_000 } = error
    const seconds = Math.max(1, Math.ceil(retryAfterMs / 1_000))
    return json({ code: "unavailable", message: "this cannot be done now: try again" }, 503, {
      "retry-after": String(seconds),
    })
  }
  if (!isIngressError(error)) return json({ code: "internal_error", message: "the request failed" }, 500)
  const { status, code } = errorCodes[error._tag]
  const message = mode === undefined ? error.message : (hypemanTexts[error._tag] ?? error.message)
  return json({ code, message, ...("field" in error && error.field !== "" ? { field: error.field } : {}) }, status)
}

const hypemanTexts: { readonly [Tag in IngressError["_tag"]]?: string } & { readonly NotFound: string } = {
  NotFound: "resource not found",
  AmbiguousReference: "multiple resources match, use full ID",
}

/** What may go well the next time: a store that cannot tell, a storage that fails, other processes that were always faster. */
const isTemporary = (error: unknown): error is Error & { readonly retryAfterMs?: number } =>
  error instanceof Error && "_tag" in error && TEMPORARY.has(error._tag)

const TEMPORARY: ReadonlySet<unknown> = new Set<(LookupUnavailable | StorageUnavailable | RevisionConflict)["_tag"]>([
  "LookupUnavailable",
  "StorageUnavailable",
  "RevisionConflict",
])

const isIngressError = (error: unknown): error is IngressError =>
  error instanceof Error && "_tag" in error && Object.hasOwn(errorCodes, String(error._tag))

const json = (body: ErrorBody, status: number, headers: Readonly<Record<string, string>> = {}): Response =>
  Response.json(body, { status, headers })
