import { monotonicNow } from "@project-ingress/forward/internal"
import type { StoreEvent } from "./store-event.ts"

/** Turns the results of look-ups into events. */
export interface StoreHealth {
  /** A look-up that came to nothing, and why. */
  readonly failed: (cause: unknown) => void
  /** A look-up with a result: a record, an invalid one, or a miss. */
  readonly worked: () => void
}

/** A failure that was found here and not by the store: its message is a sentence of ours. */
export class LookupFailed extends Error {
  override readonly name = "LookupFailed"
}

/** A failure of one key, in a store that was read: it says nothing of the others. */
export class KeyFailed extends LookupFailed {}

/** How long no look-up may fail, in ms, until a store counts as working again: one that fails now and then is one event. */
const CALM_MS = 5_000

/** Watches a store by what came of its look-ups. `report` must not throw. */
export const storeHealth = (report: (event: StoreEvent) => void): StoreHealth => {
  let failing = false
  let failedAt = 0
  return {
    failed: (cause) => {
      failedAt = monotonicNow()
      if (failing) return
      failing = true
      report({ type: "store", state: "failing", reason: reasonOf(cause) })
    },
    worked: () => {
      if (!failing || monotonicNow() - failedAt < CALM_MS) return
      failing = false
      report({ type: "store", state: "recovered" })
    },
  }
}

/** A reason for events: an error's code or a sentence of this package, never the message of a driver. */
export const reasonOf = (cause: unknown, otherwise = "the store failed"): string => {
  if (cause instanceof LookupFailed) return cause.message
  if (cause === undefined) return "the store cannot tell"
  return codeOf(cause) ?? otherwise
}

/** The `code` of an error, or of what caused it: of Node, or of a database. */
export const codeOf = (error: unknown): string | undefined => {
  try {
    for (let at = error, depth = 0; depth < 4 && typeof at === "object" && at !== null; depth++) {
      const { code, cause } = at as { readonly code?: unknown; readonly cause?: unknown }
      if (typeof code === "string" && /^[A-Z\d_]{2,60}$/.test(code)) return code
      at = cause
    }
  } catch {
    // A getter of the store's error threw.
  }
  return undefined
}
