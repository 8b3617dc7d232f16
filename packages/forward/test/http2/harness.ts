import { readFileSync } from "node:fs"
import { connect as connectHttp2 } from "node:http2"
import type { ClientHttp2Session, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { connect as connectTls, createServer as createTlsServer } from "node:tls"
import type { ConnectionOptions, TlsOptions } from "node:tls"
import { onTestFinished } from "vitest"
import { defaultHeaderNames, errorResponse, forwardErrors } from "../../src/forward.ts"
import { createEngine } from "../../src/sockets.ts"
import type { Engine, EngineEvent, EngineOptions } from "../../src/sockets.ts"
import { RawClient } from "./raw-client.ts"

const fixture = (name: string): Buffer => readFileSync(new URL(`../fixtures/${name}`, import.meta.url))
export const cert = fixture("localhost.crt")
export const key = fixture("localhost.key")

export interface Front {
  readonly engine: Engine
  readonly port: number
  readonly events: EngineEvent[]
  /** A connection of node:http2. */
  readonly connect: (options?: ConnectionOptions) => ClientHttp2Session
  /** A connection on which a test writes frames. */
  readonly raw: () => Promise<RawClient>
}

/** An engine behind TLS that offers HTTP/2. */
export const listenHttp2 = async (
  onRequest: EngineOptions["onRequest"],
  options: Partial<EngineOptions> = {},
  tls: TlsOptions = {},
): Promise<Front> => {
  const events: EngineEvent[] = []
  const engine = createEngine({
    onRequest,
    failure: (tag) => errorResponse(forwardErrors[tag], { headerNames: defaultHeaderNames, pseudonym: "test" }),
    onEvent: (event) => events.push(event),
    ...options,
  })
  const server = createServer(
    engine.secureConnection(createTlsServer({ cert, key, ALPNProtocols: ["h2", "http/1.1"], ...tls })),
  )
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return {
    engine,
    port,
    events,
    connect: (connection = {}) => {
      const session = connectHttp2(`https://localhost:${port}`, {
        rejectUnauthorized: false,
        // In MB: what a test sends is in the client's memory.
        maxSessionMemory: 500,
        ...connection,
      })
      session.on("error", () => undefined)
      onTestFinished(() => session.destroy())
      return session
    },
    raw: async () => {
      const socket = connectTls({
        port,
        host: "127.0.0.1",
        servername: "localhost",
        ALPNProtocols: ["h2"],
        rejectUnauthorized: false,
      })
      onTestFinished(() => void socket.destroy())
      await new Promise<void>((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject))
      return new RawClient(socket)
    },
  }
}

/** A response as a client of node:http2 sees it. */
export interface Seen {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly trailers: IncomingHttpHeaders | undefined
  readonly interims: IncomingHttpHeaders[]
  /** Of the RST_STREAM that ended it; 0 when it is complete. */
  readonly code: number
}

/** Sends a request, for the host `localhost` unless the fields say another one, and waits for the end of its stream. */
export const send = (
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders = {},
  body?: string | Uint8Array,
  trailers?: OutgoingHttpHeaders,
): Promise<Seen> =>
  new Promise((resolve) => {
    const hasBody = body !== undefined || trailers !== undefined
    const stream = session.request(
      { ":authority": "localhost", ...headers },
      { endStream: !hasBody, waitForTrailers: trailers !== undefined },
    )
    const interims: IncomingHttpHeaders[] = []
    let seen: IncomingHttpHeaders = {}
    let trailersSeen: IncomingHttpHeaders | undefined
    let text = ""
    stream.on("headers", (interim: IncomingHttpHeaders) => interims.push(interim))
    stream.on("response", (response: IncomingHttpHeaders) => (seen = response))
    stream.on("trailers", (fields: IncomingHttpHeaders) => (trailersSeen = fields))
    stream.on("data", (bytes: Buffer) => (text += bytes.toString("latin1")))
    stream.on("wantTrailers", () => stream.sendTrailers(trailers!))
    stream.on("error", () => undefined)
    stream.on("close", () =>
      resolve({
        status: Number(seen[":status"] ?? 0),
        headers: seen,
        text,
        trailers: trailersSeen,
        interims,
        code: stream.rstCode ?? 0,
      }),
    )
    if (hasBody) stream.end(body)
  })
