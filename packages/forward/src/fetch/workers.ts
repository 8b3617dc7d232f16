/**
 * Sends one request on, on Workers and wherever nothing better is known: the runtime's own `fetch`. The `Response` is the
 * runtime's own object and must stay it: a copy loses its `webSocket` and decodes its body.
 */
import { failureText, fetchOutgoing, SendFailure, toHeaders } from "./outgoing.ts"
import type { Outgoing } from "./outgoing.ts"

export { checkedOrigin, SendFailure, toHeaders } from "./outgoing.ts"
export type { Outgoing, SendFailureKind } from "./outgoing.ts"

/** Resolves with the answer, whatever its status. Rejects with `SendFailure`, or with the signal's reason. */
export const forwardFetch = (outgoing: Outgoing): Promise<Response> =>
  fetchOutgoing(outgoing, { headers: toHeaders(outgoing.headers) }, translate)

// workerd says `Network connection lost.` for a refused, a reset and a half-closed connection alike.
const translate = (cause: unknown): SendFailure => {
  const text = failureText(cause)
  if (/connection lost|connection (?:was )?(?:reset|closed)|disconnected/i.test(text)) {
    return new SendFailure("reset", "maybe", cause)
  }
  if (/connection refused/i.test(text)) return new SendFailure("refused", "no", cause)
  return new SendFailure("other", "maybe", cause)
}
