import type { HeaderList } from "../../header-list.ts"
import type { RequestHead, ResponseHead } from "../../http1/head.ts"
import type { ParseError } from "../../http1/parse-error.ts"
import type { ResponseHop } from "../../response-headers.ts"
import type { ClientConnection } from "../connection/client-connection.ts"
import type { UpstreamUser } from "../connection/connection-handler.ts"
import type { UpstreamConnection } from "../connection/upstream-connection.ts"
import type { ForwardDirective } from "../contract/decision.ts"
import type { Tunnel } from "../../tunnel/tunnel-protocol.ts"
import type { UpstreamError } from "../contract/upstream.ts"
import type { RequestBodyPump } from "./request-body-pump.ts"
import { connectFailure, isOutOfDescriptors } from "../connection/upstream-connection.ts"
import { tunnelAccepted } from "../tunnel/accept-tunnel.ts"
import { isReusable } from "./connection-reuse.ts"
import { headOnly } from "./response-relay.ts"
import { mayRetry } from "./retry-once.ts"

/** Who makes an attempt: its exchange. */
export interface AttemptOwner {
  /**
   * The request's head is sent, and what had come of its body unless the client waits for a `100 Continue`; or the app, which did
   * not read for a while, takes more of the body.
   */
  onProgress(): void
  /** The app wants the body that the client may be waiting to send. */
  onBodyWanted(): void
  /** What came of the request's body is invalid. */
  onBodyRefused(error: ParseError): void
  /** A final response, or the 101 of a WebSocket, begins. False to read no further. */
  onResponseHead(head: ResponseHead): boolean
  onResponseBody(bytes: Uint8Array): void
  /** All that has come of the response was read. */
  onResponseRead(): void
  onResponseEnd(trailers: HeaderList): void
  /** Responds with a failure of our own; the attempt has no connection any more. */
  fail(tag: "Overloaded"): void
  /** No response came, or it broke off. The attempt has no connection any more. */
  onAttemptFailed(error: UpstreamError): void
}

/** One request sent on by one directive: it has a connection to the app until the response is complete. */
export class Attempt implements UpstreamUser {
  readonly directive: ForwardDirective
  readonly #head: RequestHead
  readonly #pump: RequestBodyPump
  readonly #connection: ClientConnection
  readonly #owner: AttemptOwner
  #upstream: UpstreamConnection | undefined
  #paused = false
  /** True while the host decides about the response: nothing of it is read. */
  #held = false
  #responded = false
  #retried = false
  #interim = 0
  /** True while it counts a socket for datagrams, which the tunnel opens. */
  #reserved = false

  constructor(
    directive: ForwardDirective,
    head: RequestHead,
    pump: RequestBodyPump,
    connection: ClientConnection,
    owner: AttemptOwner,
  ) {
    this.directive = directive
    this.#head = head
    this.#pump = pump
    this.#connection = connection
    this.#owner = owner
  }

  /** Sends the request as soon as there is a connection; `fresh`: a new one. False when the pool is full. */
  start(fresh: boolean): boolean {
    if (this.directive.tunnel === "udp") return this.#startDatagrams()
    const upstream = this.#connection.context.pools.take(this.directive.origin, fresh)
    if (upstream === undefined) return false
    this.#upstream = upstream
    upstream.user = this
    if (upstream.connected) this.onUpstreamOpen()
    return true
  }

  #startDatagrams(): boolean {
    if (!this.#connection.context.pools.reserve()) return false
    this.#reserved = true
    this.#acceptTunnel("udp")
    return true
  }

