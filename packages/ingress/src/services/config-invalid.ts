/** A configuration of services that is not valid. Nothing was changed. */
export class ConfigInvalid extends Error {
  readonly _tag = "ConfigInvalid"
  override readonly name = "ConfigInvalid"
  /** All that is wrong: where (`services.opencode.port`; empty for the whole), and what is accepted there, as a noun phrase. */
  readonly problems: readonly { readonly field: string; readonly accepted: string }[]
  constructor(fields: { readonly problems: ConfigInvalid["problems"] }) {
    const sentences = fields.problems.map(
      ({ field, accepted }) => `${field || "the configuration"} must be ${accepted}`,
    )
    super(sentences.join("; "))
    this.problems = fields.problems
  }
}
