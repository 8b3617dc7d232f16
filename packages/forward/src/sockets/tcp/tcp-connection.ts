import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { nextRequestId } from "../../request-id.ts"
import type { ConnectionContext, OpenConnection } from "../connection/engine-context.ts"
import { removeConnection, reportError } from "../connection/engine-context.ts"
import { addressOf } from "../connection/client-connection.ts"
import type { ClientHello } from "../contract/client-hello.ts"
import type {
  ConnectionDecision,
  ConnectionEvent,
  IncomingConnection,
  TcpEngineOptions,
  TcpLimits,
} from "../contract/tcp.ts"
import type { HasDeadline } from "../io/deadlines.ts"
import { Lifetime } from "../io/lifetime.ts"
import { endAndDestroy, reset } from "../io/write.ts"
import type { ProxiedClient } from "../proxy-protocol/proxy-header.ts"
import { ClientHelloReader, isHelloRefusal } from "./client-hello.ts"
import { TcpRelay } from "./tcp-relay.ts"
import type { RelayOwner } from "./tcp-relay.ts"
import { alertRecord } from "./tls-alert.ts"
import type { TlsAlert } from "./tls-alert.ts"

/** What the connections of one TCP engine share. */
export interface TcpContext extends ConnectionContext {
  readonly options: TcpEngineOptions
  readonly tcpLimits: TcpLimits
}

/** Whose a connection is by its PROXY header, and that header. */
export interface ProxiedBy {
  readonly client: ProxiedClient
  readonly header: Buffer
}

type End = ConnectionEvent["end"]

/**
 * One connection from a client, from its first byte to its end: its ClientHello is read, if its listener has no name of its own, then it waits for
 * its host's decision, then it is relayed. Until then nothing is taken from the socket, so that somebody else can have it untouched.
 */
export class TcpConnection extends Lifetime implements IncomingConnection, HasDeadline, OpenConnection, RelayOwner {
  readonly id = nextRequestId()
  deadlineAt = 0
  hostname: string
  hello: ClientHello | undefined
  readonly remoteAddress: string
  readonly remotePort: number
  readonly peerAddress: string
  readonly localAddress: string
  readonly localPort: number
  bytesIn = 0
  bytesOut = 0
  readonly #socket: Socket
  readonly #context: TcpContext
  readonly #proxied: ProxiedBy | undefined
  readonly #startedAt = performance.now()
  #reader: ClientHelloReader | undefined
  #relay: TcpRelay | undefined
  #halfClosed = false
  #broken = false
  #phase: "hello" | "deciding" | "relaying" | "refused" | "over" = "deciding"
  #end: End = "left"
  #refusal: { readonly alert?: TlsAlert; readonly code?: string; readonly reason?: string } = {}

  /** `hostname`: whom it is for, whatever it says; `undefined`: whom its ClientHello names. */
  constructor(socket: Socket, context: TcpContext, hostname: string | undefined, proxied: ProxiedBy | undefined) {
    super()
    this.#socket = socket
    this.#context = context
    this.#proxied = proxied
    this.hostname = hostname ?? ""
    this.peerAddress = addressOf(socket)
    const client = proxied?.client.address
    this.remoteAddress = client ?? this.peerAddress
    this.remotePort = (client === undefined ? socket.remotePort : 0) ?? 0
    this.localAddress = socket.localAddress ?? ""
    this.localPort = socket.localPort ?? 0
    if (hostname === undefined) this.#reader = new ClientHelloReader(context.tcpLimits.maxHello)
  }

