import type { Duplex } from "node:stream"
import type { TLSSocket } from "node:tls"
import type { ConnectionContext, OpenConnection } from "../connection/engine-context.ts"
import type { ForwardErrorTag } from "../../error-rows.ts"
import { canonicalAddress } from "../../address.ts"
import type { HasDeadline } from "../io/deadlines.ts"
import type { ProxiedClient } from "./proxy-header.ts"
import { ReadBuffer } from "../../http1/read-buffer.ts"
import { removeConnection, reportError } from "../connection/engine-context.ts"
import { readProxyHeader } from "./proxy-header.ts"

/** Called once a connection's header has come, with whom it names and its bytes; what follows the header is in the socket again. */
type Next = (client: ProxiedClient, header: Buffer) => void

/**
 * Connections that must begin with a PROXY header. `isTrusted` says from which addresses: whoever sends a header chooses whom it
 * is taken for (PROXY protocol §2: the receiver must not guess, and must know its senders).
 */
export const proxiedConnections =
  (context: ConnectionContext, isTrusted: (ip: string) => boolean) =>
  (socket: Duplex, next: Next): void => {
    const { remoteAddress, localAddress, encrypted } = socket as Partial<TLSSocket>
    if (encrypted !== true && remoteAddress !== undefined && isTrusted(remoteAddress)) {
      context.open.add(new HeaderWait(socket, context, next))
      return
    }
    socket.on("error", ignore)
    socket.destroy()
    // Reset before it was accepted, as balancers do after a health check: its address is no longer known.
    if (remoteAddress === undefined && localAddress !== undefined) return
    const reason =
      encrypted === true
        ? "a PROXY header comes before TLS: serve the TCP connection by secureConnection"
        : `${canonicalAddress(remoteAddress ?? "") ?? "a peer without an address"} may not connect: it is no trusted proxy`
    reportError(context, "RequestMalformed", new Error(reason))
  }

/** A connection until its header is complete. */
class HeaderWait implements HasDeadline, OpenConnection {
  deadlineAt: number
  readonly #socket: Duplex
  readonly #context: ConnectionContext
  readonly #next: Next
  readonly #buffer = new ReadBuffer()

  constructor(socket: Duplex, context: ConnectionContext, next: Next) {
    this.#socket = socket
    this.#context = context
    this.#next = next
    this.deadlineAt = context.deadlines.in(context.limits.headersTimeoutMs)
    context.deadlines.add(this)
    // Stays: a socket's error with no listener would end the process.
    socket.on("error", ignore)
    // Not `data`, which would leave the socket flowing: what follows the header is another listener's.
    // One that its caller paused: Deno's would never be readable. It does not flow, because of the listener. Bytes that were put back are.
    if (socket.isPaused() && socket.readableLength === 0) socket.resume()
    socket.on("readable", this.#onReadable)
    socket.on("end", this.#onEnd)
    socket.on("close", this.#leave)
  }

  readonly #onReadable = (): void => {
    const socket = this.#socket
    try {
      const chunk = socket.read() as Buffer | null
      if (chunk === null) return
      this.#buffer.push(chunk)
      const { bytes } = this.#buffer
      const header = readProxyHeader(bytes)
      if (header === undefined) return
      if (typeof header === "string") {
        this.#refuse("RequestMalformed", header)
        return
      }
      this.#stop()
      if (header.length < bytes.length) socket.unshift(bytes.subarray(header.length))
      this.#next(header.client, bytes.subarray(0, header.length))
      socket.off("close", this.#leave)
      this.#leave()
    } catch (cause) {
      this.#refuse("ProxyFailed", cause)
    }
  }

  /** A connection without a byte is a balancer's check whether anybody listens. */
  readonly #onEnd = (): void => {
    if (this.#buffer.size === 0) this.goAway()
    else this.#refuse("RequestMalformed", "the connection ended within the PROXY header")
  }

  readonly #leave = (): void => {
    this.#context.deadlines.remove(this)
    removeConnection(this.#context, this)
  }

  #stop(): void {
    this.#socket.off("readable", this.#onReadable)
    this.#socket.off("end", this.#onEnd)
  }

  #refuse(tag: ForwardErrorTag, cause: unknown): void {
    reportError(this.#context, tag, typeof cause === "string" ? new Error(cause) : cause)
    this.goAway()
  }

  onDeadline(): void {
    if (this.#context.closing) this.goAway()
    else this.#refuse("RequestTimeout", "the PROXY header took too long")
  }

  drain(): void {
    const { deadlines, lastRequestMs } = this.#context
    if (lastRequestMs === 0) this.goAway()
    else this.deadlineAt = deadlines.in(lastRequestMs)
  }

  goAway(): void {
    // Bun and Deno emit `end` also after `destroy`.
    this.#stop()
    this.#socket.destroy()
  }
}

const ignore = (): void => {}
