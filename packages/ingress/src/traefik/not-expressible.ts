import type { ExportProblem } from "../fronts/front.ts"

/** Thrown while one rule is exported, and becomes a problem of that rule. */
export class NotExpressible extends Error {
  readonly _tag = "NotExpressible"
  /** Relative to the rule: `match.path`. */
  readonly field: string
  readonly reason: string
  readonly kind: ExportProblem["kind"]
  constructor(field: string, reason: string, kind: ExportProblem["kind"] = "unsupported") {
    super(`${field} ${reason}`)
    this.field = field
    this.reason = reason
    this.kind = kind
  }
}
