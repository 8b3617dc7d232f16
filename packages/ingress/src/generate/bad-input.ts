/** Input of the command that cannot be used. Its message says which, and what is accepted. */
export class BadInput extends Error {
  override readonly name = "BadInput"
}
