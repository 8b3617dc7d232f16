/** Every way in which a change of DNS records can be refused or fail. Distinguished by `_tag`. No message holds a secret. */
export type DnsError = RecordInvalid | RecordInUse | DnsFailed

/** A record cannot be written like that. Nothing was changed. */
export class RecordInvalid extends Error {
  readonly _tag = "RecordInvalid"
  override readonly name = "RecordInvalid"
  readonly record: string
  readonly field: "name" | "type" | "content" | "ttl"
  /** What is accepted there, as a noun phrase. */
  readonly accepted: string
  constructor(fields: {
    readonly record: string
    readonly field: RecordInvalid["field"]
    readonly accepted: string
    readonly cause?: unknown
  }) {
    super(`${shown(fields.record)}: ${fields.field} must be ${fields.accepted}`, { cause: fields.cause })
    this.record = fields.record
    this.field = fields.field
    this.accepted = fields.accepted
  }
}

/** The name has a record that is not ours, and would be changed, or would lead the name to two places. Nothing was changed. */
export class RecordInUse extends Error {
  readonly _tag = "RecordInUse"
  override readonly name = "RecordInUse"
  readonly provider: string
  readonly record: string
  constructor(fields: { readonly provider: string; readonly record: string }) {
    super(`${fields.provider}: ${shown(fields.record)} has a record that was not made here`)
    this.provider = fields.provider
    this.record = fields.record
  }
}

/** The provider could not be reached, or failed. It is unknown what it carried out. */
export class DnsFailed extends Error {
  readonly _tag = "DnsFailed"
  override readonly name = "DnsFailed"
  readonly provider: string
  /** The end of a sentence: "HTTP 500", "the zone was edited by hand". Holds nothing of a secret. */
  readonly reason: string
  /** How long the provider asks to wait before the next call, in ms. */
  readonly retryAfterMs: number | undefined
  constructor(fields: {
    readonly provider: string
    readonly reason: string
    readonly retryAfterMs?: number | undefined
    readonly cause?: unknown
  }) {
    super(`${fields.provider}: ${fields.reason}`, { cause: fields.cause })
    this.provider = fields.provider
    this.reason = fields.reason
    this.retryAfterMs = fields.retryAfterMs
  }
}

/** A name may be anything that a client sent. */
const shown = (name: string): string => JSON.stringify(name.slice(0, 253))
