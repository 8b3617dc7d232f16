import type { GeneratedResponse } from "../../generated-response.ts"
import type { RequestHead } from "../../http1/head.ts"
import type { ClientConnection } from "../connection/client-connection.ts"
import type { ExchangeRecord } from "./exchange-record.ts"
import { STATUS_CODES } from "node:http"
import { headerValue } from "../../header-list.ts"
import { httpDate } from "../../http-date.ts"
import { responseHeadText } from "../../http1/write.ts"
import { writePiece } from "../io/write.ts"

const NO_BYTES = Buffer.alloc(0)

/** A response that a proxy made, on its way to the client. */
export class LocalResponse {
  readonly #connection: ClientConnection
  /** Absent for what could not be understood as a request. */
  readonly #head: RequestHead | undefined
  readonly #record: ExchangeRecord
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  #canceled = false
  #resolveDrain: (() => void) | undefined

  constructor(connection: ClientConnection, head: RequestHead | undefined, record: ExchangeRecord) {
    this.#connection = connection
    this.#head = head
    this.#record = record
  }

  /**
   * Writes a valid response. `close`: the connection must close after it for another reason. Gives, or resolves to, whether it
   * must close. Rejects when the body's stream fails or does not have its `Content-Length`.
   */
  write(response: GeneratedResponse, close: boolean): boolean | Promise<boolean> {
    const { status, body } = response
    const { socket } = this.#connection
    const reason = STATUS_CODES[status] ?? ""
    const dated = headerValue(response.headers, "date") !== undefined
    const headers = dated ? response.headers : [...response.headers, "Date", httpDate()]
    const headless = this.#head?.method === "HEAD" || status === 304
    if (!isStream(body)) {
      const bytes = typeof body === "string" ? Buffer.from(body) : (body ?? NO_BYTES)
      // Of a response that shows no body only its maker knows how long one would be (RFC 9110 §8.6).
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
    // A length that the body's maker names is kept and held to; without one there are chunks, or the end of the connection.
    const named = headerValue(headers, "content-length")
    const length = named === undefined ? undefined : Number(named)
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

  /** Nobody waits for the response any more: ends a body that is a stream. */
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
