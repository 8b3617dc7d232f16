/**
 * Sends one request on, on Workers and wherever nothing better is known: the runtime's own `fetch`. The `Response` is the
 * runtime's own object and must stay it: a copy loses its `webSocket` and decodes its body.
 */
import { notOpen } from "./handshake.ts"
import type { Handshake, HandshakeResponse } from "./handshake.ts"
import { failureText, fetchGiven, fetchOutgoing, SendFailure, toHeaders } from "./outgoing-request.ts"
import type { OutgoingRequest } from "./outgoing-request.ts"

export { SendFailure } from "./outgoing-request.ts"
export type { Handshake, HandshakeResponse } from "./handshake.ts"
export type { OutgoingRequest, SendFailureKind } from "./outgoing-request.ts"

/** Resolves with the response, whatever its status. Rejects with `SendFailure`, or with the signal's reason. */
export const forwardFetch = (outgoing: OutgoingRequest): Promise<Response> => {
  if (outgoing.fetch !== undefined) return fetchGiven(outgoing)
  const headers = toHeaders(outgoing.headers)
  const { uncached } = outgoing
  if (uncached === undefined || !knowsCache()) return fetchOutgoing(outgoing, { headers }, translate)
  for (const name of ["cache-control", "pragma"]) {
    headers.set(uncached.tunnel + name, headers.get(name) ?? "")
    headers.delete(name)
  }
  return fetchOutgoing(outgoing, { headers, cache: "no-store" }, translate)
}

let cacheIsKnown: boolean | undefined

/** Whether `cache` may be given: with a compatibility date before 2024-11-11 workerd throws for it. */
const knowsCache = (): boolean => {
  if (cacheIsKnown === undefined) {
    try {
      cacheIsKnown = new Request("http://localhost", { cache: "no-store" }).cache === "no-store"
    } catch {
      cacheIsKnown = false
    }
  }
  return cacheIsKnown
}

/** Resolves with the response to a WebSocket handshake. Rejects with `SendFailure`, or with the signal's reason. */
export const forwardConnect = async (handshake: Handshake): Promise<HandshakeResponse> => {
  const rest = handshake.headers.filter((_, i, all) => !/^(?:connection|upgrade)$/i.test(all[i - (i % 2)]!))
  const headers = [...rest, "Connection", "Upgrade", "Upgrade", "websocket"]
  const response = await forwardFetch({ ...handshake, headers, method: "GET", body: null, upgrade: true })
  const socket = (response as { readonly webSocket?: (WebSocket & { accept(): void }) | null }).webSocket ?? undefined
  return {
    // A 101 without a socket is of no use.
    status: response.status === 101 && socket === undefined ? 502 : response.status,
    headers: response.headers,
    socket,
    accept: () => {
      if (socket === undefined) return notOpen()
      socket.binaryType = "arraybuffer"
      // workerd leaves it empty.
      Object.defineProperty(socket, "protocol", { value: response.headers.get("sec-websocket-protocol") ?? "" })
      // Nothing is read before it.
      socket.accept()
      return socket
    },
    response,
  }
}

// workerd says `Network connection lost.` for a refused, a reset and a half-closed connection alike.
const translate = (cause: unknown): SendFailure => {
  const text = failureText(cause)
  if (/connection lost|connection (?:was )?(?:reset|closed)|disconnected/i.test(text)) {
    return new SendFailure("reset", "maybe", cause)
  }
  if (/connection refused/i.test(text)) return new SendFailure("refused", "no", cause)
  return new SendFailure("other", "maybe", cause)
}
