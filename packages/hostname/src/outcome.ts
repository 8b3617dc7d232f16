/** A well-formed `Host` outside this grammar: another domain, the apex, a reserved name, an IP literal. */
export interface HostnameForeign {
  readonly _tag: "HostnameForeign"
  /** The `Host` as sent, at most 260 bytes. Untrusted text. */
  readonly host: string
}

/**
 * The first part of a hostname that is invalid, checked in the order of this list. `"port"` is also the place of a
 * service name, because `4096` and `opencode` have the same position. `"authority"` is everything outside the labels:
 * forbidden characters, `:port`, a name over 253 bytes, the local part of an e-mail address.
 */
export type HostnamePart = "authority" | "labels" | "port" | "machine" | "slug"

/** An invalid hostname: respond with 400. Plain data, not an `Error`: a stack would cost more than the whole parse. */
export interface HostnameMalformed {
  readonly _tag: "HostnameMalformed"
  /** The value as sent, cut at 260 UTF-16 code units. Untrusted: escape it before it reaches HTML or a terminal. */
  readonly host: string
  readonly part: HostnamePart
  /** One English sentence. It may quote the name, so it is untrusted as well. */
  readonly reason: string
}

/** RFC 1035 §2.3.4 allows 253 bytes of text; then a root dot and `:65535`. No valid authority is longer. */
export const MAX_AUTHORITY = 260

export const foreign = (host: string): HostnameForeign => ({ _tag: "HostnameForeign", host })

export const malformed = (host: string, part: HostnamePart, reason: string): HostnameMalformed => ({
  _tag: "HostnameMalformed",
  host: host.slice(0, MAX_AUTHORITY),
  part,
  reason,
})

/** `part` is `text`, which is not `accepted`. */
export const malformedPart = (host: string, part: HostnamePart, text: string, accepted: string): HostnameMalformed =>
  malformed(host, part, `"${text}" is not ${accepted}.`)