  /** Takes the connection. Called once. */
  begin(): void {
    const socket = this.#socket
    const { open, deadlines, tcpLimits } = this.#context
    // A client's FIN is not the end of what it is sent.
    socket.allowHalfOpen = true
    socket.on("error", ignore)
    socket.on("close", this.#onClose)
    open.add(this)
    deadlines.add(this)
    // Not `data`, which would take from the socket what may be somebody else's.
    socket.on("readable", this.#onReadable)
    if (this.#reader === undefined) {
      this.#decide()
      return
    }
    this.#phase = "hello"
    this.deadlineAt = deadlines.in(tcpLimits.helloTimeoutMs)
    socket.on("end", this.#onEnd)
  }

  withdrawal(): () => void {
    return () => this.#breakOff("withdrawn")
  }

  readonly #onReadable = (): void => {
    // Until the decision the stream reads ahead, up to its high-water mark, and learns of a reset.
    if (this.#phase !== "hello") return
    try {
      const reader = this.#reader!
      const chunk = this.#socket.read() as Buffer | null
      if (chunk === null) return
      const result = reader.push(chunk)
      if (result === undefined) return
      if (isHelloRefusal(result)) {
        this.#refuse(result)
        return
      }
      this.#reader = undefined
      this.hello = result
      if (result.serverName !== undefined) this.hostname = result.serverName
      this.#socket.off("end", this.#onEnd)
      this.#socket.unshift(reader.bytes)
      this.#decide()
    } catch (cause) {
      this.#fail(cause)
    }
  }

  /** Without a byte: a balancer's check whether anybody listens. */
  readonly #onEnd = (): void => {
    if (this.#phase === "hello") this.#socket.destroy()
  }

  #decide(): void {
    this.#phase = "deciding"
    this.isAsking = true
    this.deadlineAt = 0
    try {
      const decision = this.#context.options.onConnection(this)
      if (decision instanceof Promise) decision.then(this.#settle, this.#fail)
      else this.#settle(decision)
    } catch (cause) {
      this.#fail(cause)
    }
  }

  readonly #settle = (decision: ConnectionDecision): void => {
    try {
      const isWanted = this.#phase === "deciding"
      if (isWanted) this.isAsking = false
      if (!isWanted) {
        if ("relay" in decision) discard(decision.relay)
      } else if ("relay" in decision) this.#connect(decision.relay, decision.before)
      else if ("refuse" in decision)
        this.#refuse({ alert: decision.refuse, reason: decision.reason, code: decision.code })
      else this.#passOn(decision.passOn)
    } catch (cause) {
      this.#fail(cause)
    }
  }

  readonly #fail = (cause: unknown): void => {
    reportError(this.#context, "ProxyFailed", cause)
    if (this.#phase === "relaying") this.#breakOff("reset")
    else this.#refuse({ alert: "internal_error", reason: "the router failed", code: "PROXY_FAILED" })
  }

  #connect(app: Duplex, before: Uint8Array | undefined): void {
    this.#phase = "relaying"
    this.#socket.off("readable", this.#onReadable)
    this.onActivity()
    this.#relay = new TcpRelay(this.#socket, app, this)
    this.#relay.open(before)
  }

  onActivity(): void {
    if (this.#broken) return
    const { deadlines, tcpLimits } = this.#context
    this.deadlineAt = deadlines.in(this.#halfClosed ? tcpLimits.halfClosedTimeoutMs : tcpLimits.idleTimeoutMs)
  }

  onHalfClosed(): void {
    this.#halfClosed = true
    this.onActivity()
  }

  onBroken(): void {
    this.#broken = true
    this.deadlineAt = this.#context.deadlines.in(this.#context.tcpLimits.lingerMs)
  }

  /** Its client is sent the alert, if it understands one; what it still sends is thrown away, so that it can read that. */
  #refuse(refusal: {
    readonly alert: TlsAlert | undefined
    readonly reason?: string
    readonly code?: string | undefined
  }): void {
    if (this.#phase === "over" || this.#phase === "refused") return
    const isTls = this.hello !== undefined || this.#reader !== undefined
    const { alert, reason, code } = refusal
    this.#phase = "refused"
    this.#end = "refused"
    this.#refusal = {
      ...(alert === undefined || !isTls ? {} : { alert }),
      ...(code === undefined ? {} : { code }),
      ...(reason === undefined ? {} : { reason }),
    }
    const socket = this.#socket
    socket.off("readable", this.#onReadable)
    if (!isTls || alert === undefined) {
      reset(socket)
      return
    }
    const { deadlines, tcpLimits } = this.#context
    this.deadlineAt = tcpLimits.lingerMs === 0 ? performance.now() : deadlines.in(tcpLimits.lingerMs)
    socket.on("end", () => endAndDestroy(socket))
    socket.end(alertRecord(alert))
    socket.resume()
  }

  #passOn(next: (socket: Socket) => void): void {
    this.#phase = "over"
    const socket = this.#socket
    socket.off("readable", this.#onReadable)
    socket.off("close", this.#onClose)
    // Not paused, as it would seem until Node has seen that our listener is gone: who resumes it would lose what was read.
    ;(socket as { readableFlowing: boolean | null }).readableFlowing = null
    if (this.#proxied !== undefined) socket.unshift(this.#proxied.header)
    this.#leave()
    // Not before Node has noticed that nobody listens for `readable` any more: until then it says nothing to the next one who does.
    process.nextTick(() => {
      try {
        next(socket)
      } catch (cause) {
        reportError(this.#context, "ProxyFailed", cause)
        socket.destroy()
      }
    })
  }

  onDeadline(): void {
    if (this.#phase === "hello") this.#refuse({ alert: undefined, reason: "the ClientHello took too long" })
    else if (this.#phase === "relaying") this.#breakOff("timeout")
    else this.#socket.destroy()
  }

  closeIfIdle(ms: number): boolean {
    if (this.#phase !== "hello" || performance.now() - this.#startedAt < ms) return false
    this.#refuse({ alert: undefined, reason: "it made room for others" })
    this.#onClose()
    return true
  }

  drain(): void {
    const { deadlines, lastRequestMs } = this.#context
    if (this.#phase !== "hello") return
    if (lastRequestMs === 0) this.goAway()
    else this.deadlineAt = deadlines.in(lastRequestMs)
  }

  goAway(): void {
    this.#breakOff("drained")
  }

  #breakOff(end: End): void {
    if (this.#phase === "over") return
    if (this.#phase !== "refused") this.#end = end
    if (this.#relay === undefined) reset(this.#socket)
    else this.#relay.reset()
  }

  readonly #onClose = (): void => {
    if (this.#phase === "over") return
    this.#phase = "over"
    if (this.#relay !== undefined) {
      const bothEnded = this.#relay.onClientClose()
      if (this.#end === "left") this.#end = bothEnded ? "closed" : "reset"
    }
    this.#leave()
    const { onEvent } = this.#context.options
    try {
      onEvent?.({
        type: "connection",
        id: this.id,
        hostname: this.hostname,
        alpn: this.hello?.alpn ?? [],
        remoteAddress: this.remoteAddress,
        localPort: this.localPort,
        bytesIn: this.bytesIn,
        bytesOut: this.bytesOut,
        durationMs: performance.now() - this.#startedAt,
        end: this.#end,
        ...this.#refusal,
      })
    } catch {
      // A log that fails must not fail the connection.
    }
  }

  #leave(): void {
    const context = this.#context
    context.deadlines.remove(this)
    this.#reader = undefined
    this.endLife((listener) => {
      try {
        listener()
      } catch (cause) {
        reportError(context, "ProxyFailed", cause)
      }
    })
    removeConnection(context, this)
  }
}

const discard = (stream: Duplex): void => {
  stream.on("error", ignore)
  stream.destroy()
}

const ignore = (): void => {}
