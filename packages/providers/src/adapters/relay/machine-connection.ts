import { MAX_STREAMS, Multiplexer } from "@project-ingress/forward/internal"
import { ownResponse } from "./addresses.ts"
import { ByteStream, StreamEnded } from "./byte-stream.ts"
import { readHead, responseFields, responseOf, writeRequest } from "./exchange.ts"
import type { Exchange } from "./exchange.ts"
import type { ObjectSocket } from "./runtime.ts"
import { switched } from "./runtime.ts"
import type { SocketMeetings } from "./socket-meetings.ts"

/** What is known of a machine's connection after the object was woken, kept with its WebSocket. */
export interface Attachment {
  /** When it was made, in ms since 1970. */
  readonly since: number
  readonly nextId: number
  /** The machine takes no more streams. */
  readonly draining: boolean
  /** Streams are open: what was in memory about them cannot be had again. */
  readonly busy: boolean
}

/** The WebSocket of a machine that has proven who it is, with its streams. */
export class MachineConnection {
  readonly socket: ObjectSocket
  readonly since: number
  /** When its last message came, in ms since 1970. */
  seenAt: number
  draining: boolean
  readonly #streams: Multiplexer
  readonly #meetings: SocketMeetings

  constructor(socket: ObjectSocket, attachment: Attachment, meetings: SocketMeetings) {
    this.socket = socket
    this.since = attachment.since
    this.seenAt = attachment.since
    this.draining = attachment.draining
    this.#meetings = meetings
    this.#streams = new Multiplexer({
      nextId: attachment.nextId,
      send: (message) => {
        try {
          socket.send(message)
        } catch {
          // It is closing: its end will be reported.
        }
      },
      onDrain: () => {
        this.draining = true
        this.#keep()
      },
      onIdle: () => this.#keep(),
    })
    this.#keep()
  }

  /** Open streams. */
  get streams(): number {
    return this.#streams.size
  }

  /** Takes a message. Gives what is wrong with one that has no meaning. */
  receive(message: Uint8Array): string | undefined {
    this.seenAt = Date.now()
    return this.#streams.receive(message)
  }

  /** The connection is lost. */
  lose(): void {
    this.#streams.close()
  }

  /** Sends a visitor's request through. Resolves with the app's response, or with one of the object's own. */
  async send(request: Request, waitUntil: (work: Promise<unknown>) => void): Promise<Response> {
    if (this.#streams.size >= MAX_STREAMS || this.#streams.exhausted) return ownResponse("too-many-streams")
    const upgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket"
    const meeting = upgrade ? this.#meetings.open() : undefined
    const stream = this.#open(meeting?.token)
    const cancel = (): void => stream.cancel()
    request.signal.addEventListener("abort", cancel, { once: true })
    const settle = (): void => {
      request.signal.removeEventListener("abort", cancel)
      meeting?.close()
    }
    let exchange: Exchange
    const written = writeRequest(stream, request, upgrade)
    try {
      // The app may respond before it has read all of the request. If the request breaks off, so does the response.
      written.catch(cancel)
      exchange = await readHead(stream, request.method)
    } catch (cause) {
      settle()
      stream.cancel()
      return ownResponse(cause instanceof StreamEnded && cause.sent === "no" ? "not-sent" : "lost")
    }
    if (exchange.head.status === 101) {
      try {
        return await this.#upgraded(exchange, meeting)
      } finally {
        settle()
        stream.cancel()
      }
    }
    // Whatever is left of the request is of no use to anybody after the response.
    const over = (complete: boolean): void => {
      settle()
      if (complete)
        void written.then(
          () => stream.end(),
          () => {},
        )
      else stream.cancel()
    }
    try {
      const { response, pumped } = responseOf(stream, exchange, over)
      waitUntil(pumped)
      return response
    } catch {
      // No `Response` can be like that: 205 with a body.
      over(false)
      return ownResponse("lost")
    }
  }

  #open(token: Uint8Array | undefined): ByteStream {
    let stream!: ByteStream
    const wasIdle = this.#streams.size === 0
    this.#streams.open((opened) => (stream = new ByteStream(opened)), token)
    if (wasIdle) this.#keep()
    return stream
  }

  /** The app took the handshake: the machine dials a WebSocket, the other end of which is the visitor's. */
  async #upgraded({ head }: Exchange, meeting: ReturnType<SocketMeetings["open"]> | undefined): Promise<Response> {
    if (meeting === undefined || !head.upgrade) return ownResponse("lost")
    const socket = await meeting.socket
    if (socket === undefined) return ownResponse("lost")
    return switched(socket, responseFields(head))
  }

  #keep(): void {
    const { since, draining } = this
    const { nextId, size } = this.#streams
    this.socket.serializeAttachment({ since, nextId, draining, busy: size > 0 } satisfies Attachment)
  }
}
