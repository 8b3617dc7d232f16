/** The limits of one record. Far above what a router needs, far below what would hold up its other requests. */
export const RECORD_LIMITS = {
  /** Objects and arrays within one another. */
  depth: 16,
  /** Values of any kind. */
  values: 16_384,
  /** UTF-16 units of all strings and names. */
  characters: 262_144,
} as const

/** Why something is no JSON that may be used. */
export class NotJson extends Error {
  override readonly name = "NotJson"
  /** Where: `machine.metadata.tags.0`. */
  readonly path: string
  /** What is accepted there. */
  readonly accepted: string
  constructor(path: string, accepted: string) {
    super(`${path || "the value"} must be ${accepted}`)
    this.path = path
    this.accepted = accepted
  }
}

/**
 * A deeply frozen copy of JSON data from anywhere: a database driver, a test, an attacker. Reads each property once and runs no
 * getter. An `undefined` property is left out, as `JSON.stringify` does.
 *
 * @throws {NotJson} for accessors, classes, functions, NaN, symbols, cycles, a name `__proto__` and beyond the limits
 * @throws whatever a trap of a `Proxy` throws
 */
export const frozenJson = (input: unknown): unknown => {
  let values = 0
  let characters = 0

  const text = (given: string, path: string): string => {
    characters += given.length
    if (characters > RECORD_LIMITS.characters) throw new NotJson(path, `at most ${RECORD_LIMITS.characters} characters`)
    return given
  }

  const copy = (value: unknown, path: string, depth: number): unknown => {
    values += 1
    if (values > RECORD_LIMITS.values) throw new NotJson(path, `at most ${RECORD_LIMITS.values} values`)
    if (typeof value === "string") return text(value, path)
    if (value === null || typeof value === "boolean") return value
    if (typeof value === "number" && Number.isFinite(value)) return value
    if (typeof value !== "object") throw new NotJson(path, "JSON")
    // A cycle ends here, too.
    if (depth === RECORD_LIMITS.depth) throw new NotJson(path, `at most ${RECORD_LIMITS.depth} levels deep`)
    const isList = Array.isArray(value)
    if (!isList && !isPlain(value)) throw new NotJson(path, "a plain object")
    const names = isList ? Array.from({ length: listLength(value, path) }, (_, at) => `${at}`) : Object.keys(value)
    if (names.length > RECORD_LIMITS.values) throw new NotJson(path, `at most ${RECORD_LIMITS.values} values`)
    const entries: [string, unknown][] = []
    for (const name of names) {
      const inner = pathTo(path, name)
      if (name === "__proto__") throw new NotJson(inner, "absent: no name of a field")
      const property = Object.getOwnPropertyDescriptor(value, text(name, inner))
      if (property === undefined || !("value" in property)) throw new NotJson(inner, "a value of its own, no accessor")
      if (property.value !== undefined || isList) entries.push([name, copy(property.value, inner, depth + 1)])
    }
    // `fromEntries` defines properties: no name of one reaches a prototype's setter.
    return Object.freeze(isList ? entries.map(([, element]) => element) : Object.fromEntries(entries))
  }
  return copy(input, "", 0)
}

/** The path of a field within another. Names come from outside: cut, and without control characters. */
export const pathTo = (path: string, name: string): string => {
  const shown = name.slice(0, 64).replace(/[^\w.-]/g, "?")
  return (path === "" ? shown : `${path}.${shown}`).slice(0, 200)
}

const listLength = ({ length }: { readonly length: number }, path: string): number => {
  // Looked at before anything is allocated: `new Array(4e9)` is cheap to send.
  if (length > RECORD_LIMITS.values) throw new NotJson(path, `at most ${RECORD_LIMITS.values} values`)
  return length
}

/** An object literal of any realm, or one without a prototype. */
const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
