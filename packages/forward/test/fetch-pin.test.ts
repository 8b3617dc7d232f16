import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:https"
import type { AddressInfo, Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import { afterAll, beforeAll, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import { forwardConnect, forwardFetch } from "../src/fetch/node.ts"
import { publicKeyPin } from "../src/sockets.ts"

// Keys for tests only. One certificate is for localhost, the other one ended in 2001 and is for nobody.
const read = (name: string) => readFileSync(new URL(`./fixtures/${name}`, import.meta.url), "utf8")
const pin = publicKeyPin(read("expired.key"))
const otherPin = publicKeyPin(read("localhost.key"))

const requests: string[] = []
const connections: Socket[] = []
const resumed: boolean[] = []
let bytes = 0
const server = createServer({ key: read("expired.key"), cert: read("expired.crt") }, (request, response) => {
  requests.push(request.headers.cookie ?? "")
  request.pipe(response)
})
const sockets = new WebSocketServer({ server })
sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(data as Buffer, { binary: false })))
server.on("connection", (socket: Socket) => connections.push(socket))
server.on("secureConnection", (socket: TLSSocket) => {
  resumed.push(socket.isSessionReused())
  socket.on("data", (data: Buffer) => (bytes += data.length))
  socket.on("error", () => {})
})
server.on("tlsClientError", () => {})

let origin: string
beforeAll(async () => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const send = (more: { readonly pin?: string; readonly addresses?: object }) =>
  forwardFetch({
    origin,
    target: "/",
    method: "POST",
    headers: ["Cookie", "session=secret"],
    body: new Blob(["body"]).stream(),
    ...more,
  })

const MISMATCH = { _tag: "SendFailure", kind: "other", sent: "no", cause: { code: "PIN_MISMATCH" } }

it("a pinned request reaches the owner of the key, whatever the certificate says, by connections that are used again", async () => {
  for (let i = 0; i < 5; i++) expect(await (await send({ pin })).text()).toBe("body")
  expect(requests).toEqual(Array.from({ length: 5 }, () => "session=secret"))
  // The next request may be sent before undici knows that the last response is over.
  expect(connections.length).toBeLessThan(5)
})

it("the owner of another key gets no byte, of a request or of a handshake, also where a connection is open", async () => {
  const before = bytes
  await expect(send({ pin: otherPin })).rejects.toMatchObject(MISMATCH)
  await expect(send({ pin: otherPin, addresses: { allowCidrs: ["127.0.0.0/8"] } })).rejects.toMatchObject(MISMATCH)
  const handshake = { origin, target: "/", headers: ["Cookie", "session=secret"], pin: otherPin }
  await expect(forwardConnect(handshake)).rejects.toMatchObject({ _tag: "SendFailure", sent: "no" })
  expect(bytes).toBe(before)
})

it("a WebSocket reaches the owner of the key", async () => {
  const { socket, accept } = await forwardConnect({ origin, target: "/", headers: [], pin })
  expect(socket).toBeDefined()
  const open = accept()
  open.send("hello")
  const [message] = (await once(open, "message")) as [MessageEvent]
  expect(message.data).toBe("hello")
  open.close()
})

it("the key is proven by each connection: no session is resumed", async () => {
  const before = resumed.length
  for (let i = 0; i < 2; i++) {
    // Through, so that a session of TLS 1.3 has come, which follows the handshake; on a connection that then is gone.
    await (await send({ pin })).text()
    const open = connections.splice(0).filter((connection) => !connection.destroyed)
    for (const connection of open) connection.destroy()
    await Promise.all(open.map((connection) => once(connection, "close")))
    await new Promise(setImmediate)
  }
  expect(resumed.length).toBeGreaterThan(before)
  expect(resumed).not.toContain(true)
})

it("a pin without TLS is refused before a connection is opened", async () => {
  await expect(
    forwardFetch({ origin: "http://127.0.0.1:1", target: "/", method: "GET", headers: [], body: null, pin }),
  ).rejects.toMatchObject({ sent: "no", cause: { message: "a pin needs an https origin" } })
})
