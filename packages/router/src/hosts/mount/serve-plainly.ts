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
  plain.emit = (name: string | symbol, ...values: readonly unknown[]) =>
    name !== "dropRequest" && app.emit(name, ...values)
}
