import { RECORD_LIMITS } from "../frozen-json.ts"
import { isCount, isObject } from "../shape.ts"
import { Unreadable } from "./bytes.ts"
import type { ByteReader, ByteWriter } from "./bytes.ts"
import { readString, writeString } from "./text.ts"
import type { Dictionary } from "./text.ts"

/**
 * What many records have in common. A template is JSON: an object with its names, a value that all of them have, or what
 * follows in each record's bytes: a string, the rest of one after a prefix, an integer from 0 up, the version (which stands
 * before them), or any value.
 */
export type Template =
  | "string"
  | "integer"
  | "version"
  | "any"
  | { readonly is: Common }
  | { readonly after: string }
  | TemplateObject
type Common = string | boolean | null
interface TemplateObject {
  readonly names: readonly string[]
  readonly values: readonly Template[]
}

/** Fields whose names are data, or of which there may be any number: in a template they would make thousands of it. */
const VARYING = new Set(["services", "ports", "machines", "replicas", "rules"])

/** What ids begin with: `mach_`, `org-`. */
export const prefixOf = (text: string): string | undefined => /^[A-Za-z]{1,15}[_-]/.exec(text)?.[0]

/** The template of a record, in which the strings and prefixes of `common` are part of it. */
export const templateOf = (record: unknown, common: ReadonlySet<string>): Template => {
  const ofString = (text: string): Template => {
    if (common.has(text)) return { is: text }
    const prefix = prefixOf(text)
    return prefix !== undefined && common.has(prefix) ? { after: prefix } : "string"
  }
  const of = (value: unknown, isTop: boolean): Template => {
    if (typeof value === "string") return ofString(value)
    if (typeof value === "boolean" || value === null) return { is: value }
    if (isUnsigned(value)) return "integer"
    if (!isObject(value)) return "any"
    const entries = Object.entries(value)
    return {
      names: entries.map(([name]) => name),
      values: entries.map(([name, inner]) => {
        if (!isTop) return of(inner, false)
        if (name === "version" && isUnsigned(inner)) return "version"
        return VARYING.has(name) ? "any" : of(inner, false)
      }),
    }
  }
  return of(record, true)
}

/** Writes what a template does not say of a record that fits it. */
export const writeByTemplate = (
  out: ByteWriter,
  template: Template,
  value: unknown,
  key: string,
  dictionary: Dictionary,
): void => {
  if (template === "string") writeString(out, value as string, key, KEY_FROM, dictionary)
  else if (template === "integer") out.integer(value as number)
  else if (template === "any") writeAny(out, value, key, dictionary)
  else if (typeof template === "object" && "after" in template) {
    const { length } = template.after
    writeString(out, (value as string).slice(length), key, KEY_FROM + length, dictionary)
  } else if (typeof template === "object" && "names" in template) {
    const fields = value as Readonly<Record<string, unknown>>
    for (const [at, name] of template.names.entries()) {
      writeByTemplate(out, template.values[at]!, fields[name], key, dictionary)
    }
  }
}

/** What follows `p:`, `m:` or `d:` in a key may be in its record, too. */
const KEY_FROM = 2

/** How a value of any kind begins. */
const [NULL, FALSE, TRUE, INTEGER, FLOAT, STRING, LIST, OBJECT] = [0, 1, 2, 3, 4, 5, 6, 7] as const

const writeAny = (out: ByteWriter, value: unknown, key: string, dictionary: Dictionary): void => {
  if (value === null) out.byte(NULL)
  else if (typeof value === "boolean") out.byte(value ? TRUE : FALSE)
  else if (isUnsigned(value)) {
    out.byte(INTEGER)
    out.integer(value)
  } else if (typeof value === "number") {
    out.byte(FLOAT)
    out.float(value)
  } else if (typeof value === "string") {
    out.byte(STRING)
    writeString(out, value, key, KEY_FROM, dictionary)
  } else if (Array.isArray(value)) {
    out.byte(LIST)
    out.integer(value.length)
    for (const element of value) writeAny(out, element, key, dictionary)
  } else {
    const entries = Object.entries(value as object)
    out.byte(OBJECT)
    out.integer(entries.length)
    for (const [name, inner] of entries) {
      writeString(out, name, key, KEY_FROM, dictionary)
      writeAny(out, inner, key, dictionary)
    }
  }
}

/**
 * Reads a record.
 *
 * @throws {Unreadable} for bytes that no record is written as, and beyond the limits of one
 */
export const readRecord = (
  input: ByteReader,
  template: Template,
  version: number,
  key: string,
  listed: readonly string[],
): unknown => {
  let values = 0
  let length = 0

  const string = (keyFrom = KEY_FROM): string => {
    const text = readString(input, key, keyFrom, listed)
    length += text.length
    if (length > RECORD_LIMITS.characters) throw new Unreadable("too many characters")
    return text
  }

  const any = (depth: number): unknown => {
    values += 1
    if (values > RECORD_LIMITS.values || depth > RECORD_LIMITS.depth) throw new Unreadable("too many values")
    switch (input.byte()) {
      case NULL:
        return null
      case FALSE:
        return false
      case TRUE:
        return true
      case INTEGER:
        return input.integer()
      case FLOAT:
        return input.float()
      case STRING:
        return string()
      case LIST: {
        const list: unknown[] = []
        for (let left = input.integer(); left > 0; left--) list.push(any(depth + 1))
        return list
      }
      case OBJECT: {
        const fields: Record<string, unknown> = {}
        for (let left = input.integer(); left > 0; left--) set(fields, string(), any(depth + 1))
        return fields
      }
      default:
        throw new Unreadable("a value of no kind")
    }
  }

  const by = (template: Template, depth: number): unknown => {
    if (template === "string") return string()
    if (template === "integer") return input.integer()
    if (template === "version") return version
    if (template === "any") return any(depth)
    if ("is" in template) return template.is
    if ("after" in template) return template.after + string(KEY_FROM + template.after.length)
    const fields: Record<string, unknown> = {}
    const { names, values: inner } = template
    for (let at = 0; at < names.length; at++) set(fields, names[at]!, by(inner[at]!, depth + 1))
    return fields
  }
  return by(template, 0)
}

/** A field, whatever its name: `__proto__` reaches no prototype. */
const set = (fields: Record<string, unknown>, name: string, value: unknown): void => {
  if (name === "__proto__") throw new Unreadable("a name that no field has")
  fields[name] = value
}

/** Whether parsed JSON is a template, so that reading by it cannot fail for any other reason than the bytes. */
export const isTemplate = (value: unknown, depth = 0): value is Template => {
  if (typeof value === "string") return ["string", "integer", "version", "any"].includes(value)
  if (!isObject(value) || depth > RECORD_LIMITS.depth) return false
  if ("is" in value) return typeof value["is"] === "string" || typeof value["is"] === "boolean" || value["is"] === null
  if ("after" in value) return typeof value["after"] === "string"
  const { names, values } = value
  return (
    Array.isArray(names) &&
    Array.isArray(values) &&
    names.length === values.length &&
    names.every((name) => typeof name === "string" && name !== "__proto__") &&
    values.every((inner) => isTemplate(inner, depth + 1))
  )
}

/** What is read back as the same integer: not -0, of which no byte would tell. */
const isUnsigned = (value: unknown): value is number => isCount(value) && !Object.is(value, -0)
