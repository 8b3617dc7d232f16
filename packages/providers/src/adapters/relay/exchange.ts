import { lastChunkText, requestHeadText, responseReader } from "@project-ingress/forward/http1"
import type { ResponseHead, ResponseReader } from "@project-ingress/forward/http1"
import { connectionFields } from "@project-ingress/forward/internal"
import { StreamEnded } from "./byte-stream.ts"
import type { ByteStream } from "./byte-stream.ts"
import { OUTCOME } from "./addresses.ts"
import { bodyStream, encoded } from "./runtime.ts"

/** Of a machine's response; see `Limits` of `@project-ingress/forward/sockets` for the reasons. */
const limits = { maxResponseHead: 65_536, maxFields: 1_000, maxChunkOverhead: 16_384 }
/** Interim responses before a final one. */
const MAX_INTERIM = 16

/**
 * Text as bytes. workerd reads the bytes of header values as UTF-8, so that they may hold any character: as latin1, which keeps the lower byte
 * of each, U+010D and U+010A would be CR and LF, and begin a field of the visitor's own.
 */
const utf8 = (text: string): Uint8Array => Buffer.from(text, "utf8")
/** The same, back: a head that was read has one character for each byte. */
const fromBytes = (value: string): string => Buffer.from(value, "latin1").toString("utf8")

/** What came back of a request: the final head, and the reader that has what follows it. */
export interface Exchange {
  readonly head: ResponseHead
  readonly reader: ResponseReader
}

/** Writes a request to a stream. Resolves after its last byte. */
export const writeRequest = async (stream: ByteStream, request: Request, upgrade: boolean): Promise<void> => {
  const { pathname, search, host } = new URL(request.url)
  const { method, body } = request
  const length = request.headers.get("content-length")
  const known = length !== null && /^\d{1,15}$/.test(length) ? Number(length) : undefined
  const framing = body === null ? (known === 0 ? 0 : "none") : (known ?? "chunked")
  const fields = ["Host", host]
  for (const [name, value] of request.headers) if (!isOwn(name)) fields.push(name, value)
  if (upgrade) fields.push("Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", ...key())
  await stream.write(utf8(requestHeadText(method, pathname + search, fields, framing)))
  if (body !== null) await writeBody(stream, body, known)
}

/** Fields that are written here, or that end at this hop. */
const isOwn = (name: string): boolean =>
  hopFields.has(name) || name === "host" || (name.startsWith("sec-websocket-") && name !== "sec-websocket-protocol")

const hopFields: ReadonlySet<string> = new Set([...connectionFields, "content-length"])

const key = (): readonly [string, string] => {
  const random = crypto.getRandomValues(new Uint8Array(16))
  return ["Sec-WebSocket-Key", Buffer.from(random).toString("base64")]
}

/** `length`: what the head has said of it, which other bytes after it would make another request of. */
const writeBody = async (
  stream: ByteStream,
  body: ReadableStream<Uint8Array>,
  length: number | undefined,
): Promise<void> => {
  const reader = body.getReader()
  const chunked = length === undefined
  let left = length ?? Infinity
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if (value.length === 0) continue
      left -= value.length
      if (left < 0) throw new TypeError("the body is longer than its Content-Length")
      if (chunked) await stream.write(utf8(`${value.length.toString(16)}\r\n`))
      await stream.write(value)
      if (chunked) await stream.write(utf8("\r\n"))
    }
    if (chunked) await stream.write(utf8(lastChunkText([])))
    else if (left > 0) throw new TypeError("the body is shorter than its Content-Length")
  } catch (cause) {
    reader.cancel(cause).catch(() => {})
    throw cause
  }
}

/** Reads the final head of a response. Rejects with {@link StreamEnded} for an invalid one. */
export const readHead = async (stream: ByteStream, method: string): Promise<Exchange> => {
  const reader = responseReader(limits)
  reader.expect(method)
  for (let interim = 0; interim <= MAX_INTERIM;) {
    const event = reader.read()
    if (event === undefined) {
      const bytes = await stream.read()
      if (bytes === undefined) reader.end()
      else reader.push(bytes)
    } else if (event.type !== "head") {
      throw new StreamEnded("its response is malformed", "maybe")
    } else if (event.status >= 200 || event.status === 101) return { head: event, reader }
    else interim++
  }
  throw new StreamEnded("it had too many interim responses", "maybe")
}

/** The fields of a response that are the visitor's. */
export const responseFields = (head: ResponseHead): Headers => {
  const headers = new Headers()
  for (let i = 0; i < head.headers.length; i += 2) {
    const name = head.headers[i]!.toLowerCase()
    if (name === OUTCOME || hopFields.has(name) || name === "sec-websocket-accept") continue
    headers.append(name, fromBytes(head.headers[i + 1]!))
  }
  return headers
}

/**
 * The response with its body, which is read at the visitor's pace. `onOver` is called once the machine has nothing more to say, or
 * nobody to say it to. A body that ends early ends as a failure.
 */
export const responseOf = (
  stream: ByteStream,
  { head, reader }: Exchange,
  onOver: (complete: boolean) => void,
): { readonly response: Response; readonly pumped: Promise<void> } => {
  const { status, reason, framing } = head
  const headers = responseFields(head)
  if (framing === 0) {
    // To HEAD, and 304: the length of what a GET would bring.
    const length = head.headers.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === "content-length")
    if (length >= 0) headers.set("content-length", head.headers[length + 1]!)
    onOver(true)
    return { response: encoded(null, { status, statusText: reason, headers }), pumped: Promise.resolve() }
  }
  // Inside the platform the runtime writes it for nobody.
  if (typeof framing === "number") headers.set("content-length", String(framing))
  const { readable, writable } = bodyStream(typeof framing === "number" ? framing : undefined)
  const response = encoded(readable, { status, statusText: reason, headers })
  return { response, pumped: pumpBody(stream, reader, writable).then(onOver) }
}

/** Whether all of it was taken. */
const pumpBody = async (
  stream: ByteStream,
  reader: ResponseReader,
  writable: WritableStream<Uint8Array>,
): Promise<boolean> => {
  const writer = writable.getWriter()
  // A visitor who leaves while the machine says nothing.
  writer.closed.catch(() => stream.cancel())
  try {
    for (;;) {
      const event = reader.read()
      if (event === undefined) {
        const bytes = await stream.read()
        if (bytes === undefined) reader.end()
        else reader.push(bytes)
      } else if (event.type === "body") await writer.write(event.bytes)
      else if (event.type === "end") break
      else throw new StreamEnded("the rest of its response is malformed", "maybe")
    }
    await writer.close()
    return true
  } catch (cause) {
    writer.abort(cause).catch(() => {})
    return false
  }
}
