/** Sends one request on, on Bun: its own `fetch`, without decoding. (Bun puts a stub in undici's place.) */
import { failureCode } from "../failure-code.ts"
import { opened, refusal, socketOptions } from "./handshake.ts"
import type { Handshake, HandshakeResponse } from "./handshake.ts"
import {
  checkHost,
  failureText,
  fetchGiven,
  fetchOutgoing,
  SendFailure,
  toHeaders,
  withoutOwnCoding,
} from "./outgoing-request.ts"
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
export const forwardConnect = async (handshake: Handshake): Promise<HandshakeResponse> => {
  if (handshake.fetch !== undefined) throw new SendFailure("unsupported", "no")
  const { url, headers, protocols } = socketOptions(handshake)
  checkHost(handshake)
  // Bun's constructor takes headers, which no standard knows.
  const options = { headers: Object.fromEntries(headers), protocols } as unknown as string[]
  return opened(
    () => new WebSocket(url, options),
    handshake,
    () => undefined,
    (event) => {
      const cause = (event as ErrorEvent).error as unknown
      const status = /status code: (\d{3})/.exec(failureText(cause))?.[1]
      return status === undefined ? translate(cause) : refusal(Number(status), undefined)
    },
  )
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
