import { describe, expect, it } from "vitest"
import * as h from "./harness.ts"

const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
const limits = { minBodyRate: 240 }

/** A request whose head the app has seen. */
const uploading = async (directive: { readonly minBodyRate?: number } = {}) => {
  h.holdTime()
  const app = await h.listenApp()
  const front = await h.listen(() => h.to(app.port, directive), { limits })
  const client = await front.connect()
  client.send(post)
  const seen = await app.connection(0)
  await seen.until("\r\n\r\n")
  return { front, client, seen }
}

/** Far beyond the grace of 5 s, and within the idle time-out of 60 s. */
const LONG_MS = 50_000

describe("a body may be slower than the minimum rate", () => {
  it("once the response has begun: both directions stream", async () => {
    const { client, seen } = await uploading()
    client.send("x")
    await seen.until("x")
    seen.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
    await client.until("o")
    h.passes(LONG_MS)
    client.send("y")
    await seen.until("y")
    seen.send("k")
    expect(await client.until("k")).toBe("k")
  })

  it("where the directive says 0", async () => {
    const { client, seen } = await uploading({ minBodyRate: 0 })
    client.send("x")
    await seen.until("x")
    h.passes(LONG_MS)
    client.send("y")
    await seen.until("y")
    expect(client.text).toBe("")
  })

  it("while the app does not read it", async () => {
    h.holdTime()
    const app = await h.listenApp()
    const front = await h.listen(() => h.to(app.port), { limits: { minBodyRate: 1_000_000, bodyIdleTimeoutMs: 0 } })
    const client = await front.connect()
    // More than the buffers between client and app hold, so that the engine stops reading.
    const size = 32_000_000
    client.send(post.replace("1000000", String(size)))
    const seen = await app.connection(0)
    await seen.until("\r\n\r\n")
    seen.socket.pause()
    client.socket.write(Buffer.alloc(size))
    await h.settled(front)
    expect(client.socket.writableLength).toBeGreaterThan(0)
    h.passes(100_000)
    seen.socket.resume()
    await seen.when(({ text }) => text.length === size)
    seen.send("HTTP/1.1 204 N\r\n\r\n")
    expect(h.status(await client.until("\r\n\r\n"))).toBe(204)
  })

  it("while the host has not decided where it goes", async () => {
    h.holdTime()
    const app = await h.listenApp()
    const decisions: (() => void)[] = []
    const decided = () => new Promise<void>((resolve) => decisions.push(resolve))
    const front = await h.listen(() => decided().then(() => h.to(app.port)), { limits })
    const client = await front.connect()
    client.send(`${post}x`)
    await h.eventually(() => decisions.length === 1)
    h.passes(LONG_MS)
    decisions[0]!()
    const seen = await app.connection(0)
    await seen.until("x")
    h.passes(4_900)
    expect(client.text).toBe("")
    h.passes(100 + h.SCANS_MS)
    await client.until("REQUEST_TIMEOUT")
  })
})

describe("a body must keep to the minimum rate", () => {
  it("of its directive, where that has another one", async () => {
    const { client, seen } = await uploading({ minBodyRate: 10 })
    client.send("x".repeat(100))
    await seen.when(({ text }) => text.length === 100)
    h.passes(9_800)
    expect(client.text).toBe("")
    h.passes(200 + h.SCANS_MS)
    await client.until("REQUEST_TIMEOUT")
  })

  it("also where the host reads it itself, which learns that it is over", async () => {
    h.holdTime()
    const read: string[] = []
    const front = await h.listen(
      async (request) => {
        const reader = request.body()!.getReader()
        try {
          for (;;) read.push(String((await reader.read()).value))
        } catch (cause) {
          read.push(String(cause))
        }
        return { status: 204, headers: [] }
      },
      { limits },
    )
    const client = await front.connect()
    client.send(`${post}x`)
    await h.eventually(() => read.length === 1)
    // The reader waits by now.
    await new Promise((resolve) => setTimeout(resolve, 0))
    h.passes(4_900)
    expect(client.text).toBe("")
    h.passes(100 + h.SCANS_MS)
    await client.until("REQUEST_TIMEOUT")
    await client.over()
    await h.eventually(() => read.length === 2)
    expect(read[1]).toContain("the exchange is over")
  })
})
