import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import type { GeneratedResponse } from "@project-ingress/forward"
import { kindOf } from "@project-ingress/forward/internal"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import { clientAddressOf } from "../program/sender.ts"
import type { ClientIdentity } from "./client-identity.ts"
import { isResponse, requestFrom, responseOf } from "./request-response.ts"
import type { RouterEngine } from "./router-engine.ts"
import type { HostResponses } from "./sockets.ts"
import { upgradeMessage } from "./upgrade-message.ts"

/** Whose request a fallback gets. Addresses in one notation: IPv6 as of RFC 5952, IPv4 as four decimal numbers. */
export interface FallbackClient {
  /** The client's IP address: the peer's, unless a trusted proxy names another. `undefined` where nobody trusted says it. */
  readonly clientAddress: string | undefined
  /** The IP address of whoever connected: the client, or the nearest proxy. */
  readonly peerAddress: string | undefined
}

/** Who serves hostnames that are not the router's. */
export interface FallbackOptions {
  /**
   * Serves hostnames that are not the router's. If it throws, the response is a 500. Default: 404.
   *
   * The request is what an app would get: its URL and `Host` are those that were asked for, and the fields in which a client
   * claims its own identity (`X-Forwarded-*`, `Forwarded`, `X-Real-IP`, `x-iterate-*`) are replaced by ours.
   */
  readonly fallback?: (request: Request, client: FallbackClient) => Response | Promise<Response>
  /**
   * Takes WebSocket handshakes for hostnames that are not the router's, as `handleUpgrade` of `ws` does:
   * `(request, socket, head) => webSockets.handleUpgrade(request, socket, head, onConnection)`. The socket is its own from then on,
   * and the response its own to write; `head` is what the client sent after its handshake. The request's fields are those that
   * `fallback` would get. If it throws or rejects, the connection breaks. Default: `fallback`, which can only refuse.
   */
  readonly fallbackUpgrade?: (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    client: FallbackClient,
  ) => void | Promise<void>
}

const clientOf = ({ peerAddress }: IncomingRequest, { clientAddress }: ClientIdentity): FallbackClient => ({
  clientAddress,
  peerAddress: clientAddressOf(peerAddress),
})

/** Responds for hostnames that are not the router's. Never throws. */
export const fallbackOf = (
  options: FallbackOptions,
  { program: { headerNames }, own, report, failure }: RouterEngine,
): HostResponses["fallback"] => {
  const respond = async (
    fallback: NonNullable<FallbackOptions["fallback"]>,
    request: IncomingRequest,
    identity: ClientIdentity,
  ): Promise<GeneratedResponse> => {
    const made = requestFrom(request, identity, { headerNames, body: true })
    // The engine lets no method pass that Fetch refuses.
    if (made === undefined) return own("HostnameMalformed", request)
    try {
      const response: unknown = await fallback(made, clientOf(request, identity))
      if (!isResponse(response)) throw new TypeError(`fallback must give a Response, got ${kindOf(response)}`)
      return responseOf(response)
    } catch (cause) {
      report("ProxyFailed", cause)
      return failure("ProxyFailed", request)
    }
  }
  const { fallback, fallbackUpgrade } = options
  return (request, identity) => {
    if (fallbackUpgrade !== undefined && request.head.upgrade) {
      const message = upgradeMessage(request, identity, headerNames)
      const client = clientOf(request, identity)
      return {
        takeOver: (socket, head) => fallbackUpgrade(message(socket), socket, Buffer.from(head), client),
      }
    }
    return fallback === undefined ? own("RouteNotFound", request) : respond(fallback, request, identity)
  }
}