  /** Instead of an app, whose part in the handshake is done here. */
  #acceptTunnel(kind: Tunnel): void {
    this.#responded = true
    this.#owner.onResponseHead(tunnelAccepted(kind, this.#head.headers))
  }

  onUpstreamOpen(): void {
    if (this.directive.tunnel !== undefined) {
      this.#acceptTunnel(this.directive.tunnel)
      return
    }
    const first = this.#pump.complete || this.#pump.awaitsContinue ? undefined : this.#connection.readBody()
    if (first?.type === "refusal") {
      this.#owner.onBodyRefused(first)
      return
    }
    this.#pump.sendHead(this.#upstream!, this.directive, first)
    this.#owner.onProgress()
    this.#connection.pump()
  }

  onUpstreamDrain(): void {
    if (this.#pump.blocked) {
      this.#pump.blocked = false
      this.#owner.onProgress()
    }
    this.#connection.pump()
  }

  onUpstreamData(): void {
    if (this.#held) this.pause()
    else this.read()
  }

  onUpstreamEnd(): void {
    if (!this.#held) this.read()
  }

  onUpstreamClose(connected: boolean, cause: unknown): void {
    // What came before is still in its reader, and the host decides about it.
    if (this.#held) return
    const upstream = this.#upstream!
    if (!connected && isOutOfDescriptors(cause)) {
      this.close()
      this.#connection.context.pools.closeFree()
      this.#owner.fail("Overloaded")
    } else if (connected) this.#fail({ tag: "UpstreamFailed", sent: "maybe", cause })
    else this.#fail({ tag: connectFailure(upstream, cause), sent: "no", cause })
  }

  onInternalError(cause: unknown): void {
    this.#connection.onInternalError(cause)
  }

  /** Reads what has come of the response. */
  read(): void {
    const upstream = this.#upstream
    if (upstream === undefined) return
    for (;;) {
      const event = upstream.reader.read()
      if (event === undefined) break
      if (event.type === "body") this.#owner.onResponseBody(event.bytes)
      else if (event.type === "head") {
        if (!this.#onHead(event)) return
      } else if (event.type === "end") {
        this.#owner.onResponseEnd(event.trailers)
        return
      } else {
        const tag = event.tag === "UpstreamMalformed" ? "UpstreamMalformed" : "UpstreamFailed"
        this.#fail({ tag, sent: "maybe", cause: new Error(event.reason) })
        return
      }
    }
    this.#owner.onResponseRead()
    if (upstream.closed) this.#fail({ tag: "UpstreamFailed", sent: "maybe", cause: new Error("closed") })
  }

  /** False to read no further. */
  #onHead(head: ResponseHead): boolean {
    if (head.status < 200 && head.status !== 101) return this.#onInterim(head)
    if (head.status === 101 && !(head.upgrade && this.#head.upgrade)) {
      this.#fail({ tag: "UpstreamMalformed", sent: "maybe", cause: new Error("a 101 that nobody asked for") })
      return false
    }
    this.#responded = true
    return this.#owner.onResponseHead(head)
  }

  #onInterim(head: ResponseHead): boolean {
    if (++this.#interim > this.#connection.context.limits.maxInterim) {
      this.#fail({ tag: "UpstreamMalformed", sent: "maybe", cause: new Error("too many interim responses") })
      return false
    }
    // RFC 9110 §15.2: never to HTTP/1.0. A 100 is for a client that waits for it, once.
    if (this.#head.version === 10) return true
    if (head.status === 100) {
      this.#owner.onBodyWanted()
      return true
    }
    const hop = this.#hopOf(head)
    if (hop !== undefined) this.#connection.socket.write(headOnly(head, hop), "latin1")
    return true
  }

  /** What the final response is given on its way to the client. */
  hopFor(head: ResponseHead): ResponseHop {
    const hop = this.#hopOf(head)
    if (hop === undefined) throw new TypeError("only an interim response can be left out")
    return hop
  }

  #hopOf(head: ResponseHead): ResponseHop | undefined {
    const { response } = this.directive
    return typeof response === "function" ? response(head) : response
  }

  timeOut(): void {
    this.#fail({ tag: "UpstreamTimeout", sent: "maybe", cause: new Error("no response in time") })
  }

  #fail(error: UpstreamError): void {
    const upstream = this.#upstream
    this.close()
    if (!this.#responded && !this.#retried && mayRetry(this.#head, error, upstream)) {
      this.#retried = true
      if (this.start(true)) return
    }
    this.#owner.onAttemptFailed(error)
  }

  /**
   * Reads nothing until `release`, because the host decides about the head that has come. The socket is paused only when more
   * comes: nearly always the host has decided by then, and to pause and resume costs as much as a read.
   */
  hold(): void {
    this.#held = true
  }

  release(): void {
    this.#held = false
    this.resume()
  }

  /** True when the app is to wait until the client has read what was written. */
  get paused(): boolean {
    return this.#paused
  }

  pause(): void {
    if (this.#paused || this.#upstream === undefined) return
    this.#paused = true
    this.#upstream.socket.pause()
  }

  resume(): void {
    if (!this.#paused || this.#held) return
    this.#paused = false
    this.#upstream?.socket.resume()
  }

  /** The response is complete: the connection goes back to its pool, if another request can use it. */
  finish(response: ResponseHead): void {
    const upstream = this.#upstream!
    if (!this.#pump.complete || this.#pump.blocked || !isReusable(this.#head, response, upstream)) {
      this.close()
      return
    }
    this.resume()
    this.#upstream = undefined
    this.#pump.close()
    this.#connection.context.pools.give(upstream)
  }

  /** Gives the place of a socket for datagrams away; false when there is none. */
  detachReserved(): boolean {
    const reserved = this.#reserved
    this.#reserved = false
    this.#pump.close()
    return reserved
  }

  /** Gives the connection away, for a tunnel; `undefined` when it is closed already. */
  detach(): UpstreamConnection | undefined {
    const upstream = this.#upstream
    if (upstream === undefined || upstream.closed) return undefined
    this.resume()
    this.#upstream = undefined
    this.#pump.close()
    return upstream
  }

  /** Gives the connection up, with whatever comes of it. */
  close(): void {
    const upstream = this.#upstream
    this.#upstream = undefined
    this.#pump.close()
    if (this.detachReserved()) this.#connection.context.pools.release()
    if (upstream === undefined) return
    upstream.user = undefined
    upstream.destroy()
  }
}
