/** A declared service is not what somebody else has set in the project. Nothing was changed. */
export class ServiceConflict extends Error {
  readonly _tag = "ServiceConflict"
  override readonly name = "ServiceConflict"
  /** `services.db`, `ports.5432.visibility` */
  readonly field: string
  constructor(fields: { readonly field: string }) {
    super(`${fields.field} is set by the platform, and differs from what is declared`)
    this.field = fields.field
  }
}
