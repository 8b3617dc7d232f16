import type { IngressError } from "../resource/errors.ts"
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
  if (!isIngressError(error)) return json({ code: "internal_error", message: "the request failed" }, 500)
  const { status, code } = errorCodes[error._tag]
  const message = mode === undefined ? error.message : (hypemanTexts[error._tag] ?? error.message)
  return json({ code, message, ...("field" in error && error.field !== "" ? { field: error.field } : {}) }, status)
}

const hypemanTexts: { readonly [Tag in IngressError["_tag"]]?: string } & { readonly NotFound: string } = {
  NotFound: "resource not found",
  AmbiguousReference: "multiple resources match, use full ID",
}

const isIngressError = (error: unknown): error is IngressError =>
  error instanceof Error && "_tag" in error && Object.hasOwn(errorCodes, String(error._tag))

const json = (body: ErrorBody, status: number, headers: Readonly<Record<string, string>> = {}): Response =>
  Response.json(body, { status, headers })
