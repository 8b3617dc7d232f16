/** A router under `Deno.serve`, WebSockets included. */
import { accept, checkOptions, NO_CODE } from "@project-ingress/forward/internal"
import type { Router } from "../router-options.ts"
import { SERVER_ERROR } from "./websocket/close-codes.ts"
import { checkedResponse, handshakeServer, isHandshake, webSocketChecks } from "./websocket/handshake-host.ts"
import type { Arrival, Stopping, WebSocketOptions } from "./websocket/handshake-host.ts"
import type { MachineSocket } from "./websocket/machine-socket.ts"

export type { Stopping, WebSocketOptions } from "./websocket/handshake-host.ts"
export type { Bounds, ClientBounds, RequestBounds } from "./bounds-options.ts"

/** What the router needs of Deno's `ServeHandlerInfo`. */
export interface DenoInfo {
  readonly remoteAddr: object
}

/** What {@link serveDeno} takes beside a router. `Info`: Deno's own type of what it says of a request. */
export interface DenoOptions<Info> extends WebSocketOptions {
  /**
   * Serves hostnames that are not the router's, with the request as Deno gave it; it may upgrade it. If it throws, the response is a
   * 500. Default: 404.
   */
  readonly fallback?: (request: Request, info: Info) => Response | Promise<Response>
}

/** A host for `Deno.serve({ port: 80 }, host.fetch)`, and for `deno serve` as a default export. */
export interface DenoHost<Info> extends Stopping {
  readonly fetch: (request: Request, info: Info) => Promise<Response>
}

/** What the router needs of `Deno`. */
interface Deno {
  readonly upgradeWebSocket: (request: Request) => { readonly socket: WebSocket; readonly response: Response }
}

/**
 * Mounts a router on `Deno.serve`, with WebSockets: their handshakes go to machines as requests do, and Deno carries the messages. Opens
 * nothing. The client is whom `clientAddress` of the router names, else whoever connected.
 *
 * @throws {TypeError} naming the option that is wrong or unknown, and what is accepted
 */
export const serveDeno = <Info extends DenoInfo = DenoInfo>(
  router: Router,
  options: DenoOptions<Info> = {},
): DenoHost<Info> => {
  checkOptions("serveDeno", options, { fallback: accept.function, ...webSocketChecks })
  const { fallback } = options
  const host = handshakeServer("serveDeno", router, options)

  const unmatched = async (request: Request, info: Info): Promise<Response> => {
    if (fallback === undefined) return host.notFound(request)
    try {
      return checkedResponse(await fallback(request, info))
    } catch (cause) {
      return host.failed(request, cause)
    }
  }

  return {
    close: host.close,
    fetch: async (request, info) => {
      const arrival = arrivalOf(info)
      if (!isHandshake(request)) return (await host.respond(request, arrival)) ?? unmatched(request, info)
      const result = await host.shakeHands(request, arrival)
      if (result._tag === "Unmatched") return unmatched(request, info)
      if (result._tag === "Refused") return result.response
      const { machine, headers, protocol } = result
      try {
        const { socket, response } = (globalThis as unknown as { readonly Deno: Deno }).Deno.upgradeWebSocket(request)
        // Not by its option `protocol`, which knows the client's list only where it is written with spaces.
        if (protocol !== undefined) response.headers.set("sec-websocket-protocol", protocol)
        headers.forEach((value, name) => response.headers.append(name, value))
        carry(socket, machine)
        return response
      } catch {
        // What the client sent is no handshake.
        machine.onClientClose(NO_CODE, "")
        return new Response(null, { status: 400 })
      }
    },
  }
}

const arrivalOf = ({ remoteAddr }: DenoInfo): Arrival => ({
  remoteAddress: "hostname" in remoteAddr && typeof remoteAddr.hostname === "string" ? remoteAddr.hostname : undefined,
  localPort: 0,
})

/** What Deno may hold for a client that does not read, in bytes; above it nothing more is read of the machine. */
const HIGH_WATER = 1_048_576
/** How often it is looked whether a client reads again, in ms: Deno has no event for it. */
const POLL_MS = 20

const carry = (socket: WebSocket, machine: MachineSocket): void => {
  let timer: ReturnType<typeof setInterval> | undefined
  let isOver = false
  const poll = (): void => {
    if (socket.bufferedAmount >= HIGH_WATER) return
    clearInterval(timer)
    timer = undefined
    machine.onClientDrain()
  }
  const end = (code: number, reason: string): void => {
    clearInterval(timer)
    if (isOver) return
    isOver = true
    machine.onClientClose(code, reason)
  }
  socket.binaryType = "arraybuffer"
  socket.addEventListener("open", () =>
    machine.open({
      send: (data) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(data)
        if (socket.bufferedAmount < HIGH_WATER) return true
        timer ??= setInterval(poll, POLL_MS)
        return false
      },
      close: (code, reason) => {
        if (code === NO_CODE) socket.close()
        else socket.close(code, reason)
      },
      // Deno ends no WebSocket without a close frame.
      terminate: () => socket.close(SERVER_ERROR, "the machine's connection was lost"),
    }),
  )
  socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) =>
    machine.onClientMessage(typeof data === "string" ? data : new Uint8Array(data)),
  )
  socket.addEventListener("close", ({ code, reason, wasClean }) => end(wasClean ? code : 1006, reason))
  // A close event follows one that was opened; without it this is all.
  socket.addEventListener("error", () => end(1006, ""))
}
