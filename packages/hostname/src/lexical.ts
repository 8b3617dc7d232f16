// The smallest pieces of the grammar. Every host on the internet can send these strings: each check is one pass. Char
// codes, because they take half the time of a regular expression on text this short.

/** RFC 1035 §2.3.4. */
export const MAX_LABEL = 63
/** RFC 1035 §2.3.4: 255 octets on the wire are 253 in text, without the root dot. */
export const MAX_NAME = 253

/** What the checks below accept, in words. */
export const PORT = "a port from 1 to 65535"
export const NAME = "lower-case letters, digits and single inner hyphens, not only digits"
export const LABEL = "lower-case letters, digits and single inner - or _"

/** The decimal port that `text` spells, or 0. No sign, no leading zero: one port has one spelling. */
export const readPort = (text: string): number => {
  let port = 0
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48
    if (digit < 0 || digit > 9 || port + digit === 0) return 0
    port = port * 10 + digit
    if (port > 65535) return 0
  }
  return port
}

export const isPort = (value: number): boolean => value > 0 && readPort(`${value}`) === value

/**
 * Letters and digits joined by single hyphens or `also`: no `--`, no `__`, no edge. 0 if it is not so, 1 if
 * there are only digits, else 2.
 */
export const joined = (text: string, from: number, also: number): number => {
  let found = 1
  let inner = 0
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code > 96 && code < 123) found = inner = 2
    else if (code > 47 && code < 58) inner = 1
    else if (inner === 0 || (code !== 45 && code !== also)) return 0
    else {
      // `2024-01` can be no port: only digits alone are refused.
      inner = 0
      found = 2
    }
  }
  return inner && found
}

/** All digits would be a port, so neither a slug nor a service name may be. */
export const isSlug = (text: string, limit: number): boolean => text.length <= limit && joined(text, 0, 45) === 2

/** `xn` is no service name: `xn--misha` would be an internationalized label (RFC 5890 §2.3.1). */
export const isServiceName = (text: string): boolean => text !== "xn" && isSlug(text, MAX_LABEL)

/** The prefix holds `_`, which no slug may: a machine id and a slug can never be the same string. */
export const isMachineId = (text: string, prefix: string): boolean =>
  text.startsWith(prefix) && joined(text, prefix.length, 95) > 0

/**
 * Lower-case letter-digit-hyphen labels (RFC 1123 §2.1), no root dot. The last label begins with a letter, so that no
 * domain can be read as an IPv4 address (the WHATWG URL parser takes `1.2.3.0x4` for one). `\b` beside a dot or an edge
 * keeps hyphens away from it.
 */
export const isDomain = (text: string): boolean =>
  text.length <= MAX_NAME && /^(?:\b[a-z\d-]{1,63}\b\.)*[a-z][a-z\d-]{0,62}\b$/.test(text)

/**
 * Where the first `__` or `--` begins, or -1. Browsers show `xn--bcher-kva` as `bücher`: such a label has no separator,
 * and is nobody's slug (RFC 5890 §2.3.1).
 */
export const separatorAt = (label: string): number => {
  let previous = 0
  for (let at = 0; at < label.length; at++) {
    const code = label.charCodeAt(at)
    if (code === previous && (code === 45 || code === 95)) return label.startsWith("xn--") ? -1 : at - 1
    previous = code
  }
  return -1
}
