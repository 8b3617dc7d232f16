import {
  closePayload,
  frame,
  isCloseCode,
  NO_CODE,
  opcodes,
  randomKey,
  startDeadline,
} from "@project-ingress/forward/internal"
import type { RequestMessage } from "@project-ingress/forward/sockets"
import { SERVER_ERROR, TOO_LARGE, TRY_AGAIN_LATER } from "./close-codes.ts"
import type { MessageTail } from "./message-tail.ts"
import { MessageReader } from "./message-reader.ts"
import type { SocketEvent } from "./message-reader.ts"

/** The client's side of a WebSocket, as the runtime's server has it. Each of `send` and `ping` gives false when it holds more than it should. */
export interface ClientSocket {
  readonly send: (data: string | Uint8Array<ArrayBuffer>) => boolean
  /** Absent where the runtime sends no pings for us: then ours is the response to the machine's. */
  readonly ping?: (data: Uint8Array<ArrayBuffer>) => boolean
  /** `NO_CODE`: without one. */
  readonly close: (code: number, reason: string) => void
  /** Ends it without a close frame, where the runtime can. */
  readonly terminate: () => void
}

/** Between our close frame and the end of the machine's connection, in ms. */
const CLOSE_MS = 5_000
/** Of a frame, in bytes. */
const PIECE = 65_536
/** How many pings of the machine may wait for the client's pong. */
const MAX_PINGS = 16

/**
 * The machine's side of a WebSocket after its handshake. Each side goes at the pace of the other as far as the runtime lets it: nothing is
 * read of the machine while the client's side is full; a client whose machine reads too slowly is closed at `maxMessageBytes`, because
 * neither runtime can stop reading of a client.
 */
export class MachineSocket implements MessageTail {
  readonly #connection: RequestMessage
  readonly #maxMessageBytes: number
  readonly #reader: MessageReader
  #client: ClientSocket | undefined
  /** Bytes that came before the client's side was open. */
  #early: Uint8Array | undefined
  #isFull = false
  /** True once the connection is over, however it ended. */
  #isOver = false
  /** Takes the deadline of the machine's close back. */
  #settled: (() => void) | undefined
  /** True once our close frame is sent, or the connection is given up: nothing is sent any more. */
  #isClosing = false
  /** True once the client's side is closed. */
  #isClientClosed = false
  #pings = 0
  /** The pong that waits for the machine to read. Only the last one is due (RFC 6455 §5.5.3). */
  #pong: Uint8Array | undefined

  constructor(connection: RequestMessage, maxMessageBytes: number) {
    this.#connection = connection
    this.#maxMessageBytes = maxMessageBytes
    this.#reader = new MessageReader(maxMessageBytes)
  }

