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

/** An edit of a copy of `list`, and the fields as they are after it. */
export const headerEdit = (
  list: HeaderList,
  names: HopHeaderNames,
): { readonly edit: HeaderEdit; readonly fields: () => HeaderList } => {
  // The hop's own stay out of reach: a policy neither reads a ticket nor takes one out.
  const isOurs = (name: string): boolean => name.toLowerCase().startsWith(names.family)
  const ours = list.filter((_, at) => isOurs(list[at - (at % 2)]!))
  let fields = list.filter((_, at) => !isOurs(list[at - (at % 2)]!))
  const filter = (keep: (lower: string, value: string) => boolean): void => {
    const kept: string[] = []
    for (let i = 0; i < fields.length; i += 2) {
      if (keep(fields[i]!.toLowerCase(), fields[i + 1]!)) kept.push(fields[i]!, fields[i + 1]!)
    }
    fields = kept
  }
  const check = (name: string, value: string): void => {
    const lower = name.toLowerCase()
    if (!isToken(name)) throw new PolicyMistake("a policy set a field whose name is not a token")
    if (!VALUE.test(value)) throw new PolicyMistake(`a policy set ${name} to a value with a forbidden character`)
    if (framing.has(lower) || isOurs(name)) {
      throw new PolicyMistake(`a policy set ${name}, which belongs to the connection or to the hop`)
    }
  }
  const edit: HeaderEdit = {
    get: (name) => headerValue(fields, name.toLowerCase()),
    set: (name, value) => {
      check(name, value)
      edit.remove(name)
      fields.push(name, value)
    },
    append: (name, value) => {
      check(name, value)
      fields.push(name, value)
    },
    remove: (name) => edit.removeLines(name, () => true),
    removeLines: (name, matches) => {
      const removed = name.toLowerCase()
      if (framing.has(removed)) throw new PolicyMistake(`a policy removed ${name}, which belongs to the connection`)
      filter((lower, value) => lower !== removed || !matches(value))
    },
    removeCookie: (name) => {
      const out: string[] = []
      for (let i = 0; i < fields.length; i += 2) {
        if (fields[i]!.toLowerCase() !== "cookie") {
          out.push(fields[i]!, fields[i + 1]!)
          continue
        }
        const kept = withoutCookies(fields[i + 1]!, [name])
        if (kept !== undefined) out.push(fields[i]!, kept)
      }
      fields = out
    },
  }
  return { edit, fields: () => [...fields, ...ours] }
}
