import { errorResponse, prefersHtml } from "@project-ingress/forward"
import type { GeneratedResponse, HopHeaderNames } from "@project-ingress/forward"
import { routerErrors } from "./error-rows.ts"
import type { RouterError } from "./errors.ts"

/** What an answer may depend on beside the failure. */
export interface AnswerContext {
  /** The request's first value of a field, by lower-case name. */
  readonly header: (lowerName: string) => string | null | undefined
  readonly headerNames: HopHeaderNames
  readonly pseudonym: string
}

/** The answer for a failure: the one place where a router's error turns into a status. */
export const answerFor = (error: RouterError, context: AnswerContext): GeneratedResponse => {
  const page = prefersHtml(context.header)
  const options = { headerNames: context.headerNames, pseudonym: context.pseudonym, page }
  switch (error._tag) {
    case "AccessDenied":
      return errorResponse(error.hidden ? routerErrors.RouteNotFound : routerErrors.AccessDenied, options)
    case "LoginRequired":
      // A redirect only where a person looks: a script that follows it gets a login page for data.
      return page
        ? errorResponse(routerErrors.LoginRequired, { ...options, status: 302, add: ["Location", error.location] })
        : errorResponse(routerErrors.LoginRequired, options)
    case "ProviderUnavailable":
      return errorResponse(
        error.reason === "timeout" ? routerErrors.ProviderTimeout : routerErrors.ProviderUnavailable,
        options,
      )
    case "RouteUnknown":
    case "MachineStarting":
    case "ProviderRateLimited":
      return errorResponse(routerErrors[error._tag], { ...options, ...waiting(error.retryAfterMs) })
    default:
      return errorResponse(routerErrors[error._tag], options)
  }
}

/** RFC 9110 §10.2.3: whole seconds, so at least one. */
const waiting = (ms: number | undefined): { readonly retryAfter?: number } =>
  ms === undefined || !(ms >= 0) ? {} : { retryAfter: Math.max(1, Math.ceil(Math.min(ms, 86_400_000) / 1000)) }
