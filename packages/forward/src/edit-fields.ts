import type { HeaderList } from "./header-list.ts"
import { checkFields } from "./field-syntax.ts"
import { CONNECTION, HOP_BY_HOP, ruleFor, TE, TRAILER } from "./header-rules.ts"

/** Changes header fields: gets a list and gives the list that is to stand in its place. May throw. */
export type FieldsEdit = (fields: HeaderList) => HeaderList

/** Changes fields in place. Code of our own, whose result is not checked: it writes only what can stand in a header. */
export type FieldsRewrite = (fields: string[]) => void

/**
 * Fields as an edit wants them. What frames the message, and what `withheld` says of a lower-case name, is neither shown to the
 * edit nor taken from it, and stays as it is.
 *
 * @throws {TypeError} if the edit gives what cannot be written as header fields; and whatever the edit throws
 */
export const editFields = (
  fields: readonly string[],
  edit: FieldsEdit,
  withheld: (lower: string) => boolean = () => false,
): string[] => {
  const isKept = (name: string): boolean => {
    const lower = name.toLowerCase()
    return isFraming(lower) || withheld(lower)
  }
  const out: string[] = []
  const shown: string[] = []
  for (let i = 0; i < fields.length; i += 2) (isKept(fields[i]!) ? out : shown).push(fields[i]!, fields[i + 1]!)
  const wanted = edit(shown)
  checkFields(wanted)
  for (let i = 0; i < wanted.length; i += 2) if (!isKept(wanted[i]!)) out.push(wanted[i]!, wanted[i + 1]!)
  return out
}

const isFraming = (lower: string): boolean => {
  const rule = ruleFor(lower)
  return lower === "content-length" || rule === HOP_BY_HOP || rule === CONNECTION || rule === TE || rule === TRAILER
}
