import { Server } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import { Server as HttpsServer } from "node:https"
import type { Socket } from "node:net"
import { accept, checkOptions, kindOf } from "@project-ingress/forward/internal"
import type { Router } from "../../router-options.ts"
import { engineOptionChecks, routerEngine } from "../router-engine.ts"
import type { RouterEngineOptions } from "../router-engine.ts"
import { ownerOf } from "./owner.ts"
import { unread } from "./raw-request.ts"
import { hookServer } from "./server-events.ts"
import type { RequestEventName } from "./server-events.ts"
import { serveMessage } from "./serve-message.ts"
import { servePlainly } from "./serve-plainly.ts"

/** What {@link mount} takes beside a server and a router: the same as `serveNode`, where the server does not decide it. */
export type MountOptions = RouterEngineOptions

/** A router in a server of node:http or node:https. */
export interface Mounted {
  /**
   * Takes the router out of the server, which is as it was before: from now on the app gets every request. Those that the router has
   * finish, and its WebSockets stay open; `drain` ends them.
   */
  readonly unmount: () => void
  /**
   * Waits until no request of the router is in flight and none of its WebSockets is open, and ends what is left after `deadlineMs`
   * (default 10 000): WebSockets with 1001. From the call on each of its responses ends its connection, and WebSockets that begin
   * after `graceMs` (default 0) are refused. For shutting down: `server.close(); await mounted.drain()`.
   */
  readonly drain: (options?: { readonly deadlineMs?: number; readonly graceMs?: number }) => Promise<void>
}

const mounted = new WeakSet<Server>()

/**
 * Mounts a router in a server that an app has already: each request and each WebSocket for a hostname of the router's grammar, or for
 * one that has a route, goes to its machine, and no listener of the app sees it. All others are the app's, with everything that
 * node:http does for it. Also for a server that listens already, and before or after the app adds its listeners.
 *
 * @throws {TypeError} for anything but a server of node:http or node:https, for one that has a router, and for an option that is
 *   unknown or invalid
 *
 * @example
 * const server = createServer(app)
 * mount(server, router)
 * server.listen(3000)
 */
