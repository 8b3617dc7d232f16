/** Sends one request on, on Bun: its own `fetch`, told not to decode. (Bun puts a stub in undici's place.) */
import { failureCode, fetchOutgoing, SendFailure, toHeaders, withoutOwnCoding } from "./outgoing.ts"
import type { Outgoing } from "./outgoing.ts"

export { checkedOrigin, SendFailure, toHeaders } from "./outgoing.ts"
export type { Outgoing, SendFailureKind } from "./outgoing.ts"

/** Resolves with the answer, whatever its status. Rejects with `SendFailure`, or with the signal's reason. */
export const forwardFetch = async (outgoing: Outgoing): Promise<Response> => {
  if (outgoing.upgrade === true) throw new SendFailure("unsupported", "no")
  const headers = withoutOwnCoding(toHeaders(outgoing.headers))
  // Bun alone sends a caller's Host: on a platform that routes by it, that reaches somebody else's machine.
  headers.delete("host")
  // `timeout: false`: Bun's own one of 5 minutes would also cut bodies.
  return fetchOutgoing(outgoing, { headers, decompress: false, timeout: false } as RequestInit, translate)
}

const translate = (cause: unknown): SendFailure => {
  const code = failureCode(cause)
  switch (code) {
    case "ECONNREFUSED":
    case "ConnectionRefused":
      return new SendFailure("refused", "no", cause)
    case "ECONNRESET":
    case "EPIPE":
    case "ConnectionClosed":
      return new SendFailure("reset", "maybe", cause)
    case "ETIMEDOUT":
    case "ConnectionTimeout":
    case "Timeout":
      return new SendFailure("timeout", "maybe", cause)
    case "ENOTFOUND":
    case "FailedToOpenSocket":
    case "DNSResolutionFailed":
      return new SendFailure("other", "no", cause)
    default:
      return new SendFailure("other", "maybe", cause)
  }
}
