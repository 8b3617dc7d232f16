/** Finds what no field value and no reason phrase can have (RFC 9110 §5.5). */
export const INVALID_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/

/** Whether a text is a token: a field's name, a method, a pseudonym (RFC 9110 §5.6.2). */
export const isToken = (text: string): boolean => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)

/**
 * What is wrong with a list of fields that does not come from a parsed head; `undefined` when each can be written as one field
 * line. Not valid in a value: CR, LF, NUL, other control characters, and characters above U+00FF, which latin1 would fold onto
 * any of them. Shows names and no value.
 */
export const fieldsProblem = (list: unknown): string | undefined => {
  if (!Array.isArray(list)) return "headers must be a flat array of names and values"
  if (list.length % 2 === 1) return "headers must have a value for each name"
  for (let i = 0; i < list.length; i += 2) {
    const [name, value] = [list[i] as unknown, list[i + 1] as unknown]
    if (typeof name !== "string" || !isToken(name)) return "a header name is not a token"
    if (typeof value !== "string" || INVALID_IN_VALUE.test(value)) return `header ${name} has an invalid value`
  }
  return undefined
}

/** @throws {TypeError} saying what is wrong with a list of fields, see {@link fieldsProblem} */
export const checkFields = (list: unknown): void => {
  const problem = fieldsProblem(list)
  if (problem !== undefined) throw new TypeError(problem)
}
