/** Sends one request on, on Deno: its own `fetch`, whose responses are corrected where it decoded them. */
import { openedWithHeaders } from "./handshake.ts"
import type { Handshake, HandshakeResponse } from "./handshake.ts"
import { failureText, fetchGiven, fetchOutgoing, SendFailure, toHeaders, withoutOwnCoding } from "./outgoing-request.ts"
import type { OutgoingRequest } from "./outgoing-request.ts"

export { SendFailure } from "./outgoing-request.ts"
export type { Handshake, HandshakeResponse } from "./handshake.ts"
export type { OutgoingRequest, SendFailureKind } from "./outgoing-request.ts"

/** Resolves with the response, whatever its status. Rejects with `SendFailure`, or with the signal's reason. */
export const forwardFetch = async (outgoing: OutgoingRequest): Promise<Response> => {
  if (outgoing.upgrade === true) throw new SendFailure("unsupported", "no")
  if (outgoing.fetch !== undefined) return fetchGiven(outgoing)
  const headers = withoutOwnCoding(toHeaders(outgoing.headers))
  const response = await fetchOutgoing(outgoing, { headers }, translate)
  if (!decoded(headers, response) || response.body === null) return response
  const fields = new Headers(response.headers)
  fields.delete("content-encoding")
  fields.delete("content-length")
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers: fields })
}

/** Resolves with the response to a WebSocket handshake. Rejects with `SendFailure`, or with the signal's reason. */
export const forwardConnect = (handshake: Handshake): Promise<HandshakeResponse> =>
  openedWithHeaders(handshake, (cause) =>
    // All that Deno reports of a connection that could not be opened.
    /tcp connect error/i.test(failureText(cause)) ? new SendFailure("refused", "no", cause) : translate(cause),
  )

// Deno 2 decodes one coding, gzip or br, unless the request asked for a range or for `identity` alone. It leaves the
// fields as they came and has no switch for it.
const decoded = (request: Headers, response: Response): boolean =>
  /^(?:gzip|br)$/i.test(response.headers.get("content-encoding") ?? "") &&
  !request.has("range") &&
  request.get("accept-encoding")?.toLowerCase() !== "identity"

// Deno's errors have no code: hyper's text is all there is.
const translate = (cause: unknown): SendFailure => {
  const text = failureText(cause)
  const unsent = /\(Connect\)|dns error/i.test(text)
  if (unsent && /connection refused/i.test(text)) return new SendFailure("refused", "no", cause)
  if (unsent) return new SendFailure(/timed? ?out/i.test(text) ? "timeout" : "other", "no", cause)
  if (/connection closed|connection reset|broken pipe|connection error/i.test(text)) {
    return new SendFailure("reset", "maybe", cause)
  }
  return new SendFailure("other", "maybe", cause)
}
