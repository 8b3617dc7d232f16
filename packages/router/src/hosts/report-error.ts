import type { ForwardErrorTag } from "@project-ingress/forward"
import { errorEvent } from "@project-ingress/forward/internal"
import type { ErrorEvent } from "@project-ingress/forward/sockets"

/** Reports what went wrong beside requests, or without being theirs. */
export type ReportError = (tag: ForwardErrorTag, cause: unknown) => void

/** By the host's `onEvent`, which may be absent. A log that fails must fail nothing else. */
export const reportError =
  (onEvent: ((event: ErrorEvent) => void) | undefined): ReportError =>
  (tag, cause) => {
    try {
      onEvent?.(errorEvent(tag, cause))
    } catch {
      // There is nobody left to tell.
    }
  }
