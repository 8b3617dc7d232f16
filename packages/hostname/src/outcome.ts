/** A well-formed `Host` that this grammar does not own: another domain, the apex, a reserved name, an IP literal. */
export interface HostnameForeign {
  readonly _tag: "HostnameForeign"
  /** The `Host` as sent, at most 260 octets. */
  readonly host: string
}

/**
 * The part of a hostname that was found wrong first, in the order of this list. `"port"` is also the place of a service
 * name, because `4096` and `opencode` stand in the same spot. `"authority"` is everything outside the labels: forbidden
 * characters, `:port`, a name over 253 octets, the local part of an address.
 */
export type HostnamePart = "authority" | "labels" | "port" | "machine" | "slug"

/** A name that can be nobody's: answer 400. Plain data, not an `Error`: a stack would cost more than the whole parse. */
export interface HostnameMalformed {
  readonly _tag: "HostnameMalformed"
  /** What was refused, as sent, cut at 260 UTF-16 units. Untrusted: escape it before it reaches HTML or a terminal. */
  readonly host: string
  readonly part: HostnamePart
  /** One English sentence. It may quote the name. */
  readonly reason: string
}

/** RFC 1035 §2.3.4 allows 253 octets of text; then a root dot and `:65535`. No valid authority is longer. */
export const MAX_AUTHORITY = 260

export const foreign = (host: string): HostnameForeign => ({ _tag: "HostnameForeign", host })

export const malformed = (host: string, part: HostnamePart, reason: string): HostnameMalformed => ({
  _tag: "HostnameMalformed",
  host: host.slice(0, MAX_AUTHORITY),
  part,
  reason,
})

/** What stands in `part` is `text`, and `accepted` should. */
export const refused = (host: string, part: HostnamePart, text: string, accepted: string): HostnameMalformed =>
  malformed(host, part, `"${text}" is not ${accepted}.`)
