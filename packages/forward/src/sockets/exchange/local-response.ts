import type { GeneratedResponse } from "../../error-response.ts"
import type { RequestHead } from "../../http1/head.ts"
import type { ClientConnection } from "../connection/client-connection.ts"
import type { ExchangeRecord } from "./exchange-record.ts"
import { STATUS_CODES } from "node:http"
import { httpDate } from "../../http-date.ts"
import { checkFields, responseHeadText } from "../../http1/write.ts"
import { writePiece } from "../io/write.ts"

const NO_BYTES = Buffer.alloc(0)

/** The exchange that a generated response is for. */
export interface LocalResponseOwner {
  /** The response is written. `close`: the client's connection must end with it. */
  onLocalEnd(close: boolean): void
  /** The body's stream failed after the head was written. */
  onLocalFailed(cause: unknown): void
}

/** A generated response on its way to the client. */
export class LocalResponse {
  readonly #connection: ClientConnection
  /** Absent for what could not be understood as a request. */
  readonly #head: RequestHead | undefined
  readonly #record: ExchangeRecord
  readonly #owner: LocalResponseOwner
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  #canceled = false
  #resolveDrain: (() => void) | undefined

  constructor(
    connection: ClientConnection,
    head: RequestHead | undefined,
    record: ExchangeRecord,
    owner: LocalResponseOwner,
  ) {
    this.#connection = connection
    this.#head = head
    this.#record = record
    this.#owner = owner
  }

  /**
   * Writes the response and calls its owner once: before it returns, or later if the body is a stream. `close`: the connection
   * must end after it for another reason. Throws a `TypeError`, before anything is written, if a field is invalid.
   */
  send(response: GeneratedResponse, close: boolean): void {
    const written = this.#write(response, close)
    if (typeof written === "boolean") {
      this.#owner.onLocalEnd(written)
      return
    }
    written.then(
      (closes) => this.#settle(() => this.#owner.onLocalEnd(closes)),
      (cause: unknown) => this.#settle(() => this.#owner.onLocalFailed(cause)),
    )
  }

  /** A stream that fails because its reader has left did what it should. */
  #settle(call: () => void): void {
    if (!this.#canceled) this.#connection.guard(call)
  }

  /** Gives, or resolves to, whether the connection must end after the response. Rejects when the body's stream fails. */
  #write(response: GeneratedResponse, close: boolean): boolean | Promise<boolean> {
    const { status, body } = response
    const { socket } = this.#connection
    checkFields(response.headers)
    const reason = STATUS_CODES[status] ?? ""
    const dated = response.headers.some((item, i) => i % 2 === 0 && item.toLowerCase() === "date")
    const headers = dated ? response.headers : [...response.headers, "Date", httpDate()]
    const headless = this.#head?.method === "HEAD" || status === 304
    if (!isStream(body)) {
      const bytes = typeof body === "string" ? Buffer.from(body) : (body ?? NO_BYTES)
      // RFC 9110 §8.6: the length of a body that is not sent is known only to whoever made the response.
      const unknown = status === 204 || status === 304 || (headless && bytes.length === 0)
      const text = responseHeadText(status, reason, headers, unknown ? "none" : bytes.length, close)
      if (headless || status === 204 || bytes.length === 0) socket.write(text, "latin1")
      else {
        this.#record.bytesOut += bytes.length
        writePiece(socket, text, bytes, false)
      }
      return close
    }
    if (headless || status === 204) {
      socket.write(responseHeadText(status, reason, headers, "none", close), "latin1")
      body.cancel().catch(() => undefined)
      return close
    }
    // A Content-Length is kept, and the body must have that length. Without one the body is chunked, or ends with the connection.
    const at = headers.findIndex((item, i) => i % 2 === 0 && item.toLowerCase() === "content-length")
    const length = at < 0 ? undefined : Number(headers[at + 1])
    const framing = length ?? (this.#head?.version === 11 ? "chunked" : "until-close")
    const closes = close || framing === "until-close"
    socket.write(responseHeadText(status, reason, headers, framing, closes), "latin1")
    return this.#pipeBody(body, framing === "chunked", length).then(() => closes)
  }

  /** The client's socket can take more. */
  onDrain(): void {
    const resolve = this.#resolveDrain
    if (resolve === undefined) return
    this.#resolveDrain = undefined
    this.#connection.deadlineAt = 0
    resolve()
  }

  /** The client has left: cancels a body that is a stream. The owner is not called any more. */
  cancel(): void {
    this.#canceled = true
    this.#reader?.cancel().catch(() => undefined)
    this.#resolveDrain?.()
  }

  async #pipeBody(stream: ReadableStream<Uint8Array>, chunked: boolean, length: number | undefined): Promise<void> {
    const { socket } = this.#connection
    const reader = stream.getReader()
    this.#reader = reader
    let sent = 0
    for (;;) {
      const { done, value } = await reader.read()
      if (this.#canceled) {
        await reader.cancel()
        return
      }
      if (done) break
      if (value.length === 0) continue
      sent += value.length
      if (length !== undefined && sent > length) {
        reader.cancel().catch(() => undefined)
        throw new Error("the body of a response is longer than its Content-Length")
      }
      this.#record.bytesOut += value.length
      if (!writePiece(socket, "", value, chunked)) await this.#drained()
    }
    if (length !== undefined && sent < length) {
      throw new Error("the body of a response is shorter than its Content-Length")
    }
    if (chunked) socket.write("0\r\n\r\n", "latin1")
  }

  #drained(): Promise<void> {
    const { deadlines, limits } = this.#connection.context
    return new Promise((resolve) => {
      this.#connection.deadlineAt = deadlines.in(limits.upstreamIdleTimeoutMs)
      this.#resolveDrain = resolve
    })
  }
}

const isStream = (body: GeneratedResponse["body"]): body is ReadableStream<Uint8Array> =>
  typeof body === "object" && body !== null && "getReader" in body
