import { STATUS_CODES } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { GeneratedResponse, HeaderList } from "@project-ingress/forward"
import { headerValue } from "@project-ingress/forward"
import type { Engine, RequestMessage, ResponseMessageHead, ResponseSink } from "@project-ingress/forward/sockets"
import type { RouterEngine } from "../router-engine.ts"
import { ClientSocket } from "./client-socket.ts"

type ServingHost = Pick<RouterEngine, "engine" | "program" | "failure">

/** Gives a request of a node:http server to the engine, and writes the engine's response to it. */
export const serveMessage = (host: ServingHost, request: IncomingMessage, response: ServerResponse): void => {
  const { socket } = request
  if (socket.destroyed) return
  // node:http also takes HTTP/0.9 and HTTP/2.0, and reads them as HTTP/1.
  if (!/^1\.[01]$/.test(request.httpVersion)) {
    refuse(response, host.failure("VersionUnknown", undefined, request.rawHeaders))
    return
  }
  const connection = ClientSocket.of(socket)
  const sink = new NodeResponse(host, request, response)
  const message = host.engine.message(connection, headOf(request), sink)
  sink.begin(message, connection)
}

/** Writes a response of ours to what the engine cannot be given. */
export const refuse = (response: ServerResponse, { status, headers, body }: GeneratedResponse): void => {
  response.shouldKeepAlive = false
  response.writeHead(status, [...headers]).end(typeof body === "string" ? body : undefined)
}

/** Express takes the path that a middleware is mounted at out of `url`. */
type RoutedMessage = IncomingMessage & { readonly originalUrl?: string }

/** Raw, as it came: `headers` has lines joined and others left out. */
const headOf = ({ method = "", url = "", originalUrl = url, httpVersion, rawHeaders }: RoutedMessage) =>
  ({
    method,
    target: originalUrl,
    // A handshake that node:http reads as a request is one (RFC 9110 §7.8: a server may ignore an upgrade).
    headers: withoutUpgrade(rawHeaders),
    ended: !hasBody(rawHeaders),
    version: httpVersion === "1.0" ? 10 : 11,
  }) as const

const withoutUpgrade = (headers: HeaderList): HeaderList =>
  headerValue(headers, "upgrade") === undefined
    ? headers
    : headers.filter((_, i) => headers[i - (i % 2)]!.toLowerCase() !== "upgrade")

/** RFC 9112 §6.3. What is no length goes to the engine as it is, which refuses it. */
const hasBody = (headers: HeaderList): boolean => {
  if (headerValue(headers, "transfer-encoding") !== undefined) return true
  const length = headerValue(headers, "content-length")
  return length !== undefined && !/^0+$/.test(length)
}

/** The response of a node:http server as a sink of the engine, and the request's body as its source. */
class NodeResponse implements ResponseSink {
  readonly #engine: Engine
  readonly #errorName: string
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  #message: RequestMessage | undefined
  #leave: (() => void) | undefined
  /** True once the client's side of the response has begun to leave with a head of its own. */
  #flushed = false

  constructor({ engine, program }: ServingHost, request: IncomingMessage, response: ServerResponse) {
    this.#engine = engine
    this.#errorName = program.headerNames.error
    this.#request = request
    this.#response = response
  }

  begin(message: RequestMessage, connection: ClientSocket): void {
    this.#message = message
    const abort = () => message.abort()
    this.#leave = connection.whenClosed(abort)
    this.#response.on("drain", () => message.drained())
    // As when a time-out of the app's server destroys it.
    this.#response.on("close", () => {
      this.#leave?.()
      abort()
    })
    this.#response.on("error", abort)
    if (!hasBody(this.#request.rawHeaders)) return
    this.#request.on("data", this.#onData)
    this.#request.on("end", () => message.complete(this.#request.rawTrailers))
    this.#request.on("error", abort)
  }

  readonly #onData = (bytes: Buffer): void => {
    if (!this.#message!.receive(bytes)) this.#request.pause()
  }

  wanted(): void {
    this.#request.resume()
  }

  interim({ status, headers }: ResponseMessageHead): void {
    const response = this.#response
    if (status === 100) response.writeContinue()
    else writeInterim(response, status, headers)
  }

  head({ status, reason, headers }: ResponseMessageHead, ended: boolean): void {
    const response = this.#response
    // The engine writes the date.
    response.sendDate = false
    // What it ends a client's connection for: a body that is not complete, a drain, and what is no request of ours.
    if (!this.#request.complete || this.#engine.draining() || isRefusal(status, headers, this.#errorName))
      response.shouldKeepAlive = false
    // A flat list keeps order, case and repetition.
    response.writeHead(status, reason, [...headers])
    if (ended) this.#end()
    else
      process.nextTick(() => {
        // An event stream has a head long before its first event.
        if (!this.#flushed && !response.destroyed) response.flushHeaders()
      })
  }

  body(bytes: Uint8Array): boolean {
    this.#flushed = true
    return this.#response.write(bytes)
  }

  end(trailers: HeaderList): void {
    const pairs: [string, string][] = []
    for (let i = 0; i < trailers.length; i += 2) pairs.push([trailers[i]!, trailers[i + 1]!])
    if (pairs.length > 0) this.#response.addTrailers(pairs)
    this.#end()
  }

  #end(): void {
    this.#flushed = true
    this.#leave?.()
    this.#response.end()
    // Nobody reads the rest of the body. Its connection ends, see `head`.
    this.#request.off("data", this.#onData)
    if (!this.#request.complete) this.#request.resume()
  }

  reset(): void {
    const { socket } = this.#response
    if (socket !== null) reset(socket)
    // Responses to earlier requests of the connection come first; it breaks when it is this one's turn.
    else Object.defineProperty(this.#response, "assignSocket", { value: reset })
  }
}

/** Whether the engine, or a proxy behind it, refused to understand the request: then its client may mean another one than we read. */
const isRefusal = (status: number, headers: HeaderList, errorName: string): boolean =>
  refusals.has(status) && headerValue(headers, errorName) !== undefined

const refusals: ReadonlySet<number> = new Set([400, 405, 414, 417, 431, 501, 505])

/** So that the client sees a failure: a clean end would look like the end of a response. */
const reset = (socket: Socket): void => {
  try {
    socket.resetAndDestroy()
  } catch {
    // Not a TCP socket. With TLS the missing close_notify shows the failure.
  }
  socket.destroy()
}

/** `writeInformation` is of Node 24.13 or later; before, only node:http itself writes any interim response. */
const writeInterim = (response: ServerResponse, status: number, headers: HeaderList): void => {
  const writer = response as Partial<InterimWriter>
  if (writer.writeInformation !== undefined) {
    writer.writeInformation(status, headers)
    return
  }
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`]
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`)
  writer._writeRaw?.([...lines, "", ""].join("\r\n"), "latin1")
}

interface InterimWriter {
  writeInformation(status: number, headers: HeaderList): void
  _writeRaw(text: string, encoding: string): void
}
