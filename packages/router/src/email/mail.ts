/** A mail for one recipient, as it was received. */
export interface Mail {
  /** The envelope's sender; empty for a bounce. Untrusted: whether it may speak for its domain is for the app to check. */
  readonly from: string
  /** The envelope's recipient. */
  readonly to: string
  /** The whole message (RFC 5322), byte for byte. */
  readonly raw: Uint8Array
  /** How it came. */
  readonly via: "cloudflare" | "resend"
}

/** Names a mail: the same for the same message to the same recipient, so that an app can tell a repetition. 32 hex digits. */
export const mailId = async ({ from, to, raw }: Mail): Promise<string> => {
  const envelope = new TextEncoder().encode(JSON.stringify([from, to]))
  const bytes = new Uint8Array(envelope.length + raw.length)
  bytes.set(envelope)
  bytes.set(raw, envelope.length)
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))
  return Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("")
}

/** Reads a stream of at most `maxBytes`; `undefined` if it is longer. */
export const readAtMost = async (
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array | undefined> => {
  const pieces: Uint8Array[] = []
  let length = 0
  const reader = stream.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > maxBytes) {
      reader.cancel().catch(() => {})
      return undefined
    }
    pieces.push(value)
  }
  const whole = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}
