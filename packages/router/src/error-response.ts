import { failureAnswer, wantsPage } from "@project-ingress/forward"
import type { Answer, AnswerTag, HopNames } from "@project-ingress/forward"
import type { RouterError } from "./errors.ts"

/** What an answer may depend on beside the failure. */
export interface AnswerContext {
  /** The request's first value of a field, by lower-case name. */
  readonly header: (lowerName: string) => string | null | undefined
  readonly names: HopNames
  readonly pseudonym: string
}

/** The answer for a failure: the one place where a router's error turns into a status. */
export const answerFor = (error: RouterError, context: AnswerContext): Answer => {
  const page = wantsPage(context.header)
  const options = { names: context.names, pseudonym: context.pseudonym, page }
  switch (error._tag) {
    case "AccessDenied":
      return failureAnswer(error.hidden ? "RouteNotFound" : "AccessDenied", options)
    case "LoginRequired":
      // A redirect only where a person looks: a script that follows it gets a login page for data.
      return page
        ? failureAnswer("LoginRequired", { ...options, status: 302, add: ["Location", error.location] })
        : failureAnswer("LoginRequired", options)
    case "ProviderUnavailable":
      return failureAnswer(error.reason === "timeout" ? "ProviderTimeout" : "ProviderUnavailable", options)
    case "RouteUnknown":
    case "MachineStarting":
    case "ProviderRateLimited":
      return failureAnswer(error._tag, { ...options, ...waiting(error.retryAfterMs) })
    default: {
      // A tag without a row does not compile.
      const tag: AnswerTag = error._tag
      return failureAnswer(tag, options)
    }
  }
}

/** RFC 9110 §10.2.3: whole seconds, so at least one. */
const waiting = (ms: number | undefined): { readonly retryAfter?: number } =>
  ms === undefined || !(ms >= 0) ? {} : { retryAfter: Math.max(1, Math.ceil(Math.min(ms, 86_400_000) / 1000)) }
