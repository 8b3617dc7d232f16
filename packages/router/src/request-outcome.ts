import type { HostnameForeign } from "@project-ingress/hostname"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { ProxyFailed } from "./errors.ts"
import type { RouterError } from "./errors.ts"
import type { FailedResponse } from "./error-response.ts"
import type { Handled } from "./program/handle.ts"

/** What a request came to. */
export type RequestOutcome<A> =
  /** The hostname is not ours. */
  | { readonly _tag: "NotOurs" }
  | { readonly _tag: "ClientLeft" }
  | ({ readonly _tag: "Failed"; readonly error: RouterError } & FailedResponse)
  | Handled<A>

/** Reads how the program ended. Anything unexpected is a `ProxyFailed`: no request ends in a throw. */
export const requestOutcome = <A>(
  exit: Exit.Exit<Handled<A>, RouterError | HostnameForeign>,
  failedResponse: (error: RouterError) => FailedResponse,
): RequestOutcome<A> => {
  if (Exit.isSuccess(exit)) return exit.value
  const failed = (error: RouterError) => ({ _tag: "Failed", error, ...failedResponse(error) }) as const
  const found = Cause.findError(exit.cause)
  if (Result.isSuccess(found)) {
    return found.success._tag === "HostnameForeign" ? { _tag: "NotOurs" } : failed(found.success as RouterError)
  }
  if (Cause.hasInterruptsOnly(exit.cause)) return { _tag: "ClientLeft" }
  return failed(new ProxyFailed({ cause: Cause.squash(exit.cause) }))
}
