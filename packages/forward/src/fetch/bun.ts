/** Sends one request on, on Bun: its own `fetch`, without decoding. (Bun puts a stub in undici's place.) */
import { failureCode } from "../failure-code.ts"
import { openedWithHeaders } from "./handshake.ts"
import type { Handshake, HandshakeResponse } from "./handshake.ts"
import { fetchGiven, fetchOutgoing, SendFailure, toHeaders, withoutOwnCoding } from "./outgoing-request.ts"
import type { OutgoingRequest } from "./outgoing-request.ts"

export { SendFailure } from "./outgoing-request.ts"
export type { Handshake, HandshakeResponse } from "./handshake.ts"
export type { OutgoingRequest, SendFailureKind } from "./outgoing-request.ts"

/** Resolves with the response, whatever its status. Rejects with `SendFailure`, or with the signal's reason. */
export const forwardFetch = async (outgoing: OutgoingRequest): Promise<Response> => {
  if (outgoing.upgrade === true) throw new SendFailure("unsupported", "no")
  if (outgoing.fetch !== undefined) return fetchGiven(outgoing)
  const headers = withoutOwnCoding(toHeaders(outgoing.headers))
  // Bun alone sends a caller's Host: on a platform that routes by it, that reaches somebody else's machine.
  headers.delete("host")
  // `timeout: false`: Bun's own one of 5 minutes would also cut bodies.
  return fetchOutgoing(outgoing, { headers, decompress: false, timeout: false } as RequestInit, translate)
}

/** Resolves with the response to a WebSocket handshake. Rejects with `SendFailure`, or with the signal's reason. */
export const forwardConnect = (handshake: Handshake): Promise<HandshakeResponse> =>
  openedWithHeaders(handshake, translate)

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
