/** @throws {TypeError} for a note that is not a text of at most 65 536 characters, without NUL, which Postgres does not store */
export const checkNote = (note: string): void => {
  if (typeof note === "string" && note.length <= 65_536 && !note.includes("\0") && note.isWellFormed()) return
  throw new TypeError("mark: the note must be a text of at most 65 536 characters")
}
