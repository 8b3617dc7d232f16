/**
 * An app that responds while a request's body still comes, and closes: what the engine sends on then fails. In each test the
 * client's bytes are there before the response, so that the write fails before anything of the response was read.
 */
import { Socket } from "node:net"
import { describe, expect, it, vi } from "vitest"
import type { Decision } from "../../src/sockets.ts"
import * as h from "./harness.ts"

const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
const piece = "x".repeat(1_000)

/** How an app ends a connection on which something unread has come. */
const endings: Record<"by a reset" | "by a FIN and a reset", (app: h.Raw) => void> = {
  "by a reset": (app) => app.socket.resetAndDestroy(),
  // `end` sends the FIN within this turn, because everything before it was taken by the kernel.
  "by a FIN and a reset": (app) => app.socket.end(() => app.socket.resetAndDestroy()),
}

const begin = async (options: { readonly decide?: boolean } = {}) => {
  const apps = await h.listenApp()
  const front = await h.listen(async (request): Promise<Decision> => {
    if (options.decide !== true) return h.asSent(request, apps.port)
    await request.send(h.asSent(request, apps.port))
    return "relay"
  })
  const client = await front.connect()
  client.send(post + piece)
  const app = await apps.connection(0)
  await app.until(piece)
  return { client, app, front }
}

describe.each(Object.entries(endings))("a response before which a write failed, %s", (_, end) => {
  it.each([
    ["with a length", "Content-Length: 3\r\n\r\nno!"],
    ["in chunks", "Transfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n"],
    ["with a large body", `Content-Length: 40003\r\n\r\n${"-".repeat(40_000)}no!`],
  ])("reaches the client whole: %s", async (_name, rest) => {
    for (const decide of [false, true]) {
      const { client, app, front } = await begin({ decide })
      client.send(piece)
      app.send(`HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n${rest}`)
      end(app)
      expect(await client.until("no!")).toMatch(/^HTTP\/1\.1 413 [^]*\r\nConnection: close\r\n/)
      await client.over()
      expect(client.state).toBe("ended")
      client.socket.end()
      await h.eventually(() => front.events.length === 1)
      expect(front.events).toMatchObject([{ type: "request", status: 413, complete: true }])
    }
  })

  it("that breaks off looks broken", async () => {
    const { client, app } = await begin()
    client.send(piece)
    app.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\nno!")
    end(app)
    await client.over()
    expect([client.text.includes("no!"), client.state]).toEqual([true, "reset"])
  })

  it("that never comes is a 502", async () => {
    const { client, app } = await begin()
    client.send(piece)
    end(app)
    expect(h.status(await client.until("UPSTREAM_FAILED"))).toBe(502)
  })

  it("and the rest of the upload does not stop the response", async () => {
    const { client, app } = await begin()
    client.send(piece)
    app.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!")
    end(app)
    // Everything, as by a client that reads only when it has sent its request.
    client.socket.pause()
    await new Promise<void>((resolve) => client.socket.write("x".repeat(998_000), () => resolve()))
    client.socket.resume()
    expect(await client.until("no!")).toMatch(/^HTTP\/1\.1 413 /)
  })
})

describe("a response that ends with its connection", () => {
  const text = "HTTP/1.1 413 Content Too Large\r\n\r\nno!"

  it("is complete when a FIN came before the reset", async () => {
    const { client, app } = await begin()
    client.send(piece)
    app.send(text)
    endings["by a FIN and a reset"](app)
    expect(await client.until("0\r\n\r\n")).toContain("no!")
  })

  it("is incomplete when only a reset came", async () => {
    const { client, app } = await begin()
    client.send(piece)
    app.send(text)
    endings["by a reset"](app)
    await client.over()
    expect([client.text.includes("0\r\n\r\n"), client.state]).toEqual([false, "reset"])
  })
})

it("a write that fails for another reason ends the request: the next one would leave a gap in the upload", async () => {
  let failsAt = 0
  // oxlint-disable-next-line typescript/unbound-method -- called with its socket
  const write = Socket.prototype._write
  const failing = vi.spyOn(Socket.prototype, "_write").mockImplementation(function (this: Socket, bytes, coding, done) {
    if (this.remotePort !== failsAt) write.call(this, bytes, coding, done)
    else done(Object.assign(new Error("write ENOBUFS"), { code: "ENOBUFS", syscall: "write" }))
  })
  try {
    const { client, app } = await begin()
    failsAt = app.socket.localPort!
    client.send(piece)
    expect(h.status(await client.until("UPSTREAM_FAILED"))).toBe(502)
    await app.over()
    expect(app.text).toBe("")
  } finally {
    failing.mockRestore()
  }
})

describe("a WebSocket whose app says why it closes", () => {
  it.each(Object.entries(endings))("has its last bytes reach the client, %s", async (_, end) => {
    const apps = await h.listenApp()
    const front = await h.listen((request) => h.asSent(request, apps.port))
    const client = await front.connect()
    client.send(h.handshake())
    const app = await apps.connection(0)
    await app.until("\r\n\r\n")
    app.send(h.switching)
    await client.until("\r\n\r\n")
    client.send("hello")
    await app.until("hello")
    client.send("more")
    app.send("\x88\x02\x03\xf0")
    end(app)
    expect(await client.until("\x88\x02\x03\xf0")).toBe("\x88\x02\x03\xf0")
    await client.over()
  })
})
