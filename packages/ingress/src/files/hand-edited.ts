/** A generated file was changed by hand, or a file that nobody generated stands in its place. Nothing was written. */
export class HandEdited extends Error {
  readonly _tag = "HandEdited"
  override readonly name = "HandEdited"
  /** Relative to the folder. */
  readonly path: string
  constructor(fields: { readonly path: string; readonly isGenerated: boolean }) {
    super(
      fields.isGenerated
        ? `${fields.path} was changed by hand after it was generated`
        : `${fields.path} is there and was not generated`,
    )
    this.path = fields.path
  }
}
