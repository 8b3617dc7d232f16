import type { HeaderList } from "@project-ingress/forward"
import type { SendFailure } from "@project-ingress/forward/fetch"
import type { Endpoint, Machine, AttemptResponse, AttemptRequest } from "@project-ingress/providers"
import type * as Effect from "effect/Effect"

/** The head of a request as it arrived, whatever brought it. */
export interface Inbound {
  readonly method: string
  /** The authority as sent, port included: `Host`, never a forwarded one. Untrusted. */
  readonly host: string
  /** Path and query, byte for byte as sent. */
  readonly target: string
  readonly headers: HeaderList
  readonly scheme: "http" | "https"
  /** The peer's IP address, where it is known. */
  readonly clientAddress?: string
  /** True for a WebSocket handshake; `unsupported` when the transport could not pass its answer on. */
  readonly upgrade: boolean | "unsupported"
  /** True when the client waits for `100 Continue`. Default false. */
  readonly expect?: boolean
  /** True when the transport carries trailers. Default false. */
  readonly trailers?: boolean
}

/** What goes to a machine. */
export interface Outgoing {
  readonly endpoint: Endpoint
  readonly machine: Machine
  /** All fields but `Host` and framing. */
  readonly headers: HeaderList
  /** Names of the cookies that the machine's platform sets for itself, which no client gets. */
  readonly edgeCookies?: readonly string[] | undefined
}

/** One request's way to a machine and back, by whatever moves bytes here. The body stays on its side. */
export interface Exchange<A> extends Omit<AttemptRequest<A>, "send"> {
  /** Sends the request. Called again only after `replayable` said so. */
  readonly send: (outgoing: Outgoing) => Effect.Effect<AttemptResponse<A>, SendFailure>
}

/** RFC 9110 §9.2.1: asking twice changes nothing. */
export const isSafe = (method: string): boolean => method === "GET" || method === "HEAD" || method === "OPTIONS"
