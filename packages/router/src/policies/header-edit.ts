import { headerValue } from "@project-ingress/forward"
import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { connectionFields, isToken, withoutCookies } from "@project-ingress/forward/internal"
import { PolicyMistake } from "./policy-error.ts"

/** Fields of a request or a response, for a policy to change. Names are compared without case. */
export interface HeaderEdit {
  /** The first value of a field. */
  readonly get: (name: string) => string | undefined
  /**
   * Replaces every line of a field by one.
   *
   * @throws {TypeError} if the name or the value is no HTTP field (RFC 9110 §5), or the field belongs to the hop or to framing
   */
  readonly set: (name: string, value: string) => void
  /** Adds a line, as `Set-Cookie` wants. Throws as `set` does. */
  readonly append: (name: string, value: string) => void
  /** Takes every line of a field out. Throws a `TypeError` for one that belongs to framing. */
  readonly remove: (name: string) => void
  /** Takes the lines of a field out whose value `matches`; leaves the others byte for byte. Throws as `remove` does. */
  readonly removeLines: (name: string, matches: (value: string) => boolean) => void
  /** Takes a cookie out of a request's `Cookie` lines, or with `name*` all that begin so; leaves the others byte for byte. */
  readonly removeCookie: (name: string) => void
}

// RFC 9110 §5.5 without obs-text, which nothing generated needs.
const VALUE = /^[\t\x20-\x7e]*$/

/** Ends at a hop or frames the message (RFC 9110 §7.6.1, RFC 9112 §6): the engine's own. */
const framing = new Set([...connectionFields, "content-length", "host"])

/** An edit of a copy of `list`, and the fields as they are after it: `list` itself, as long as nothing was changed. */
export const headerEdit = (
  list: HeaderList,
  names: HopHeaderNames,
): { readonly edit: HeaderEdit; readonly fields: () => HeaderList } => {
  // Most requests are not edited, and then nothing is copied.
  let parts: Parts | undefined
  const open = (): Parts => (parts ??= apart(list, names.family))
  const check = (name: string, value: string): void => {
    if (!isToken(name)) throw new PolicyMistake("a policy set a field whose name is not a token")
    if (!VALUE.test(value)) throw new PolicyMistake(`a policy set ${name} to a value with a forbidden character`)
    if (framing.has(name.toLowerCase()) || isOf(names.family, name)) {
      throw new PolicyMistake(`a policy set ${name}, which belongs to the connection or to the hop`)
    }
  }
  const edit: HeaderEdit = {
    get: (name) => headerValue(open().fields, name.toLowerCase()),
    set: (name, value) => {
      check(name, value)
      edit.remove(name)
      open().fields.push(name, value)
    },
    append: (name, value) => {
      check(name, value)
      open().fields.push(name, value)
    },
    remove: (name) => edit.removeLines(name, () => true),
    removeLines: (name, matches) => {
      const removed = name.toLowerCase()
      if (framing.has(removed)) throw new PolicyMistake(`a policy removed ${name}, which belongs to the connection`)
      if (parts === undefined && headerValue(list, removed) === undefined) return
      removeAll(open().fields, removed, matches)
    },
    removeCookie: (name) => {
      const now = open()
      const out: string[] = []
      for (let i = 0; i < now.fields.length; i += 2) {
        const [field, value] = [now.fields[i]!, now.fields[i + 1]!]
        const kept = field.length === 6 && field.toLowerCase() === "cookie" ? withoutCookies(value, [name]) : value
        if (kept !== undefined) out.push(field, kept)
      }
      now.fields = out
    },
  }
  return { edit, fields: () => (parts === undefined ? list : [...parts.fields, ...parts.ours]) }
}

/** The fields that a policy may see, and the hop's own, which stay out of reach: a policy neither reads a ticket nor takes one out. */
interface Parts {
  fields: string[]
  readonly ours: readonly string[]
}

const apart = (list: HeaderList, family: string): Parts => {
  const fields: string[] = []
  const ours: string[] = []
  for (let i = 0; i < list.length; i += 2) (isOf(family, list[i]!) ? ours : fields).push(list[i]!, list[i + 1]!)
  return { fields, ours }
}

const isOf = (family: string, name: string): boolean =>
  name.length >= family.length && name.slice(0, family.length).toLowerCase() === family

/** Takes the lines of a field out whose value matches, in place. */
const removeAll = (fields: string[], lower: string, matches: (value: string) => boolean): void => {
  let kept = 0
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    if (name.length === lower.length && name.toLowerCase() === lower && matches(fields[i + 1]!)) continue
    fields[kept] = name
    fields[kept + 1] = fields[i + 1]!
    kept += 2
  }
  fields.length = kept
}
