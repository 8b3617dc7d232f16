import {
  MAX_DATA,
  Multiplexer,
  RELAY_PROTOCOL,
  RELAY_STAND_BY,
  relayAudience,
  signRelayProof,
} from "@project-ingress/forward/internal"
import type { RelayStream, StreamHandler } from "@project-ingress/forward/internal"
import type { VerificationKey } from "@project-ingress/forward"
import { WebSocket } from "ws"
import type { MachineProxy } from "../machine-proxy.ts"
import { StreamDuplex } from "./stream-duplex.ts"
import { takeVisitorSocket } from "./visitor-socket.ts"

/** How a connection ended, or why there was none. */
export type ConnectionEnd =
  | { readonly opened: true; readonly code: number; readonly reason: string }
  | { readonly opened: false; readonly status: number | undefined; readonly reason: string }

/** What one connection needs. */
export interface ConnectionOptions {
  /** With the machine's id. */
  readonly url: URL
  readonly machine: string
  readonly key: VerificationKey
  readonly proxy: Pick<MachineProxy, "connection">
  readonly heartbeatMs: number
  /** Ask to be taken only if no other process is connected as this machine. */
  readonly standBy: boolean
  readonly onOpen: () => void
  readonly onEnd: (end: ConnectionEnd) => void
}

/** A connection was replaced by another one of the same machine. */
export const REPLACED = 4001
/** What was sent has no meaning here. */
export const PROTOCOL_ERROR = 4002

/** Until a WebSocket to the relay is open, in ms. */
const HANDSHAKE_TIMEOUT_MS = 15_000

