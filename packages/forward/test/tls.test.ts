import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { createServer as createSecureServer, request } from "node:https"
import type { AddressInfo } from "node:net"
import * as tls from "node:tls"
import { afterEach, expect, it } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import { defaultHeaderNames as names, errorResponse, forwardErrors, requestHeaders } from "../src/forward.ts"
import { createEngine } from "../src/sockets.ts"
import type { UpstreamAddress } from "../src/sockets.ts"

// A key for tests only, made for localhost.
const read = (name: string) => readFileSync(new URL(`./fixtures/${name}`, import.meta.url))
const identity = { key: read("localhost.key"), cert: read("localhost.crt") }

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

const listen = async (server: tls.Server | ReturnType<typeof createServer>): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

/** The engine on a TLS server of the caller's, in front of one origin. */
const front = async (origin: Omit<UpstreamAddress, "pool">): Promise<number> => {
  const engine = createEngine({
    onRequest: ({ head, encrypted }) => ({
      origin: { pool: "p", ...origin },
      headers: requestHeaders(head.headers, {
        headerNames: names,
        host: "localhost",
        pseudonym: "test",
        trusted: false,
        upgrade: head.upgrade,
        add: ["X-Forwarded-Proto", encrypted ? "https" : "http"],
      }),
      response: { headerNames: names, stamped: false, add: [] },
    }),
    failure: (tag) => errorResponse(forwardErrors[tag], { headerNames: names, pseudonym: "test" }),
  })
  const port = await listen(tls.createServer(identity, engine.connection))
  closing.push(() => engine.drain({ deadlineMs: 0 }))
  return port
}

const app = (secure: boolean) => {
  const answer = (proto: string | string[] | undefined) => JSON.stringify({ proto })
  const server = secure
    ? createSecureServer(identity, (req, res) =>
        req.pipe(res.writeHead(200, { "x-seen": answer(req.headers["x-forwarded-proto"]) })),
      )
    : createServer((req, res) => req.pipe(res.writeHead(200, { "x-seen": answer(req.headers["x-forwarded-proto"]) })))
  const sockets = new WebSocketServer({ server })
  sockets.on("connection", (socket) => socket.on("message", (data, binary) => socket.send(data, { binary })))
  closing.push(() => sockets.close())
  return server
}

const post = (
  port: number,
  body: Buffer,
): Promise<{ readonly status: number; readonly body: Buffer; readonly seen: unknown }> =>
  new Promise((resolve, reject) => {
    const req = request(
      { port, host: "127.0.0.1", ca: identity.cert, servername: "localhost", method: "POST" },
      (res) => {
        const pieces: Buffer[] = []
        res.on("data", (piece: Buffer) => pieces.push(piece))
        res.on("end", () =>
          resolve({ status: res.statusCode!, body: Buffer.concat(pieces), seen: res.headers["x-seen"] }),
        )
        res.on("error", reject)
      },
    )
    req.on("error", reject)
    req.end(body)
  })

it.each([false, true])(
  "TLS clients reach an app, itself behind TLS: %s, with bodies of any size and WebSockets",
  async (secure) => {
    const up = await listen(app(secure))
    const port = await front({ host: "localhost", port: up, ...(secure ? { tls: { ca: identity.cert } } : {}) })
    for (const size of [0, 1, 100_000, 5_000_000]) {
      const body = Buffer.alloc(size, "abc")
      const answer = await post(port, body)
      expect(answer).toMatchObject({ status: 200, seen: '{"proto":"https"}' })
      expect(answer.body.equals(body)).toBe(true)
    }
    const socket = new WebSocket(`wss://localhost:${port}/`, { ca: identity.cert })
    await once(socket, "open")
    socket.send(Buffer.alloc(200_000, "x"))
    const [echoed] = (await once(socket, "message")) as [Buffer]
    expect(echoed.length).toBe(200_000)
    socket.close(1000)
    const [code] = (await once(socket, "close")) as [number]
    expect(code).toBe(1000)
  },
)

it("an app whose certificate is not trusted is not reached: 502", async () => {
  const up = await listen(app(true))
  const port = await front({ host: "localhost", port: up, tls: {} })
  expect(await post(port, Buffer.from("secret"))).toMatchObject({ status: 502 })
})
