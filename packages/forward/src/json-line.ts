/** What is logged, by name. `undefined` is left out. */
type LineFields = Readonly<Record<string, string | number | boolean | undefined>>

const MAX_FIELD_LENGTH = 1_024

/**
 * JSON on one line, for logs, with every character escaped that a terminal or a line reader interprets. Texts are cut to 1 024
 * characters.
 */
export const jsonLine = (fields: LineFields): string => {
  const cut = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === "string" && value.length > MAX_FIELD_LENGTH ? `${value.slice(0, MAX_FIELD_LENGTH - 1)}…` : value,
  ])
  // JSON does not escape DEL, C1 and the two Unicode line ends: U+009B begins an escape sequence.
  return JSON.stringify(Object.fromEntries(cut)).replaceAll(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
}
