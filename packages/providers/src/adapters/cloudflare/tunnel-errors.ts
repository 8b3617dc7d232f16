/** A tunnel or a DNS record of that name exists already. It was not changed. */
export class TunnelConflict extends Error {
  readonly _tag = "TunnelConflict"
  /** `name`: a tunnel of the account; `hostname`: a DNS record of the zone. */
  readonly field: "name" | "hostname"
  constructor(conflict: { readonly field: "name" | "hostname"; readonly value: string }) {
    super(`the ${conflict.field} ${conflict.value} is taken`)
    this.field = conflict.field
  }
  override get name(): string {
    return this._tag
  }
}

/**
 * A tunnel was made, a later step failed, and removing it failed as well. Remove it with `deleteTunnel`, which accepts this
 * error. `cause` is the first failure.
 */
export class TunnelLeftBehind extends Error {
  readonly _tag = "TunnelLeftBehind"
  readonly id: string
  readonly hostname: string
  constructor(left: { readonly id: string; readonly hostname: string; readonly cause: unknown }) {
    super(`tunnel ${left.id} for ${left.hostname} was made in part and could not be removed`, { cause: left.cause })
    this.id = left.id
    this.hostname = left.hostname
  }
  override get name(): string {
    return this._tag
  }
}
