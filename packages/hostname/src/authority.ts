import { MAX_LABEL, MAX_NAME, PORT, readPort } from "./lexical.ts"
import {
  foreign,
  malformed,
  malformedPart,
  MAX_AUTHORITY,
  type HostnameForeign,
  type HostnameMalformed,
  type HostnamePart,
} from "./outcome.ts"

/**
 * The lower-case name in a raw `Host`, without `:port` and root dot. RFC 9110 §7.2 calls the value
 * `uri-host [":" port]`; the port is where the client connected, never part of the name.
 */
export const readAuthority = (host: string): string | HostnameForeign | HostnameMalformed => {
  const { length } = host
  if (length > MAX_AUTHORITY) return badLength(host, "authority")
  // `[::1]:8787` is an IP literal, never a name of the grammar.
  if (host.startsWith("[") && /^\[[\da-f:.]+\](?::\d+)?$/i.test(host)) return foreign(host)
  let end = length
  let start = 0
  let upper = false
  let badLabel = false
  for (let at = 0; at < length; at++) {
    const code = host.charCodeAt(at)
    if (code > 96 && code < 123) continue
    if (code === 46) {
      badLabel ||= at === start || at - start > MAX_LABEL
      start = at + 1
    } else if (code > 64 && code < 91) upper = true
    else if (code === 58) {
      const port = host.slice(at + 1)
      if (readPort(port) === 0) return malformedPart(host, "authority", port, PORT)
      end = at
      break
    } else if (code < 43 || code === 44 || code === 47 || (code > 57 && code !== 95)) {
      // Only letters, digits and `+-._` pass. RFC 3986 §3.2.2 would allow more: `%2e`, which some decode to a dot, and
      // `,`, which two `Host` fields contain once joined. A `+` passes here and is refused later as part of a label.
      return malformed(host, "authority", "A hostname contains only letters, digits, -, _ and dots.")
    }
  }
  // One root dot is legal (RFC 1034 §3.1) and names the same host.
  const nameEnd = start === end ? end - 1 : end
  if (end === 0 || nameEnd > MAX_NAME) return badLength(host, "authority")
  if (badLabel || end - start > MAX_LABEL) return badLength(host, "labels")
  const name = host.slice(0, nameEnd)
  return upper ? name.toLowerCase() : name
}

const badLength = (host: string, part: HostnamePart): HostnameMalformed =>
  malformed(host, part, "A hostname has 1 to 253 characters, each label 1 to 63.")
