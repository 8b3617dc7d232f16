import { quietly } from "../quietly.ts"
import type { InvalidRowsEvent, RouteSourceEvent } from "../store-event.ts"
import type { Table } from "./build-table.ts"

/** Reports what became of the polls of a source: each state once, and not at every poll. */
export interface SourceReport {
  readonly loaded: (table: Table) => void
  /** `table`: what the refused rows would have been. */
  readonly refused: (reason: string, table?: Table) => void
  readonly failed: (reason: string) => void
}

/** `served`: how many routes are served now, and how old they are. What `onEvent` throws is ignored. */
export const sourceReport = (
  layer: string,
  onEvent: ((event: RouteSourceEvent | InvalidRowsEvent) => void) | undefined,
  served: () => Pick<RouteSourceEvent, "routes" | "ageMs">,
): SourceReport => {
  /** The problem that was reported and is not over. */
  let problem: RouteSourceEvent["state"] | undefined
  let reason: string | undefined
  let isFirst = true
  let invalid = "0"

  const report = quietly(onEvent)
  const turned = (state: "stale" | "refused" | "failing", why: string): void => {
    if (problem === state && (state !== "refused" || reason === why)) return
    problem = state
    reason = why
    report({ type: "route_source", layer, state, reason: why, ...served() })
  }
  const reportRows = (rows: Table["invalid"]): void => {
    const now = rows.count === 0 ? "0" : JSON.stringify(rows)
    if (now === invalid) return
    invalid = now
    report({ type: "invalid_rows", layer, ...rows })
  }

  return {
    loaded: ({ invalid: rows, changes }) => {
      if (problem === "stale" || problem === "failing")
        report({ type: "route_source", layer, state: "recovered", ...served() })
      if (isFirst || changes > 0 || problem === "refused")
        report({ type: "route_source", layer, state: "loaded", ...served() })
      isFirst = false
      problem = undefined
      reportRows(rows)
    },
    refused: (why, table) => {
      turned("refused", why)
      if (table !== undefined) reportRows(table.invalid)
    },
    failed: (why) => turned(served().routes === undefined ? "failing" : "stale", why),
  }
}
