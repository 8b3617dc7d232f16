/** How many cookies of one name are read. A partitioned one and another of the same name may be sent together (CHIPS). */
const MAX_VALUES = 4

/** The values of a cookie in a `Cookie` field, in their order, at most 4. Names are case-sensitive (RFC 6265 §5.3). */
export const cookieValues = (field: string | undefined, name: string): readonly string[] => {
  const values: string[] = []
  if (field === undefined || !field.includes(name)) return values
  for (const pair of field.split(";")) {
    const at = pair.indexOf("=")
    if (at === -1 || withoutBlanks(pair.slice(0, at)) !== name) continue
    values.push(withoutBlanks(pair.slice(at + 1)))
    if (values.length === MAX_VALUES) break
  }
  return values
}

/**
 * Without spaces and tabs around it, the only ones that are not part of a name (RFC 6265bis §5.6). `trim` also takes off those of Unicode, which are:
 * to a browser `\u2000__Host-a` has no prefix, so that a page of any hostname of the site sets it for all of them.
 */
export const withoutBlanks = (text: string): string => {
  let [from, to] = [0, text.length]
  while (from < to && isBlank(text[from]!)) from++
  while (to > from && isBlank(text[to - 1]!)) to--
  return text.slice(from, to)
}

const isBlank = (character: string): boolean => character === " " || character === "\t"

/** How a cookie of ours is set. Without a domain it is `__Host-`: for one hostname alone, `Secure` and `Path=/` (RFC 6265bis §4.1.3.2). */
export interface CookieAttributes {
  /** In ms; 0 takes the cookie away. */
  readonly validForMs: number
  /** `framed`: sent also in frames of other sites, each site with a cookie of its own (CHIPS). */
  readonly sameSite: "Lax" | "Strict" | "framed"
  /** For this hostname and all below it. Not with a `__Host-` name. */
  readonly domain?: string
}

/** A `Set-Cookie` value. Name and value must be what needs no quotes: signed values are. */
export const setCookie = (name: string, value: string, { validForMs, sameSite, domain }: CookieAttributes): string => {
  const site = sameSite === "framed" ? "None; Partitioned" : sameSite
  const below = domain === undefined ? "" : `; Domain=${domain}`
  return `${name}=${value}; Path=/${below}; Max-Age=${Math.ceil(validForMs / 1000)}; HttpOnly; Secure; SameSite=${site}`
}
