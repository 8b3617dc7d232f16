import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Routes } from "./routes.ts"

/** A store that begins to fail, or works again: reported once for each change. */
export interface StoreEvent {
  readonly type: "store"
  readonly state: "failing" | "recovered"
  /** Why it fails: for logs, never for a client. */
  readonly reason?: string
}

/** A store counts as failing until no look-up failed for this long, in ms: one that fails now and then is no event a request. */
const CALM_MS = 5_000

/** Routes whose failures, and the end of them, are reported. */
export const reporting = (
  { lookup }: Routes["Service"],
  report: (event: StoreEvent) => void,
): Routes["Service"] => {
  /** When a look-up last failed, in ms since 1970, as long as the store counts as failing. */
  let failedAt: number | undefined
  return {
    lookup: (keys, options) =>
      Effect.tapError(lookup(keys, options), (error) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (error._tag === "RouteUnknown") {
            if (failedAt === undefined) report({ type: "store", state: "failing", reason: reasonOf(error.cause) })
            failedAt = now
          }
        }),
      ).pipe(
        Effect.tap(() =>
          failedAt === undefined
            ? Effect.void
            : Effect.map(Clock.currentTimeMillis, (now) => {
                if (failedAt === undefined || now - failedAt < CALM_MS) return
                failedAt = undefined
                report({ type: "store", state: "recovered" })
              }),
        ),
      ),
  }
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : "the store cannot tell")
