/** Bytes of a request's body that are kept to be sent again: a call of gRPC with a small message, and not an upload. */
const MAX_KEPT = 16_384

/** What was sent of a request's body, for a connection on which the app looked at none of it. */
export class SentRequest {
  readonly pieces: Uint8Array[] = []
  size = 0
  /** True when it is all of the body. */
  ended = false

  /** False if it is too much to keep; `must`: it is kept all the same. */
  add(bytes: Uint8Array, must: boolean): boolean {
    if (!must && this.size + bytes.length > MAX_KEPT) return false
    this.size += bytes.length
    // A copy: the bytes are a view of a buffer that may be large.
    this.pieces.push(bytes.slice())
    return true
  }
}
