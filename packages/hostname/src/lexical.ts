// The smallest pieces of the grammar. Anybody on the internet can send these strings: each check is one pass. Character
// codes, because they take half the time of a regular expression on text this short.

/** RFC 1035 §2.3.4. */
export const MAX_LABEL = 63
/** RFC 1035 §2.3.4: 255 bytes on the wire are 253 in text, without the root dot. */
export const MAX_NAME = 253

/** What the checks below accept, for error messages: "…must be a port from 1 to 65535". */
export const PORT = "a port from 1 to 65535"
export const NAME = "lower-case letters, digits and single inner hyphens, not only digits"
export const LABEL = "lower-case letters, digits and single inner - or _"

/** The port that `text` is in decimal, or 0. No sign, no leading zero: each port has one spelling. */
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

/** Whether a value of any type is a port number: an integer from 1 to 65535. */
export const isPort = (value: unknown): value is number =>
  typeof value === "number" && value > 0 && readPort(`${value}`) === value

/**
 * Classifies a label from index `from` on: 0 if it is invalid, 1 if it is digits only, else 2. Valid are letters and
 * digits joined by single hyphens or by the character code `also`, without `--`, `__`, and neither at an edge.
 */
export const labelClass = (text: string, from: number, also: number): 0 | 1 | 2 => {
  let found: 1 | 2 = 1
  let inner = false
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code > 96 && code < 123) {
      inner = true
      found = 2
    } else if (code > 47 && code < 58) inner = true
    else if (!inner || (code !== 45 && code !== also)) return 0
    else {
      // `2024-01` cannot be a port: only digits alone are.
      inner = false
      found = 2
    }
  }
  return inner ? found : 0
}

/** Digits only would be a port, so neither a slug nor a service name may be digits only. */
export const isSlug = (text: string, limit: number): boolean => text.length <= limit && labelClass(text, 0, 45) === 2

/** `xn` is not a service name: `xn--misha` would be an internationalized label (RFC 5890 §2.3.1). */
export const isServiceName = (text: string): boolean => text !== "xn" && isSlug(text, MAX_LABEL)

/** The prefix contains `_`, which no slug may: a machine id and a slug can never be the same string. */
export const isMachineId = (text: string, prefix: string): boolean =>
  text.startsWith(prefix) && labelClass(text, prefix.length, 95) > 0

/**
 * Whether a text is a domain: lower-case letter-digit-hyphen labels (RFC 1123 §2.1), no root dot. The last label begins
 * with a letter, so that no domain can be read as an IPv4 address (the WHATWG URL parser reads `1.2.3.0x4` as one).
 * `\b` beside a dot or an edge allows no hyphen there.
 */
export const isDomain = (text: string): boolean =>
  text.length <= MAX_NAME && /^(?:\b[a-z\d-]{1,63}\b\.)*[a-z][a-z\d-]{0,62}\b$/.test(text)

/**
 * The index of the first `__` or `--`, or -1. Browsers show `xn--bcher-kva` as `bücher`: such a label has no separator,
 * and is never a slug (RFC 5890 §2.3.1).
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
