import { PackedRefused } from "../packed/refused.ts"
import type { RouteSourceEvent } from "../store-event.ts"
import { reasonOf as failureReason } from "../store-health.ts"

/** What came of reading a source, turned into events: one for each change. */
export interface SourceHealth {
  readonly failed: (cause: unknown) => void
  readonly worked: () => void
  /** All routes were read. */
  readonly loaded: () => void
  /** What was read is not used. */
  readonly refused: (cause: PackedRefused, what?: string) => void
  /** The state could not be read. */
  readonly stateFailed: (cause: unknown) => void
  /** The routes were not saved, or were again. */
  readonly saved: (cause?: { readonly error: unknown }) => void
}

type State = RouteSourceEvent["state"]

/** `report` must not throw; `hasRoutes`: whether routes of an earlier time are served. */
export const sourceHealth = (
  report: (state: State, reason?: string) => void,
  hasRoutes: () => boolean,
): SourceHealth => {
  let isFailing = false
  let refusal: string | undefined
  let isSaved = true
  return {
    failed: (cause) => {
      if (isFailing) return
      isFailing = true
      report(hasRoutes() ? "stale" : "failing", reasonOf(cause))
    },
    worked: () => {
      if (!isFailing) return
      isFailing = false
      report("recovered")
    },
    loaded: () => {
      refusal = undefined
      report("loaded")
    },
    refused: ({ message, reason }, what = "snapshot") => {
      if (refusal === `${what} ${reason}`) return
      refusal = `${what} ${reason}`
      report("refused", `${what}: ${message}`)
    },
    stateFailed: (cause) => report("refused", `state: ${reasonOf(cause, "it could not be read")}`),
    saved: (failure) => {
      if ((failure === undefined) === isSaved) return
      isSaved = failure === undefined
      if (failure !== undefined) report("not_saved", reasonOf(failure.error, "the state failed"))
    },
  }
}

const reasonOf = (cause: unknown, otherwise = "the source failed"): string =>
  cause instanceof PackedRefused ? cause.message : failureReason(cause, otherwise)
