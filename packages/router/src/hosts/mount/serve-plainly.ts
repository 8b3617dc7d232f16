import { Server } from "node:http"
import type { IncomingMessage, ServerOptions } from "node:http"
import type { Duplex } from "node:stream"
import { unread } from "./raw-request.ts"

/** What an app's server is called with, without the router. */
export interface AppEvents {
  readonly emit: (name: string | symbol, ...values: readonly unknown[]) => boolean
  readonly listenerCount: (name: string | symbol) => number
}

/**
 * Serves an upgrade as the plain request that it is to an app without an `upgrade` listener, after node:http has given its socket
 * away: by a server of its own for this one request, with the settings of the app's, that calls the app's listeners. It is node's own
 * parser that reads the request, so its body, `Expect` and errors are as without us, but the connection ends after it.
 */
export const servePlainly = (
  server: Server,
  app: AppEvents,
  request: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): void => {
  const { maxHeaderSize, insecureHTTPParser, requireHostHeader, joinDuplicateHeaders, rejectNonStandardBodyWrites } =
    server as Server & ServerOptions
  const options = {
    maxHeaderSize,
    insecureHTTPParser,
    requireHostHeader,
    joinDuplicateHeaders,
    rejectNonStandardBodyWrites,
  }
  const plain = new Server(Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)))
  plain.timeout = server.timeout
  plain.maxHeadersCount = server.maxHeadersCount
  // What follows on the connection was sent for another protocol, or for whoever it names: nobody reads it (RFC 9112 §9.6).
  plain.maxRequestsPerSocket = 1
  plain.listenerCount = (name) => (name === "upgrade" ? 0 : app.listenerCount(name))
  if (!unread(request, socket, head)) {
    socket.destroy()
    return
  }
  plain.emit("connection", socket)
  let begun: IncomingMessage | undefined
  plain.emit = (name: string | symbol, ...values: readonly unknown[]) => {
    if (requestEvents.has(name)) begun = values[0] as IncomingMessage
    return name !== "dropRequest" && app.emit(name, ...values)
  }
  if (server.requestTimeout === 0) return
  // A server that does not listen looks after no time-out, and the app's knows nothing of the request any more.
  const late = setTimeout(() => {
    if (begun?.complete !== true) refuseLate(plain, socket)
  }, server.requestTimeout)
  socket.once("close", () => clearTimeout(late))
}

const requestEvents: ReadonlySet<string | symbol> = new Set(["request", "checkContinue", "checkExpectation"])

/** As node:http by itself. */
const refuseLate = (plain: Server, socket: Duplex): void => {
  const cause = Object.assign(new Error("Request timeout"), { code: "ERR_HTTP_REQUEST_TIMEOUT" })
  if (plain.emit("clientError", cause, socket)) return
  const { _httpMessage: response } = socket as { readonly _httpMessage?: { readonly headersSent: boolean } | null }
  if (socket.writable && response?.headersSent !== true)
    socket.write("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
  socket.destroy()
}
