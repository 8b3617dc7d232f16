import { createServer } from "node:http2"
import type { ServerHttp2Session } from "node:http2"
import type { Duplex } from "node:stream"
import type { ForwardErrorTag } from "../../error-rows.ts"
import type { EngineContext } from "../connection/engine-context.ts"
import type { Engine } from "../contract/engine.ts"
import type { ProxiedClient } from "../proxy-protocol/proxy-header.ts"
import { reportError } from "../connection/engine-context.ts"
import { Http2Connection } from "./http2-connection.ts"

/** Whether the two sides of a connection agreed on HTTP/2 in their handshake (RFC 7301). */
export const speaksHttp2 = (socket: Duplex): boolean => "alpnProtocol" in socket && socket.alpnProtocol === "h2"

/** Its node:http2 ends the process when a session is ended by an error: some frames of any client would do. Seen with Deno 2.9.6. */
const isDeno = "Deno" in globalThis

/** Makes connections of HTTP/2 out of sockets. Node's server listens to nothing: it is what gives a session its options. */
export const http2Sessions = (context: EngineContext, message: Engine["message"]) => {
  const { maxFields, maxRequestHead, maxResponseHead, maxStreams, maxStreamResets } = context.limits
  let made: ServerHttp2Session | undefined
  // Not before the first one: most engines have none.
  const listen = () =>
    createServer({
      // By fields and sizes the engine refuses, with a response; these only bound what is decoded before.
      maxHeaderListPairs: maxFields * 2,
      // Every response that the engine takes of an app, with what it adds; by default large ones would be reset. HPACK may need 12 bytes more
      // for a field than there are in its name and value.
      maxSendHeaderBlockLength: (maxResponseHead + maxFields * 12) * 2,
      // JavaScript counts after what Node has read at once; this counts before.
      streamResetBurst: maxStreamResets * 2,
      settings: {
        maxConcurrentStreams: maxStreams,
        maxHeaderListSize: maxRequestHead * 2,
        enableConnectProtocol: true,
      },
    }).on("session", (session) => (made = session))
  let server: ReturnType<typeof listen> | undefined

  return (socket: Duplex, client?: ProxiedClient, refusal?: ForwardErrorTag): void => {
    socket.on("error", () => undefined)
    if (isDeno) {
      reportError(context, "ProxyFailed", new Error("HTTP/2 is not served on Deno: do not offer h2 in ALPNProtocols"))
      socket.destroy()
      return
    }
    server ??= listen()
    server.emit("connection", socket)
    if (made === undefined) {
      socket.destroy()
      return
    }
    const session = made
    made = undefined
    const connection = new Http2Connection(session, socket, context, message, client, refusal)
    if (refusal !== undefined) return
    context.open.add(connection)
    if (context.closing) connection.drain()
  }
}
