import type { Duplex } from "node:stream"
import type { GeneratedResponse } from "../../error-response.ts"
import type { RequestHead } from "../../http1/head.ts"
import { STATUS_CODES } from "node:http"
import { httpDate } from "../../http-date.ts"
import { checkFields, responseHeadText } from "../../http1/write.ts"
import { writePiece } from "../io/write.ts"

/** Where an answer of our own goes. */
export interface AnswerSink {
  readonly socket: Duplex
  readonly head: RequestHead | undefined
  readonly close: boolean
  /** True when nobody waits for the answer any more. */
  readonly over: () => boolean
  /** Told of octets of the body as they are written. */
  readonly wrote: (octets: number) => void
  /** Resolves when the socket can take more. */
  readonly drained: () => Promise<void>
  /** Told how to end a body that is a stream, for when nobody waits for it any more. */
  readonly pouring: (cancel: () => void) => void
}

const NOTHING = Buffer.alloc(0)

/**
 * Writes an answer that a proxy made. Gives, or resolves to, whether the connection must close after it. Throws or rejects when
 * a field is not one or the body's stream fails.
 */
export const writeAnswer = (answer: GeneratedResponse, sink: AnswerSink): boolean | Promise<boolean> => {
  const { status, body } = answer
  checkFields(answer.headers)
  const reason = STATUS_CODES[status] ?? ""
  const dated = answer.headers.some((item, i) => i % 2 === 0 && item.toLowerCase() === "date")
  const headers = dated ? answer.headers : [...answer.headers, "Date", httpDate()]
  const headless = sink.head?.method === "HEAD" || status === 304
  if (!isStream(body)) {
    const bytes = typeof body === "string" ? Buffer.from(body) : (body ?? NOTHING)
    // Of an answer that shows no body only its maker knows how long one would be (RFC 9110 §8.6).
    const unknown = status === 204 || status === 304 || (headless && bytes.length === 0)
    const text = responseHeadText(status, reason, headers, unknown ? "none" : bytes.length, sink.close)
    if (headless || status === 204 || bytes.length === 0) sink.socket.write(text, "latin1")
    else {
      sink.wrote(bytes.length)
      writePiece(sink.socket, text, bytes, false)
    }
    return sink.close
  }
  const length = headers.findIndex((item, i) => i % 2 === 0 && item.toLowerCase() === "content-length")
  if (headless || status === 204) {
    sink.socket.write(responseHeadText(status, reason, headers, "none", sink.close), "latin1")
    body.cancel().catch(() => undefined)
    return sink.close
  }
  // A length that the body's maker names is kept and held to; without one there are chunks, or the end of the connection.
  const named = length < 0 ? undefined : Number(headers[length + 1])
  const framing = named ?? (sink.head?.version === 11 ? "chunked" : "until-close")
  const close = sink.close || framing === "until-close"
  sink.socket.write(responseHeadText(status, reason, headers, framing, close), "latin1")
  return pour(body, sink, framing === "chunked", named).then(() => close)
}

const pour = async (
  stream: ReadableStream<Uint8Array>,
  sink: AnswerSink,
  chunked: boolean,
  named: number | undefined,
): Promise<void> => {
  const reader = stream.getReader()
  sink.pouring(() => void reader.cancel().catch(() => undefined))
  let sent = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (sink.over()) {
      await reader.cancel()
      return
    }
    if (done) break
    if (value.length === 0) continue
    sent += value.length
    if (named !== undefined && sent > named) {
      reader.cancel().catch(() => undefined)
      throw new Error("the answer's body is longer than its Content-Length")
    }
    sink.wrote(value.length)
    if (!writePiece(sink.socket, "", value, chunked)) await sink.drained()
  }
  if (named !== undefined && sent < named) throw new Error("the answer's body is shorter than its Content-Length")
  if (chunked) sink.socket.write("0\r\n\r\n", "latin1")
}

const isStream = (body: GeneratedResponse["body"]): body is ReadableStream<Uint8Array> =>
  typeof body === "object" && body !== null && "getReader" in body
