import type { GeneratedResponse, HopHeaderNames } from "@project-ingress/forward"
import { headerValue } from "@project-ingress/forward"
import type { HostnameForeign } from "@project-ingress/hostname"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { answerFor } from "./error-response.ts"
import { ProxyFailed } from "./errors.ts"
import type { RouterError } from "./errors.ts"
import { pseudonym } from "./program/handle.ts"
import type { Handled } from "./program/handle.ts"
import type { Inbound } from "./program/exchange.ts"

/** What a request came to. */
export type Ending<A> =
  | { readonly _tag: "Foreign" }
  | { readonly _tag: "ClientLeft" }
  /** `response` is what `onError` wants instead of `answer`. */
  | {
      readonly _tag: "Failed"
      readonly error: RouterError
      readonly answer: GeneratedResponse
      readonly response?: Response
    }
  | ({ readonly _tag: "Answered" } & Handled<A>)

/** Reads how the program ended. What nobody foresaw is a `ProxyFailed`: no request ends in a throw. */
export const endingOf = <A>(
  exit: Exit.Exit<Handled<A>, RouterError | HostnameForeign>,
  inbound: Inbound,
  names: HopHeaderNames,
): Ending<A> => {
  if (Exit.isSuccess(exit)) return { _tag: "Answered", ...exit.value }
  const found = Cause.findError(exit.cause)
  if (Result.isFailure(found)) {
    if (Cause.hasInterruptsOnly(exit.cause)) return { _tag: "ClientLeft" }
    return failed(new ProxyFailed({ cause: Cause.squash(exit.cause) }), inbound, names)
  }
  return found.success._tag === "HostnameForeign" ? { _tag: "Foreign" } : failed(found.success, inbound, names)
}

/** A failure with the answer that belongs to it. */
const failed = (error: RouterError, inbound: Inbound, names: HopHeaderNames): Ending<never> & { _tag: "Failed" } => ({
  _tag: "Failed",
  error,
  answer: answerFor(error, {
    header: (lowerName) => headerValue(inbound.headers, lowerName),
    headerNames: names,
    pseudonym,
  }),
})