export const mount = (server: Server | HttpsServer, router: Router, options: MountOptions = {}): Mounted => {
  if (![Server, HttpsServer].some((of) => server instanceof of))
    throw new TypeError(
      `mount: server must be a server of node:http or node:https, got ${kindOf(server)}${hintOf(server)}`,
    )
  if (mounted.has(server)) throw new TypeError("mount: the server has a router already: unmount that one first")
  checkOptions("mount", options, engineOptionChecks)
  const host = routerEngine(router, options, { owner: "mount" })
  const { engine, program } = host
  const isOurs = ownerOf(host)
  /** Follows what providers report of their machines while the server listens. */
  let watching: AbortController | undefined
  const watch = (): void => {
    if (watching !== undefined) return
    watching = new AbortController()
    void program.watch(watching.signal)
  }
  const unwatch = (): void => {
    watching?.abort()
    watching = undefined
  }
  /** What the app said of an upgrade when Node asked. */
  const wanted = new WeakMap<IncomingMessage, boolean>()

  const toApp = (name: RequestEventName, values: readonly unknown[]): boolean => {
    if (name === "request" || app.listenerCount(name) > 0) return app.emit(name, ...values)
    // As node:http by itself.
    const response = values[1] as ServerResponse
    if (name === "checkExpectation") {
      response.writeHead(417).end()
      return false
    }
    response.writeContinue()
    return app.emit("request", ...values)
  }
  const onRequest = (name: RequestEventName, values: readonly unknown[]): boolean => {
    const [request, response] = values as [IncomingMessage, ServerResponse]
    const owner = isOurs(request)
    return decide(request.socket, owner, (ours) => {
      if (ours) serveMessage(host, request, response)
      // A client that left while a store was asked was seen by nobody.
      else if (owner === false || !request.socket.destroyed) return toApp(name, values)
      return true
    })
  }

  const onUpgrade = (values: readonly unknown[]): boolean => {
    const [request, socket, head] = values as [IncomingMessage, Socket, Uint8Array]
    // node:http has no listener on it any more, and an error that nobody hears ends the process.
    socket.on("error", ignore)
    return decide(socket, isOurs(request), (ours) => {
      if (ours) {
        // The app's time-out is for its own requests; the engine has its own ones.
        socket.setTimeout(0)
        // The engine ends the connection after a refused handshake, and after an upgrade that it does not know because we say so.
        if (unread(request, socket, head, ...(isWebSocket(request) ? [] : ["Connection: close"])))
          engine.connection(socket)
        else socket.destroy()
        return true
      }
      if (socket.destroyed) return true
      socket.off("error", ignore)
      if (wanted.get(request) ?? app.listenerCount("upgrade") > 0) return app.emit("upgrade", ...values)
      servePlainly(server, { emit: emitToApp, listenerCount: app.listenerCount }, request, socket, head)
      return true
    })
  }
  const emitToApp = (name: string | symbol, ...values: readonly unknown[]): boolean =>
    name === "request" || name === "checkContinue" || name === "checkExpectation"
      ? toApp(name, values)
      : app.emit(name, ...values)

  const events = hookServer(server, {
    onRequest,
    onUpgrade,
    wantsUpgrade: (request, appWants) => {
      wanted.set(request, appWants)
      const ours = isOurs(request)
      // Any other upgrade is a plain request to the router (RFC 9110 §7.8), and so has a connection that can be kept.
      if (ours === true) return isWebSocket(request)
      return appWants || (ours !== false && isWebSocket(request))
    },
    onListening: watch,
    onClose: unwatch,
  })
  const { app } = events
  mounted.add(server)
  if (server.listening) watch()

  return {
    unmount: () => {
      unwatch()
      events.remove()
      mounted.delete(server)
    },
    drain: async (given = {}) => {
      checkOptions("drain", given, { deadlineMs: accept.number(0), graceMs: accept.number(0) })
      const { deadlineMs = 10_000, graceMs = 0 } = given
      await engine.drain({ deadlineMs, graceMs })
    },
  }
}

/** Goes on at once where it is known whose a request is, so that the app's listeners are called when node:http calls them. */
const decide = (socket: Socket, ours: boolean | Promise<boolean>, goOn: (ours: boolean) => boolean): boolean => {
  const before = undecided.get(socket)
  if (typeof ours === "boolean" && before === undefined) return goOn(ours)
  const turn = Promise.all([Promise.resolve(ours), before]).then(([known]) => {
    if (undecided.get(socket) === turn) undecided.delete(socket)
    // Not in the promise: what a listener of the app throws must be an uncaught exception, as it is without us.
    queueMicrotask(() => goOn(known))
  })
  undecided.set(socket, turn)
  return true
}

/** The last request of a connection about which a store is asked: those behind it wait, so that an app hears of them in order. */
const undecided = new WeakMap<Socket, Promise<void>>()

/** RFC 6455 §4.1, as far as it tells one from other upgrades; the engine checks the rest. */
const isWebSocket = ({ method, headers }: IncomingMessage): boolean =>
  method === "GET" && headers.upgrade?.toLowerCase() === "websocket"

const ignore = (): void => {}

/** What may have been meant by something else than a server. */
const hintOf = (given: unknown): string => {
  if (typeof given === "function") return " (an app? make its server with createServer(app))"
  if (typeof given !== "object" || given === null) return ""
  // An object may have no constructor, and servers of node:http2 share no class that could be imported.
  const { name = "" } = (given.constructor as { readonly name?: string } | undefined) ?? {}
  if (name.startsWith("Http2")) return " (HTTP/2 is served by serveNode)"
  return "server" in given ? " (an app? give its server: app.server)" : ""
}