  /** The client's side is open. */
  open(client: ClientSocket): void {
    this.#client = client
    if (this.#isOver) return this.#lost()
    const early = this.#early
    this.#early = undefined
    if (early === undefined || this.body(early)) this.#connection.drained()
  }

  /** The client's side holds little again. */
  onClientDrain(): void {
    if (!this.#isFull) return
    this.#isFull = false
    if (this.#pump()) this.#connection.drained()
  }

  onClientMessage(data: string | Uint8Array): void {
    const payload = typeof data === "string" ? new TextEncoder().encode(data) : data
    const room = this.#maxMessageBytes + SLACK - this.#queued
    if (payload.length > this.#maxMessageBytes) this.#failBoth(TOO_LARGE, "the message is too large")
    else if (payload.length > room) this.#failBoth(TRY_AGAIN_LATER, "the machine reads too slowly")
    else this.#push(typeof data === "string" ? opcodes.text : opcodes.binary, payload)
  }

  /** A pong for a ping of the machine's. */
  onClientPong(data: Uint8Array): void {
    if (this.#pings === 0) return
    this.#pings--
    this.#sendPong(data)
  }

  /** With a code that no close frame may have, as 1006, the machine is sent none. */
  onClientClose(code: number, reason: string): void {
    this.#isClientClosed = true
    if (this.#isClosing) return
    if (code !== NO_CODE && !isCloseCode(code)) this.#giveUp()
    else this.#close(code, reason)
    // What waits for the client is read by nobody.
    this.#isFull = false
    this.#discard()
    this.#connection.drained()
  }

  body(bytes: Uint8Array): boolean {
    if (this.#client === undefined && !this.#isClientClosed) {
      this.#early = bytes
      return false
    }
    this.#reader.push(bytes)
    if (!this.#isClientClosed) return this.#pump()
    this.#discard()
    return true
  }

  wanted(): void {
    this.#sendPong()
  }

  end(): void {
    this.#giveUp()
    this.#lost()
  }

  reset(): void {
    this.#giveUp()
    this.#lost()
  }

  /** True when everything that was read is passed on. */
  #pump(): boolean {
    while (!this.#isFull) {
      const event = this.#reader.read()
      if (event === undefined) return true
      this.#onEvent(event)
      if (this.#isClientClosed) return true
    }
    return false
  }

  /** Nobody is left to read: only the machine's close frame is waited for. */
  #discard(): void {
    for (let event = this.#reader.read(); event !== undefined; event = this.#reader.read())
      if (event.type === "close") this.#giveUp()
  }

  #onEvent(event: SocketEvent): void {
    const client = this.#client!
    switch (event.type) {
      case "message":
        if (!client.send(event.data)) this.#isFull = true
        return
      case "ping":
        if (client.ping === undefined || this.#pings >= MAX_PINGS) this.#sendPong(event.data)
        else {
          this.#pings++
          if (!client.ping(event.data)) this.#isFull = true
        }
        return
      case "pong":
        return
      case "close":
        // First the machine: some runtimes report the client's close at once.
        this.#close(event.code, "")
        this.#isClientClosed = true
        client.close(event.code, event.reason)
        return
      case "failure":
        this.#close(event.code, "")
        this.#isClientClosed = true
        client.close(SERVER_ERROR, "the machine broke the WebSocket protocol")
    }
  }

  get #queued(): number {
    return this.#connection.waiting
  }

  #push(opcode: number, payload: Uint8Array): void {
    if (this.#isClosing) return
    for (const bytes of frame(opcode, payload, randomKey())) {
      // In pieces, so that the engine can pause between them.
      for (let at = 0; at < bytes.length; at += PIECE) this.#connection.receive(bytes.subarray(at, at + PIECE))
    }
  }

  #sendPong(data: Uint8Array | undefined = this.#pong): void {
    if (data === undefined) return
    // A machine that sends pings and reads nothing would have us hold one pong after another.
    this.#pong = this.#queued > SLACK ? data : undefined
    if (this.#pong === undefined) this.#push(opcodes.pong, data)
  }

  /** Sends a close frame, then waits for a while until the machine ends the connection, as a server does (RFC 6455 §7.1.1). */
  #close(code: number, reason: string): void {
    if (this.#isClosing) return
    this.#push(opcodes.close, closePayload(code, reason))
    this.#isClosing = true
    this.#settled = startDeadline(CLOSE_MS, () => this.#giveUp())
  }

  #failBoth(code: number, reason: string): void {
    this.#giveUp()
    if (this.#isClientClosed) return
    this.#isClientClosed = true
    this.#client?.close(code, reason)
  }

  #giveUp(): void {
    this.#isClosing = true
    this.#isOver = true
    this.#settled?.()
    this.#connection.abort()
  }

  /** The machine's connection ended without a close frame. */
  #lost(): void {
    if (this.#isClientClosed || this.#client === undefined) return
    this.#isClientClosed = true
    this.#client.terminate()
  }
}

/** What may wait for the machine beside one whole message, in bytes. */
const SLACK = 1_048_576
