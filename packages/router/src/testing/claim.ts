/** What a law throws when it is broken: the runner prints its message. No `node:assert`, because the kit runs in workerd too. */
export class LawBroken extends Error {
  override get name(): string {
    return "LawBroken"
  }
}

/** What a law throws that cannot be checked here, as it turns out: the test is skipped. */
export class NotApplicable extends Error {
  override get name(): string {
    return "NotApplicable"
  }
}

/** Claims about a value. Each throws a {@link LawBroken} where it does not hold. */
export interface Claims {
  readonly toBe: (expected: unknown) => void
  /** Equal in all fields but absent ones and those that are `undefined`. */
  readonly toEqual: (expected: unknown) => void
  /** Equal in the fields that are expected. */
  readonly toMatchObject: (expected: unknown) => void
  readonly toBeDefined: () => void
  readonly toBeUndefined: () => void
  readonly toHaveLength: (length: number) => void
  readonly toContain: (element: unknown) => void
  readonly toBeGreaterThan: (least: number) => void
  readonly toBeLessThanOrEqual: (most: number) => void
  readonly not: { readonly toHaveProperty: (name: string) => void }
  readonly rejects: {
    readonly toThrow: (expected: string | Error) => Promise<void>
    readonly toMatchObject: (expected: unknown) => Promise<void>
    readonly toBeInstanceOf: (expected: abstract new (...args: never) => unknown) => Promise<void>
  }
}

/** Claims about a value, in the words of the runners that most readers know. */
export const claim = (actual: unknown): Claims => {
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new LawBroken(`${shown(actual)} ${what}`)
  }
  const rejection = async (): Promise<unknown> => {
    const settled = await Promise.resolve(actual).then(
      (value) => ({ value }),
      (cause: unknown) => ({ cause }),
    )
    if ("cause" in settled) return settled.cause
    throw new LawBroken(`expected a rejection, got ${shown(settled.value)}`)
  }
  return {
    toBe: (expected) => must(Object.is(actual, expected), `is not ${shown(expected)}`),
    toEqual: (expected) => must(isLike(actual, expected, true), `is not equal to ${shown(expected)}`),
    toMatchObject: (expected) => must(isLike(actual, expected, false), `does not match ${shown(expected)}`),
    toBeDefined: () => must(actual !== undefined, "is not defined"),
    toBeUndefined: () => must(actual === undefined, "is not undefined"),
    toHaveLength: (length) => must(Array.isArray(actual) && actual.length === length, `has not the length ${length}`),
    toContain: (element) =>
      must(Array.isArray(actual) && actual.includes(element), `does not contain ${shown(element)}`),
    toBeGreaterThan: (least) => must(Number(actual) > least, `is not greater than ${least}`),
    toBeLessThanOrEqual: (most) => must(Number(actual) <= most, `is greater than ${most}`),
    not: {
      toHaveProperty: (name) =>
        must(!(typeof actual === "object" && actual !== null && Object.hasOwn(actual, name)), `has a property ${name}`),
    },
    rejects: {
      toThrow: async (expected) => {
        const cause = await rejection()
        const { message } = cause instanceof Error ? cause : { message: String(cause) }
        const holds = typeof expected === "string" ? message.includes(expected) : message === expected.message
        if (!holds) throw new LawBroken(`rejected with ${shown(cause)}, not with ${shown(expected)}`)
      },
      toMatchObject: async (expected) => claim(await rejection()).toMatchObject(expected),
      toBeInstanceOf: async (expected) => {
        const cause = await rejection()
        if (!(cause instanceof expected))
          throw new LawBroken(`rejected with ${shown(cause)}, which is no ${expected.name}`)
      },
    },
  }
}

/** Stands for any number in what is expected. */
export const anyNumber: unique symbol = Symbol("any number")

/** `whole`: fields that are not expected must be absent or `undefined`. */
const isLike = (actual: unknown, expected: unknown, whole: boolean): boolean => {
  if (expected === anyNumber) return typeof actual === "number"
  if (typeof expected !== "object" || expected === null) return Object.is(actual, expected)
  if (typeof actual !== "object" || actual === null) return false
  if (expected instanceof Error) return actual instanceof Error && actual.message === expected.message
  if (expected instanceof Set || expected instanceof Map) {
    return expected.constructor === actual.constructor && isLike([...(actual as Set<unknown>)], [...expected], whole)
  }
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length !== expected.length) return false
    return expected.every((each, at) => isLike(actual[at], each, whole))
  }
  const [got, wanted] = [actual, expected] as readonly [Fields, Fields]
  // What a list is, an object is not.
  if (Array.isArray(actual)) return false
  const extra = whole ? Object.keys(got).filter((name) => got[name] !== undefined && wanted[name] === undefined) : []
  return extra.length === 0 && Object.keys(wanted).every((name) => isLike(got[name], wanted[name], whole))
}

type Fields = Readonly<Record<string, unknown>>

/** A value in a message, in at most 1 000 characters. */
export const shown = (value: unknown): string => {
  if (value instanceof Error) {
    const { _tag } = value as { readonly _tag?: unknown }
    return `${typeof _tag === "string" ? _tag : value.name}: ${value.message}`.slice(0, 1_000)
  }
  if (typeof value === "symbol") return String(value)
  return (JSON.stringify(value) ?? String(value)).slice(0, 1_000)
}
