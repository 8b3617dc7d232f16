import { describe, expect, it } from "vitest"
import * as h from "./harness.ts"

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n"

/** The first connection to an app that a request leads to, while time stands still. */
const opened = async (sent: string) => {
  h.holdTime()
  const apps = await h.listenApp()
  const front = await h.listen((request) => h.asSent(request, apps.port))
  const client = await front.connect()
  client.send(sent)
  return { front, client, app: await apps.connection(0) }
}

/** A whole exchange on a connection of its own: what could have been written meanwhile has been. */
const exchangeMeanwhile = async (front: Awaited<ReturnType<typeof opened>>["front"]) => {
  const other = await front.connect()
  other.send("BAD\r\n\r\n")
  await other.over()
}

describe("a client that waits for 100 Continue", () => {
  const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

  it("gets it from the engine after 50 ms in which the app says none, and not before", async () => {
    const { front, client, app } = await opened(post)
    await app.until("\r\n\r\n")
    h.passes(49)
    await exchangeMeanwhile(front)
    expect(client.text).toBe("")
    h.passes(1 + h.SCANS_MS)
    expect(await client.until("\r\n\r\n")).toBe(CONTINUE)
    client.send("hello")
    await app.until("hello")
    app.send("HTTP/1.1 204 N\r\n\r\n")
    expect(h.status(await client.until("\r\n\r\n"))).toBe(204)
  })

  it("gets the app's own at once, however the time stands", async () => {
    const { client, app } = await opened(post)
    await app.until("\r\n\r\n")
    app.send(CONTINUE)
    expect(await client.until("\r\n\r\n")).toBe(CONTINUE)
  })
})

describe("a client that expects 100 Continue and sends its body in the same packet", () => {
  const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"
  /** A request whose head has reached the app, after a whole exchange in which its body could have. */
  const begun = async (sent = post) => {
    const { front, client, app } = await opened(sent)
    const head = await app.until("\r\n\r\n")
    await exchangeMeanwhile(front)
    expect([head.split("\r\n\r\n")[1], app.text]).toEqual(["", ""])
    return { client, app }
  }

  it("has it passed on once the app says 100", async () => {
    const { client, app } = await begun()
    app.send(CONTINUE)
    expect(await app.until("hello")).toBe("hello")
    app.send("HTTP/1.1 204 N\r\n\r\n")
    expect(await client.until("204")).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 204/)
  })

  it("has it passed on when the app says nothing for 50 ms", async () => {
    const { app } = await begun()
    h.passes(50 + h.SCANS_MS)
    expect(await app.until("hello")).toBe("hello")
  })

  it("has it passed on when the app takes it by its status, in a response that goes on", async () => {
    const { client, app } = await begun()
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    expect(await app.until("hello")).toBe("hello")
    app.send("all of it")
    expect(await client.until("all of it")).not.toContain("100 Continue")
  })

  it.each(["417 Expectation Failed", "413 Content Too Large", "401 Unauthorized", "307 Temporary Redirect"])(
    "has none of it passed on when the app refuses it with %s, and nothing read out of it",
    async (line) => {
      const evil = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
      const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${evil.length}\r\nExpect: 100-continue\r\n\r\n`
      const { client, app } = await begun(head + evil)
      app.send(`HTTP/1.1 ${line}\r\nContent-Length: 2\r\n\r\n`)
      expect(await client.until("\r\n\r\n")).toContain(line)
      h.passes(50 + h.SCANS_MS)
      app.send("no")
      await app.over()
      expect(app.text).toBe("")
      expect((await client.over()).text).toBe("no")
    },
  )
})

describe("while time stands still, so that nothing can wait for it", () => {
  it("the first bytes of a request's body reach the app, and those of a response the client", async () => {
    const { client, app } = await opened("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nfirst")
    expect(await app.until("first")).toMatch(/\r\n\r\nfirst$/)
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    expect(await client.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 200 /)
    app.send("data: 1\n")
    expect(await client.until("data: 1\n")).toBe("data: 1\n")
  })

  it.each(["401 No", "302 Found", "503 Busy"])(
    "a handshake is refused with %s, its fields and its body",
    async (line) => {
      h.holdTime()
      const apps = await h.respondingApp(`HTTP/1.1 ${line}\r\nX-Why: 1\r\nContent-Length: 7\r\n\r\nbecause`)
      const front = await h.listen((request) => h.asSent(request, apps.port))
      const client = await front.connect()
      client.send(h.handshake())
      expect(await client.until("because")).toMatch(/^HTTP\/1\.1 \d{3} [^]*X-Why: 1\r\n[^]*\r\n\r\nbecause$/)
    },
  )
})
