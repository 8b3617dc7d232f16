import { RECORD_LIMITS } from "../frozen-json.ts"
import { Unreadable } from "./bytes.ts"
import type { ByteReader, ByteWriter } from "./bytes.ts"

/**
 * How a string is written: its head is `length * 8 + form`. A key has exactly one encoding, so that two are equal when their
 * bytes are. Names and ids, nearly all there is, take four or six bits a character.
 */
const HEX = 0
const LOWER = 1
const MIXED = 2
const UTF8 = 3
/** The JSON of the string, in UTF-8: for half surrogate pairs, which UTF-8 cannot hold. */
const JSON_FORM = 4
/** No text follows: the head's number is the string's place in the dictionary. */
const LISTED = 5
/** No text follows: the end of the route's key, after so many characters as the reader knows. */
const OF_KEY = 6
/** 16 bytes. */
const UUID = 7

const isUuid = (text: string): boolean =>
  text.length === 36 && /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/.test(text)

const alphabets = [
  "0123456789abcdef",
  "abcdefghijklmnopqrstuvwxyz0123456789-_.:*/@+=~ ,",
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
] as const

/** For each form and ASCII character its digit, -1 where the form does not have it. */
const digits = alphabets.map((alphabet) =>
  Int8Array.from({ length: 128 }, (_, code) => alphabet.indexOf(String.fromCharCode(code))),
)
/** For each ASCII character a bit for each form that has it. */
const formsOf = Uint8Array.from({ length: 128 }, (_, code) =>
  digits.reduce((forms, digit, form) => (digit[code] === -1 ? forms : forms | (1 << form)), 0),
)
const characters = alphabets.map((alphabet) => alphabet.split(""))

const encoder = new TextEncoder()
// `ignoreBOM`: one at the start of a string is a character of it.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The strings that are written as numbers. */
export interface Dictionary {
  readonly at: ReadonlyMap<string, number>
  readonly strings: readonly string[]
}

/** Writes the text itself: its encoding depends on nothing else. For keys. */
export const writeText = (out: ByteWriter, text: string): void => {
  let forms = 7
  for (let at = 0; at < text.length && forms !== 0; at++) {
    const code = text.charCodeAt(at)
    forms &= code < 128 ? formsOf[code]! : 0
  }
  if (forms === 0) {
    const form = text.isWellFormed() ? UTF8 : JSON_FORM
    const bytes = encoder.encode(form === UTF8 ? text : JSON.stringify(text))
    out.integer(bytes.length * 8 + form)
    return out.append(bytes)
  }
  const form = (forms & 1) !== 0 ? HEX : (forms & 2) !== 0 ? LOWER : MIXED
  const digit = digits[form]!
  const width = form === HEX ? 4 : 6
  out.integer(text.length * 8 + form)
  let pending = 0
  let bits = 0
  for (let at = 0; at < text.length; at++) {
    pending |= digit[text.charCodeAt(at)]! << bits
    bits += width
    if (bits >= 8) {
      out.byte(pending & 255)
      pending >>= 8
      bits -= 8
    }
  }
  if (bits > 0) out.byte(pending)
}

/** Writes a string of a record in as few bytes as it takes: as the end of its key, if that is it from `keyFrom` on. */
export const writeString = (
  out: ByteWriter,
  text: string,
  key: string,
  keyFrom: number,
  dictionary: Dictionary,
): void => {
  const listed = dictionary.at.get(text)
  if (listed !== undefined) return out.integer(listed * 8 + LISTED)
  if (key.length === text.length + keyFrom && key.endsWith(text)) return out.byte(OF_KEY)
  if (!isUuid(text)) return writeText(out, text)
  out.byte(UUID)
  const digits = text.replaceAll("-", "")
  for (let at = 0; at < 32; at += 2) out.byte(Number.parseInt(digits.slice(at, at + 2), 16))
}

/**
 * Reads a string.
 *
 * @throws {Unreadable} for bytes that no string is written as
 */
export const readString = (input: ByteReader, key: string, keyFrom: number, listed: readonly string[]): string => {
  const head = input.integer()
  const form = head % 8
  const length = (head - form) / 8
  if (form === LISTED) {
    const text = listed[length]
    if (text === undefined) throw new Unreadable("a string that is not in the dictionary")
    return text
  }
  if (form === OF_KEY) return key.slice(keyFrom)
  if (form === UUID) return readUuid(input.take(16))
  // JSON may take six bytes a character.
  if (length > RECORD_LIMITS.characters * 6 + 2) throw new Unreadable("a string that is too long")
  if (form <= MIXED) return readDigits(input, form, length)
  try {
    const text = decoder.decode(input.take(length))
    if (form === UTF8) return text
    const parsed: unknown = form === JSON_FORM ? JSON.parse(text) : undefined
    if (typeof parsed === "string") return parsed
  } catch {
    // Said below.
  }
  throw new Unreadable("no text")
}

/** Reads what {@link writeText} wrote. */
export const readText = (input: ByteReader): string => readString(input, "", 0, [])

/** Goes past what {@link writeText} wrote. */
export const skipText = (input: ByteReader): void => {
  const head = input.integer()
  const form = head % 8
  const length = (head - form) / 8
  input.at += form === HEX ? Math.ceil(length / 2) : form <= MIXED ? Math.ceil((length * 6) / 8) : length
}

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

const readUuid = (bytes: Uint8Array): string => {
  let text = ""
  for (let at = 0; at < 16; at++)
    text += at === 4 || at === 6 || at === 8 || at === 10 ? `-${hexPairs[bytes[at]!]}` : hexPairs[bytes[at]!]
  return text
}

const readDigits = (input: ByteReader, form: number, length: number): string => {
  const alphabet = characters[form]!
  const width = form === HEX ? 4 : 6
  const mask = form === HEX ? 15 : 63
  const bytes = input.take(Math.ceil((length * width) / 8))
  let text = ""
  let pending = 0
  let bits = 0
  let at = 0
  for (let left = length; left > 0; left--) {
    if (bits < width) {
      pending |= bytes[at++]! << bits
      bits += 8
    }
    const character = alphabet[pending & mask]
    if (character === undefined) throw new Unreadable("a character that the form does not have")
    text += character
    pending >>= width
    bits -= width
  }
  return text
}
