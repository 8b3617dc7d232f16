/** A router under `Bun.serve`, WebSockets included. */
import { accept, checkOptions, NO_CODE } from "@project-ingress/forward/internal"
import type { Router } from "../router-options.ts"
import { checkedResponse, handshakeServer, isHandshake, webSocketChecks } from "./websocket/handshake-host.ts"
import type { Stopping, WebSocketOptions } from "./websocket/handshake-host.ts"
import type { ClientSocket, MachineSocket } from "./websocket/machine-socket.ts"

export type { Stopping, WebSocketOptions } from "./websocket/handshake-host.ts"
export type { Bounds, ClientBounds, RequestBounds } from "./bounds-options.ts"

/** What the router needs of Bun's `Server`. */
export interface BunServer {
  /** The listening port; absent on a Unix socket. */
  readonly port?: number | undefined
  readonly requestIP: (request: Request) => { readonly address: string } | null
  readonly upgrade: (request: Request, options: never) => boolean
}

/** What the router needs of Bun's `ServerWebSocket`. */
export interface BunWebSocket {
  readonly data: unknown
  readonly sendText: (text: string) => number
  readonly sendBinary: (bytes: Uint8Array<ArrayBuffer>) => number
  readonly ping: (data: Uint8Array<ArrayBuffer>) => number
  readonly close: (code?: number, reason?: string) => void
  readonly terminate: () => void
}

/** The `websocket` handlers and settings of an app, as `Bun.serve` takes them. `Socket`: Bun's `ServerWebSocket`, with the app's data. */
export interface BunWebSocketHandlers<Socket> {
  readonly open?: (socket: Socket) => void | Promise<void>
  readonly message?: (socket: Socket, message: never) => void | Promise<void>
  readonly close?: (socket: Socket, code: number, reason: string) => void | Promise<void>
  readonly drain?: (socket: Socket) => void | Promise<void>
  readonly ping?: (socket: Socket, data: never) => void | Promise<void>
  readonly pong?: (socket: Socket, data: never) => void | Promise<void>
  /** For all WebSockets of the server; default: `maxMessageBytes`. */
  readonly maxPayloadLength?: number
}

/** What {@link serveBun} takes beside a router. `Server`: Bun's own type of a server; `Handlers`: of an app's handlers. */
export interface BunOptions<Server, Handlers> extends WebSocketOptions {
  /**
   * Serves hostnames that are not the router's, with the request as Bun gave it. After `server.upgrade` it gives nothing. If it throws,
   * the response is a 500. Default: 404.
   */
  readonly fallback?: (
    request: Request,
    server: Server,
  ) => Response | undefined | void | Promise<Response | undefined | void>
  /** The app's own WebSocket handlers, and settings for all WebSockets of the server, the router's included. */
  readonly websocket?: Handlers
}

/** A host to spread into the options of `Bun.serve`: `Bun.serve({ ...serveBun(router), port: 80 })`. */
export interface BunHost<Server> extends Stopping {
  readonly fetch: (request: Request, server: Server) => Promise<Response | undefined>
  readonly websocket: BunHandlers
}

/** What `Bun.serve` calls for every WebSocket: the router's, and the app's own. */
export interface BunHandlers {
  readonly open: (socket: never) => void | Promise<void>
  readonly message: (socket: never, message: never) => void | Promise<void>
  readonly close: (socket: never, code: number, reason: string) => void | Promise<void>
  readonly drain: (socket: never) => void | Promise<void>
  readonly ping: (socket: never, data: never) => void | Promise<void>
  readonly pong: (socket: never, data: never) => void | Promise<void>
  readonly maxPayloadLength: number
}

/** The `data` of a WebSocket of the router's. No app has one. */
class RouterSocket {
  readonly machine: MachineSocket
  constructor(machine: MachineSocket) {
    this.machine = machine
  }
}

/**
 * Mounts a router on `Bun.serve`, with WebSockets: their handshakes go to machines as requests do, and Bun carries the messages. Opens
 * nothing. The client is whom `clientAddress` of the router names, else whoever connected.
 *
 * @throws {TypeError} naming the option that is wrong or unknown, and what is accepted
 */
export const serveBun = <Server extends BunServer = BunServer, Handlers extends object = BunWebSocketHandlers<never>>(
  router: Router,
  options: BunOptions<Server, Handlers> = {},
): BunHost<Server> => {
  checkOptions("serveBun", options, { fallback: accept.function, websocket: accept.object, ...webSocketChecks })
  const { fallback, websocket, maxMessageBytes = 16_777_216 } = options
  const host = handshakeServer("serveBun", router, options)
  const app = (websocket ?? {}) as BunWebSocketHandlers<BunWebSocket>

  const unmatched = async (request: Request, server: Server): Promise<Response | undefined> => {
    if (fallback === undefined) return host.notFound(request)
    try {
      const response = await fallback(request, server)
      // After an upgrade there is none.
      return response === undefined ? undefined : checkedResponse(response)
    } catch (cause) {
      return host.failed(request, cause)
    }
  }

  return {
    close: host.close,
    fetch: async (request, server) => {
      const arrival = { remoteAddress: server.requestIP(request)?.address, localPort: server.port ?? 0 }
      if (!isHandshake(request)) return (await host.respond(request, arrival)) ?? unmatched(request, server)
      const result = await host.shakeHands(request, arrival)
      if (result._tag === "Unmatched") return unmatched(request, server)
      if (result._tag === "Refused") return result.response
      const { machine, headers, protocol = "" } = result
      // An empty one, too: without the field Bun would accept the first protocol that the client offers.
      headers.set("sec-websocket-protocol", protocol)
      const upgraded = server.upgrade(request, { headers, data: new RouterSocket(machine) } as never)
      if (upgraded) return undefined
      // The client left, or what it sent is no handshake.
      machine.onClientClose(NO_CODE, "")
      return new Response(null, { status: 400 })
    },
    websocket: {
      maxPayloadLength: maxMessageBytes,
      ...app,
      open: (socket: BunWebSocket) => {
        const { data } = socket
        if (data instanceof RouterSocket) data.machine.open(clientSocket(socket))
        else return app.open?.(socket)
      },
      message: (socket: BunWebSocket, message: never) => {
        const { data } = socket
        if (data instanceof RouterSocket) data.machine.onClientMessage(message)
        else return app.message?.(socket, message)
      },
      close: (socket: BunWebSocket, code, reason) => {
        const { data } = socket
        if (data instanceof RouterSocket) data.machine.onClientClose(code, reason)
        else return app.close?.(socket, code, reason)
      },
      drain: (socket: BunWebSocket) => {
        const { data } = socket
        if (data instanceof RouterSocket) data.machine.onClientDrain()
        else return app.drain?.(socket)
      },
      ping: (socket: BunWebSocket, payload: never) => {
        if (!(socket.data instanceof RouterSocket)) return app.ping?.(socket, payload)
      },
      pong: (socket: BunWebSocket, payload: never) => {
        const { data } = socket
        if (data instanceof RouterSocket) data.machine.onClientPong(payload)
        else return app.pong?.(socket, payload)
      },
    },
  }
}

const clientSocket = (socket: BunWebSocket): ClientSocket => {
  /** -1: Bun holds it until the client reads; 0: it was dropped, and a message that is missing is worse than none. */
  const accepted = (sent: number): boolean => {
    if (sent === 0) socket.terminate()
    return sent > 0
  }
  return {
    send: (data) => accepted(typeof data === "string" ? socket.sendText(data) : socket.sendBinary(data)),
    ping: (data) => accepted(socket.ping(data)),
    // Bun writes a close frame without a code for 1005.
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
  }
}
