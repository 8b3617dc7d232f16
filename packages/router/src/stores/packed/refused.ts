/** Why an image was refused. `empty`, `older` and `smaller` can be forced; the others cannot. */
export type RefusalReason = "format" | "truncated" | "checksum" | "too large" | "empty" | "older" | "smaller"

/** An image that is not used. Whoever has an earlier one goes on with it. */
export class PackedRefused extends Error {
  readonly _tag = "PackedRefused"
  override readonly name = "PackedRefused"
  readonly reason: RefusalReason
  /** The field of the image that decided: `routes`, `builtAt`, `slice 3`. */
  readonly field: string
  constructor(reason: RefusalReason, field: string, accepted: string) {
    super(`the packed routes are refused: ${field} must be ${accepted}`)
    this.reason = reason
    this.field = field
  }
}
