/** Who this project's proxies are in `Via` and `Proxy-Status`. */
export const pseudonyms = { router: "ingress-router", machineProxy: "ingress-machine" } as const

/**
 * A `Proxy-Status` (RFC 9209 §2: a list of RFC 9651) of an app's or of a proxy behind it, without the members that name one of our
 * proxies but `except`: an app must not speak in our name. `undefined` if nothing is left, and for a text with an open quote,
 * which the next line of the field could close. Linear in its length.
 */
export const withoutOwnStatus = (value: string, except?: string): string | undefined => {
  if (!CLOSED.test(value)) return undefined
  const members = value.match(MEMBERS) ?? []
  const others = members.map((member) => member.trim()).filter((member) => member !== "" && !isOurs(member, except))
  return others.length === 0 ? undefined : others.join(", ")
}

/** Every quoted string has its end. */
const CLOSED = /^(?:[^"]|"(?:[^"\\]|\\.)*")*$/
/** The parts between commas that are not in a quoted string. */
const MEMBERS = /(?:[^,"]|"(?:[^"\\]|\\.)*")+/g
/** A member's name, a string or a token, before its parameters. */
const NAME = /^(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))/

// In any case: tokens are case-sensitive, and people who read them are not.
const isOurs = (member: string, except: string | undefined): boolean => {
  const [, quoted, token] = NAME.exec(member)!
  const name = (quoted?.replaceAll(/\\(.)/g, "$1") ?? token!).toLowerCase()
  return name !== except && ours.has(name)
}

const ours: ReadonlySet<string> = new Set(Object.values(pseudonyms))
