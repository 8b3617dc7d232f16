/** A record of DNS. */
export interface DnsRecord {
  /** The full name in lower case, without a final dot, in punycode: `llm.internal.example.com`. The first label may be `*`. */
  readonly name: string
  readonly type: "A" | "AAAA" | "CNAME" | "TXT"
  /** An address, a full name, or text of at most 2 048 characters of visible ASCII and spaces. */
  readonly content: string
  /** How long resolvers may keep it, in s, 60 to 86 400. Default: the provider's own. */
  readonly ttl?: number
}

/** Options of a call to a provider. */
export interface DnsCallOptions {
  /** Ends the call, which then rejects with its reason. What was sent may have been carried out. */
  readonly signal?: AbortSignal
}

/**
 * Where the records of a zone are kept. Implemented by provider authors: `list` and `put` are all that it takes.
 *
 * A provider marks the records that it made, and only those are ours: no other is listed, changed or removed.
 */
export interface DnsProvider {
  /** `cloudflare` */
  readonly name: string
  /** The records of ours: of one name, or of the zone. Rejects with `DnsFailed`. */
  list(name?: string, options?: DnsCallOptions): Promise<readonly DnsRecord[]>
  /**
   * Makes `records` the records of ours that a name has; an empty array removes them. All of them are changed or none, and the same
   * call again changes nothing. Rejects with `RecordInUse`, `RecordInvalid` or `DnsFailed`; after `DnsFailed` it is unknown
   * what the provider carried out, and the call may be made again.
   */
  put(name: string, records: readonly DnsRecord[], options?: DnsCallOptions): Promise<void>
}
