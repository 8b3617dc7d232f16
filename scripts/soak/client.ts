/** How a soak sends its requests: the same ones by every way into a router. */
import type { Said } from "./judge.ts"

/** One request, whatever the protocol. */
export interface ClientRequest {
  /** The authority that it is for. */
  readonly host: string
  readonly method: "GET" | "HEAD" | "POST"
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** Without the length of its body. */
  readonly chunked?: boolean
  /** The client leaves: `upload` with half of the body sent, `download` at the first byte of a response's body. */
  readonly leaves?: "upload" | "download"
}

/** A WebSocket that was opened; messages are texts. */
export interface ClientWebSocket {
  readonly send: (text: string) => void
  /** Called for each message, until `close`; with `undefined` if the WebSocket ended. */
  onMessage: (text: string | undefined) => void
  readonly close: () => void
}

/** Many requests at once over few connections, as those of a CDN are. */
export interface Client {
  /** Resolves with what the response said; `undefined` if there was none, because the connection broke or the client left. */
  readonly send: (request: ClientRequest) => Promise<Said | undefined>
  /** Resolves with the WebSocket, with a response in its place, or with `undefined`. */
  readonly webSocket: (
    request: Pick<ClientRequest, "host" | "headers">,
  ) => Promise<{ readonly opened: ClientWebSocket } | { readonly refused: Said } | undefined>
  readonly dispose: () => void
}

/** What is kept of a body: more than any honest response has. A hostile one is read to its end all the same. */
export const KEPT_BYTES = 65_536

/** What a client of an upload sends before it leaves, and how long it waits until then, in ms. */
export const LEAVES_MS = 5
