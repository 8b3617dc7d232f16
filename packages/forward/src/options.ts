import { isThenable } from "./thenable.ts"

/**
 * What is wrong with one option: the sentence's end that says what is accepted ("a function", "a number from 0 up"), or
 * `undefined` when the value is good. Called with `undefined` for a required option that is missing, and must refuse it.
 */
export type OptionCheck = (value: unknown) => string | undefined

/** How {@link checkOptions} reads an object of options. */
export interface CheckOptionsSettings {
  /** Names that must be given. */
  readonly required?: readonly string[]
  /** Where the object stands in its owner's options, for the message: `limits`, `machines[2]`. Absent for the whole. */
  readonly at?: string
}

/**
 * Checks options when they are given, so that a mistake is reported where it was made and not with the first request.
 * `owner` is the function that takes them, `fields` has one check for each option that exists.
 *
 * @throws {TypeError} for what is not an object, an unknown name, a missing or a wrong value. The message names owner and
 *   option and never holds the value of a string or an object, which may be a secret:
 *   `createRouter: grammer is not an option (did you mean grammar?)`,
 *   `serveNode: limits.lingerMs must be a number from 0 up, got NaN`.
 */
export const checkOptions = (
  owner: string,
  options: unknown,
  fields: Readonly<Record<string, OptionCheck>>,
  { required = [], at }: CheckOptionsSettings = {},
): void => {
  const path = (name: string): string => (at === undefined ? name : `${at}.${name}`)
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new TypeError(`${owner}: ${at ?? "options"} must be an object, got ${kindOf(options)}`)
  }
  // `in`, not own keys only: options may be made with Object.create, and reading them finds those, too.
  for (const name in options) {
    if (Object.hasOwn(fields, name)) continue
    const near = nearest(name, Object.keys(fields))
    const hint =
      near === undefined ? ` (the options are ${Object.keys(fields).join(", ")})` : ` (did you mean ${path(near)}?)`
    throw new TypeError(`${owner}: ${path(name.slice(0, 64))} is not an option${hint}`)
  }
  const given = options as Readonly<Record<string, unknown>>
  for (const [name, check] of Object.entries(fields)) {
    const value = given[name]
    if (value === undefined && !required.includes(name)) continue
    const accepted = check(value)
    if (accepted === undefined) continue
    throw new TypeError(`${owner}: ${path(name)} must be ${accepted}, got ${kindOf(value)}`)
  }
}

/** The kind of a value, for an error message: `null`, `-1`, `a string`. Shows numbers and booleans, and nothing else. */
export const kindOf = (value: unknown): string => {
  if (value === undefined || value === null || typeof value === "number" || typeof value === "boolean") {
    return String(value)
  }
  if (value === "") return "an empty string"
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array"
  if (isThenable(value)) return "a promise"
  return typeof value === "object" ? "an object" : `a ${typeof value}`
}

/** Checks that options of many functions share. */
export const accept = {
  string: (value: unknown) => (typeof value === "string" && value !== "" ? undefined : "a non-empty string"),
  boolean: (value: unknown) => (typeof value === "boolean" ? undefined : "true or false"),
  function: (value: unknown) => (typeof value === "function" ? undefined : "a function"),
  object: (value: unknown) => (isObject(value) ? undefined : "an object"),
  /** Elements that one check accepts; any element without one. */
  array:
    (element?: OptionCheck): OptionCheck =>
    (value) => {
      if (!Array.isArray(value)) return "an array"
      // Array.from, so that a hole is an element, too.
      const wrong = element === undefined ? undefined : Array.from(value, element).find((found) => found !== undefined)
      return wrong === undefined ? undefined : `an array in which every element is ${wrong}`
    },
  /** A finite number. */
  number:
    (from = 0, to = Infinity): OptionCheck =>
    (value) =>
      typeof value === "number" && Number.isFinite(value) && value >= from && value <= to
        ? undefined
        : `a number ${range(from, to)}`,
  integer:
    (from = 0, to = Number.MAX_SAFE_INTEGER): OptionCheck =>
    (value) =>
      Number.isSafeInteger(value) && (value as number) >= from && (value as number) <= to
        ? undefined
        : `an integer ${range(from, to)}`,
  /** One of some strings, numbers or booleans. */
  oneOf:
    (...values: readonly (string | number | boolean)[]): OptionCheck =>
    (value) =>
      (values as readonly unknown[]).includes(value)
        ? undefined
        : values.map((each) => JSON.stringify(each)).join(" or "),
} as const

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value)

const range = (from: number, to: number): string =>
  to >= Number.MAX_SAFE_INTEGER ? `from ${from} up` : `from ${from} to ${to}`

/**
 * The name that was probably meant: one that begins alike, else the nearest, when no more than about a third is different. `most`:
 * the nearest with no more letters different, where any other name is good as well.
 */
export const nearest = (name: string, names: readonly string[], most?: number): string | undefined => {
  const longer = names.filter((each) => name.length > 2 && each.toLowerCase().startsWith(name.toLowerCase()))
  if (most === undefined && longer.length === 1) return longer[0]
  let best: string | undefined
  let least = (most ?? Math.ceil(name.length / 3)) + 1
  for (const each of names) {
    const between = distance(name.toLowerCase(), each.toLowerCase())
    if (between < least) [best, least] = [each, between]
  }
  return best
}

/** Insertions, deletions and substitutions from one text to another (Levenshtein). */
const distance = (a: string, b: string): number => {
  if (a.length > 64) return Infinity
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}
