import { isToken } from "@project-ingress/forward/internal"

/** Whether a text is a field's value as an option gives it: visible ASCII, spaces and tabs inside it, not empty (RFC 9110 §5.5). */
export const isFieldValue = (value: string): boolean => /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/.test(value)

/** Whether a value is a key or a token: visible ASCII without spaces, so that it is one part of one field's value. */
export const isSecret = (value: unknown): value is string => typeof value === "string" && /^[\x21-\x7e]+$/.test(value)

// A runtime that refuses a field repeats its value in the error. These checks come first, and their errors never do.

/** @throws {TypeError} unless all are header fields */
export const checkFields = (headers: Readonly<Record<string, string>>): void => {
  for (const [name, value] of Object.entries(headers)) {
    if (!isToken(name)) throw new TypeError("headers: a name is not a token (RFC 9110 §5.1)")
    if (typeof value !== "string" || !isFieldValue(value))
      throw new TypeError(`headers: the value of ${name} must be visible ASCII`)
  }
}