/** One connection to the relay, from its handshake to its end. */
export class RelayConnection {
  readonly #options: ConnectionOptions
  readonly #streams: Multiplexer
  readonly #sockets = new Set<WebSocket>()
  #control: WebSocket | undefined
  #refusal: { readonly status: number | undefined; readonly reason: string } | undefined
  #opened = false
  #ended = false
  #draining = false
  #onIdle: (() => void) | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#streams = new Multiplexer({
      send: (message) => this.#control?.send(message),
      onOpen: (stream, token) => this.#take(stream, token),
      onIdle: () => this.#onIdle?.(),
    })
    void this.#open()
  }

  /** Takes no more streams and resolves when the last one is over. */
  async drain(): Promise<void> {
    this.#draining = true
    if (!this.#opened || this.#ended) return
    this.#streams.send({ type: "drain" })
    if (this.#streams.size > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
  }

  /** Ends the connection. */
  close(): void {
    const control = this.#control
    if (control?.readyState !== WebSocket.OPEN) {
      this.#end(1000, "")
      control?.terminate()
      return
    }
    control.close(1000)
    // A relay that does not reply must not keep the process.
    setTimeout(() => control.terminate(), 1_000).unref()
  }

  async #open(): Promise<void> {
    try {
      const control = await this.#socket(this.#options.url, 2 * MAX_DATA)
      if (this.#ended) return control.terminate()
      this.#control = control
      control.on("error", (error) => (this.#refusal ??= { status: undefined, reason: reasonOf(error) }))
      control.once("unexpected-response", (_, response) => {
        this.#refusal = {
          status: response.statusCode,
          reason: refusalReason(response.statusCode, response.headers.date),
        }
        control.terminate()
      })
      control.once("open", () => this.#onOpen(control))
      control.on("message", (data: Buffer, binary) => this.#onMessage(control, data, binary))
      control.once("close", (code, reason) => this.#end(code, reason.toString()))
    } catch (cause) {
      this.#refusal = { status: undefined, reason: reasonOf(cause) }
      this.#end(1006, "")
    }
  }

  /** A WebSocket to the relay, with a proof of its own, which begins its handshake. */
  async #socket(url: URL, maxPayload: number): Promise<WebSocket> {
    const { machine, key, standBy } = this.#options
    const proof = await signRelayProof(key, { machine, relay: relayAudience(url.host, url.searchParams.get("socket")) })
    const headers = { authorization: `Bearer ${proof}`, ...(standBy ? { [RELAY_STAND_BY]: "1" } : {}) }
    const socket = new WebSocket(url, [RELAY_PROTOCOL], {
      headers,
      perMessageDeflate: false,
      maxPayload,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    })
    // Ended before it is open, it reports that even to nobody.
    socket.on("error", () => {})
    return socket
  }

  #onOpen(control: WebSocket): void {
    this.#opened = true
    const { heartbeatMs, onOpen } = this.#options
    let alive = true
    let deadline: NodeJS.Timeout | undefined
    control.on("message", () => (alive = true))
    const heartbeat = setInterval(() => {
      alive = false
      control.send("ping")
      clearTimeout(deadline)
      deadline = setTimeout(() => {
        if (!alive) control.terminate()
      }, heartbeatMs / 3)
    }, heartbeatMs)
    control.once("close", () => {
      clearInterval(heartbeat)
      clearTimeout(deadline)
    })
    onOpen()
  }

  #onMessage(control: WebSocket, data: Buffer, binary: boolean): void {
    if (!binary) return data.toString() === "pong" ? undefined : control.close(PROTOCOL_ERROR, "not a sign of life")
    const problem = this.#streams.receive(data)
    if (problem !== undefined) control.close(PROTOCOL_ERROR, problem)
  }

  #take(stream: RelayStream, token: Uint8Array | undefined): StreamHandler {
    const duplex = new StreamDuplex(stream)
    if (this.#draining) setImmediate(() => stream.reset("refused"))
    else if (token === undefined) this.#options.proxy.connection(duplex)
    else {
      const dial = () => this.#dial(token)
      takeVisitorSocket(duplex, { proxy: this.#options.proxy, dial }, this.#sockets)
    }
    return duplex
  }

  /** The WebSocket that the relay joins to a visitor's. */
  async #dial(token: Uint8Array): Promise<WebSocket> {
    const url = new URL(this.#options.url)
    url.search = `?socket=${Buffer.from(token).toString("base64url")}`
    const socket = await this.#socket(url, MAX_MESSAGE)
    return new Promise((resolve, reject) => {
      socket.once("open", () => {
        // Until it is joined to the app's, nothing may be read.
        socket.pause()
        socket.removeListener("error", reject)
        resolve(socket)
      })
      socket.once("error", reject)
    })
  }

  #end(code: number, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#streams.close()
    this.#onIdle?.()
    if (code === REPLACED) for (const app of this.#sockets) app.close(1012, "the machine was replaced")
    const { onEnd } = this.#options
    const { status, reason: why } = this.#refusal ?? { status: undefined, reason }
    if (this.#opened) onEnd({ opened: true, code, reason: reason === "" ? why : reason })
    else onEnd({ opened: false, status, reason: why })
  }
}

/** A message of Workers is no larger, in bytes. */
const MAX_MESSAGE = 33_554_432

/** What an error of a connection says: a code, never a token. */
const reasonOf = (cause: unknown): string => {
  const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown }
  return typeof code === "string" ? code : String(message)
}

/** By how much clocks may differ before a refusal is put down to that, in ms. */
const CLOCK_SKEW_MS = 30_000

const refusalReason = (status: number | undefined, date: string | undefined): string => {
  const ahead = date === undefined ? Number.NaN : Date.now() - Date.parse(date)
  if (status === 401 && Math.abs(ahead) > CLOCK_SKEW_MS) {
    return `the clock of this machine differs by ${Math.round(Math.abs(ahead) / 1_000)} s from the relay's`
  }
  switch (status) {
    case 401:
      return "the relay does not accept this machine's key"
    case 404:
      return "no relay is at this URL"
    case 409:
      return "another process is connected as this machine"
    default:
      return `the relay responded ${status}`
  }
}
