import { errorResponse, headerValue, prefersHtml } from "@project-ingress/forward"
import type { ErrorRow, GeneratedResponse, HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { validGeneratedResponse } from "@project-ingress/forward/internal"
import { providerErrors } from "@project-ingress/providers/internal"
import { routerErrors } from "./error-rows.ts"
import type { RouterError } from "./errors.ts"
import { pseudonym } from "./hop/loop.ts"
import { PolicyError } from "./policies/policy-error.ts"

/** Replaces responses by the error's tag. Gets the row and whether a page is wanted; `undefined` keeps the standard one. */
export type ErrorResponses = Readonly<
  Record<string, (row: ErrorRow, options: { readonly page: boolean }) => GeneratedResponse | undefined>
>

/** What the response depends on beside the failure. */
export interface ErrorResponseContext {
  /** The request's fields as they arrived; empty if it could not be read. */
  readonly headers: HeaderList
  readonly headerNames: HopHeaderNames
  readonly errorResponses: ErrorResponses | undefined
}

/** An error response, and the one that `onError` wants instead of it. */
export interface FailedResponse {
  readonly response: GeneratedResponse
  readonly replaced?: Response
}

/** The response for a failure: the one place where a router's error turns into a status. */
export const responseForError = (error: RouterError, context: ErrorResponseContext): GeneratedResponse => {
  const location = error instanceof PolicyError ? error.location : undefined
  const row = rowOf(error)
  // A hidden denial must not be distinguishable: whatever replaces a missing route's response replaces it, too.
  const tag = row === routerErrors.RouteNotFound ? "RouteNotFound" : error._tag
  return responseForRow(tag, row, context, {
    ...(location === undefined ? {} : { location }),
    ...("retryAfterMs" in error ? retryAfter(error.retryAfterMs) : {}),
  })
}

/** The response for a row, as {@link responseForError} gives it: for the failures of an engine, which are tags alone. */
export const responseForRow = (
  tag: string,
  row: ErrorRow,
  { headers, headerNames, errorResponses }: ErrorResponseContext,
  more: { readonly location?: string; readonly retryAfter?: number } = {},
): GeneratedResponse => {
  const page = prefersHtml((lowerName) => headerValue(headers, lowerName))
  const replaced = replacement(errorResponses, tag, row, page)
  if (replaced !== undefined) return replaced
  const { location, ...rest } = more
  // A redirect only where a person looks: a script that follows it would get a login page for data.
  const moved = page && location !== undefined ? ({ status: 302, add: ["Location", location] } as const) : {}
  return errorResponse(row, { headerNames, pseudonym, page, ...rest, ...moved })
}

const replacement = (
  errorResponses: ErrorResponses = {},
  tag: string,
  row: ErrorRow,
  page: boolean,
): GeneratedResponse | undefined => {
  try {
    const replaced = Object.hasOwn(errorResponses, tag) ? errorResponses[tag]!(row, { page }) : undefined
    return replaced === undefined || validGeneratedResponse(replaced) === undefined ? replaced : undefined
  } catch {
    // A page that fails must not fail the response.
    return undefined
  }
}

const rowOf = (error: RouterError): ErrorRow => {
  if (error instanceof PolicyError) return error.row
  if (error._tag === "ProviderUnavailable" && error.reason === "timeout") return providerErrors.ProviderTimeout
  if (error._tag === "RouteInvalid" && error.problem.code === "NOT_SUPPORTED") return routerErrors.RouteNotSupported
  return rows[error._tag]
}

const rows = { ...providerErrors, ...routerErrors }

/** RFC 9110 §10.2.3: whole seconds, so at least one; at most a day. */
const retryAfter = (ms: number | undefined): { readonly retryAfter?: number } =>
  ms === undefined || !(ms >= 0) ? {} : { retryAfter: Math.max(1, Math.ceil(Math.min(ms, 86_400_000) / 1000)) }
