/** What a client can do with frames of HTTP/2: its connection ends or stays bounded, and everybody else is served. */
import { describe, expect, it } from "vitest"
import type { Limits } from "../../src/sockets.ts"
import { eventually, listenApp, respondingApp, to } from "../engine/harness.ts"
import { listenHttp2, send } from "../http2/harness.ts"
import * as raw from "../http2/raw-client.ts"
import type { RawClient } from "../http2/raw-client.ts"

/** Error codes of HTTP/2 (RFC 9113 §7). */
const [NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED] = [0, 1, 2, 3, 5]
const [REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM] = [7, 8, 9, 11]

const OPEN = raw.END_HEADERS
const WHOLE = raw.END_HEADERS | raw.END_STREAM
const request = (stream: number, flags = WHOLE): Buffer => raw.frame(raw.HEADERS, flags, stream, raw.get("/hangs"))
const reset = (stream: number): Buffer => raw.frame(raw.RST_STREAM, 0, stream, raw.uint32(CANCEL))
const windowUpdate = (stream: number, bytes: number): Buffer =>
  raw.frame(raw.WINDOW_UPDATE, 0, stream, raw.uint32(bytes))

/** A host whose requests for `/` have a response, and whose others have none. */
const host = async (limits: Partial<Limits> = {}) => {
  const app = await respondingApp()
  let asked = 0
  const front = await listenHttp2(
    ({ head }) => {
      asked++
      return head.target === "/" ? to(app.port) : new Promise<never>(() => {})
    },
    { limits },
  )
  return {
    front,
    asked: () => asked,
    attacker: async (settings: readonly (readonly [number, number])[] = []) => (await front.raw()).start(settings),
    /** Others are served, the attacker's requests are over, and nothing was wrong here. */
    unharmed: async (attacker: RawClient) => {
      expect((await send(front.connect())).text).toBe("ok")
      attacker.socket.destroy()
      const before = asked
      await eventually(() => front.events.filter(({ type }) => type === "request").length === before)
      const tags = front.events.flatMap((event) => (event.type === "error" ? [event.tag] : []))
      expect(tags.every((tag) => tag === "RequestMalformed" || tag === "RequestTimeout")).toBe(true)
    },
  }
}

describe("streams that are reset", () => {
  it("by the client, at once (CVE-2023-44487), end the connection", async () => {
    const { attacker, asked, unharmed } = await host()
    const client = await attacker()
    await client.flood(20_000, (n) => Buffer.concat([request(2 * n + 1), reset(2 * n + 1)]))
    await client.over()
    expect(client.goAwayCode).not.toBe(NO_ERROR)
    expect(asked()).toBeLessThan(1_000)
    await unharmed(client)
  })

  it("by the client, a moment later, end the connection", async () => {
    const { attacker, asked, unharmed } = await host()
    const client = await attacker()
    for (let n = 0; n < 1_000 && !client.closed; n++) {
      client.write(request(2 * n + 1))
      const before = asked()
      await eventually(() => asked() > before || client.closed)
      client.write(reset(2 * n + 1))
    }
    await client.over()
    expect(client.goAwayCode).toBe(ENHANCE_YOUR_CALM)
    expect(asked()).toBeLessThan(250)
    await unharmed(client)
  })

  it.each([
    ["a window that grows by nothing", (stream: number) => windowUpdate(stream, 0)],
    ["a window that is too large", (stream: number) => windowUpdate(stream, 0x7fffffff)],
    ["a priority of the wrong length", (stream: number) => raw.frame(raw.PRIORITY, 0, stream, Buffer.alloc(4))],
    ["data beyond the length", (stream: number) => raw.frame(raw.DATA, 0, stream, Buffer.from("abcde"))],
    ["data after its end", (stream: number) => raw.frame(raw.DATA, raw.END_STREAM, stream, Buffer.from("abcde"))],
  ])("by us, for %s (CVE-2025-8671), end the connection", async (_, fault) => {
    const { attacker, asked, unharmed } = await host()
    const client = await attacker()
    const head = (stream: number) => raw.frame(raw.HEADERS, OPEN, stream, raw.post([["content-length", "4"]]))
    await client.flood(20_000, (n) => Buffer.concat([head(2 * n + 1), fault(2 * n + 1)]))
    await client.over()
    // What is on its way may reset the GOAWAY away.
    expect(client.goAwayCode).not.toBe(NO_ERROR)
    expect(asked()).toBeLessThan(1_000)
    await unharmed(client)
  })
})

describe("a flood", () => {
  const open = request(1, OPEN)
  const empty = Buffer.alloc(0)
  const settings = raw.frame(raw.SETTINGS, 0, 0, Buffer.concat([Buffer.of(0, 4), raw.uint32(65_535)]))
  const ping = raw.frame(raw.PING, 0, 0, Buffer.alloc(8))

  it.each([
    [
      "CONTINUATION frames (CVE-2024-27316)",
      raw.frame(raw.HEADERS, 0, 1, raw.get()),
      raw.frame(raw.CONTINUATION, 0, 1, raw.block([["x-a", "1"]])),
    ],
    [
      "empty CONTINUATION frames (CVE-2019-9518)",
      raw.frame(raw.HEADERS, 0, 1, raw.get()),
      raw.frame(raw.CONTINUATION, 0, 1),
    ],
    ["SETTINGS frames (CVE-2019-9515)", empty, settings],
    ["PING frames (CVE-2019-9512)", empty, ping],
    ["empty DATA frames (CVE-2019-9518)", open, raw.frame(raw.DATA, 0, 1)],
    ["PRIORITY frames (CVE-2019-9513)", open, raw.frame(raw.PRIORITY, 0, 1, Buffer.of(0, 0, 0, 3, 16))],
    ["PRIORITY frames for streams that are idle", empty, raw.frame(raw.PRIORITY, 0, 9, Buffer.of(0, 0, 0, 3, 16))],
    ["empty HEADERS frames", open, raw.frame(raw.HEADERS, OPEN, 1)],
    [
      "RST_STREAM frames for streams that are idle (CVE-2019-9514)",
      empty,
      raw.frame(raw.RST_STREAM, 0, 9, raw.uint32(CANCEL)),
    ],
  ])("of %s ends the connection", async (_, before, each) => {
    const { attacker, unharmed } = await host()
    const client = (await attacker()).write(before)
    await client.flood(50_000, () => each)
    await client.over()
    // What is on its way may reset the GOAWAY away.
    expect(client.goAwayCode).not.toBe(NO_ERROR)
    await unharmed(client)
  })

  it.each([
    ["SETTINGS", settings],
    ["PING", ping],
  ])("of %s frames ends the connection of a client that does not read", async (_, each) => {
    const { front, attacker, unharmed } = await host({ lingerMs: 100 })
    const client = await attacker()
    client.socket.pause()
    await client.flood(20_000, () => each)
    await eventually(() => front.engine.connections() === 0)
    expect(front.events).toContainEqual(expect.objectContaining({ tag: "RequestMalformed" }))
    await unharmed(client)
  })

  it.each([
    ["WINDOW_UPDATE", windowUpdate(0, 1)],
    ["unknown", raw.frame(0xbe, 0, 0, Buffer.alloc(8))],
  ])("of %s frames costs nobody else anything", async (_, each) => {
    const { attacker, asked, unharmed } = await host()
    const client = await attacker()
    await client.flood(50_000, () => each)
    expect(asked()).toBe(0)
    await unharmed(client)
  })

  it.each([
    ["RST_STREAM", reset(1)],
    ["DATA", raw.frame(raw.DATA, 0, 1)],
  ])("of %s frames for a stream that is closed costs nobody else anything", async (_, each) => {
    const { attacker, asked, unharmed } = await host()
    const client = await attacker()
    client.write(Buffer.concat([request(1), reset(1)]))
    await client.flood(50_000, () => each)
    expect(asked()).toBeLessThan(2)
    await unharmed(client)
  })
})

describe("streams that stay open", () => {
  it("are as many as we said; beyond they are refused, and then the connection ends", async () => {
    const { attacker, asked, unharmed } = await host()
    const client = await attacker()
    await client.flood(2_000, (n) => request(2 * n + 1))
    await client.over()
    expect(client.resetCode(201)).toBe(REFUSED_STREAM)
    expect(asked()).toBe(100)
    await unharmed(client)
  })

  it("without data are ended by the time that a body has", async () => {
    const app = await listenApp()
    const front = await listenHttp2(() => to(app.port), { limits: { bodyIdleTimeoutMs: 100 } })
    const client = (await front.raw()).start()
    for (let n = 0; n < 50; n++) client.send(raw.HEADERS, OPEN, 2 * n + 1, raw.post())
    await client.when(({ frames }) => new Set(frames.flatMap(({ stream }) => (stream > 0 ? [stream] : []))).size === 50)
    await eventually(() => front.events.filter(({ type }) => type === "request").length === 50)
    expect(front.events).toContainEqual(expect.objectContaining({ status: 408, code: "REQUEST_TIMEOUT" }))
  })

  it.each([
    ["half of a head", raw.frame(raw.HEADERS, 0, 1, raw.get())],
    ["half of a frame", raw.frame(raw.HEADERS, OPEN, 1, raw.get()).subarray(0, 20)],
  ])("never begin with %s, which has the time of a head", async (_, half) => {
    const { attacker, asked, unharmed } = await host({ headersTimeoutMs: 100, lingerMs: 100 })
    const client = (await attacker()).write(half)
    await client.over()
    expect(asked()).toBe(0)
    await unharmed(client)
  })

  it("with a window of nothing (CVE-2019-9517, CVE-2019-9511) hold no more than their share, and are ended", async () => {
    const app = await listenApp((each) => {
      each.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n")
      each.socket.write(Buffer.alloc(9_000_000))
    })
    const small = await respondingApp()
    const front = await listenHttp2(({ head }) => (head.target === "/large" ? to(app.port) : to(small.port)), {
      limits: { upstreamIdleTimeoutMs: 1_500 },
    })
    const client = (await front.raw()).start([[4, 1]])
    for (let n = 0; n < 20; n++) client.send(raw.HEADERS, WHOLE, 2 * n + 1, raw.get("/large"))
    await app.connection(19)
    for (let n = 0; n < 200; n++) client.write(windowUpdate(2 * (n % 20) + 1, 1))
    expect((await send(front.connect())).text).toBe("ok")
    const over = () => front.events.filter((event) => event.type === "request" && event.target === "/large")
    await eventually(() => over().length === 20)
    for (const event of over()) expect(event).toMatchObject({ complete: false })
    for (const event of over()) expect(event.type === "request" ? event.bytesOut : 0).toBeLessThan(300_000)
  })

  it("with a window of nothing hold one small response each, until the time of a client that takes nothing is over", async () => {
    const { front, attacker, unharmed } = await host({ upstreamIdleTimeoutMs: 200 })
    const client = await attacker([[4, 0]])
    for (let n = 0; n < 100; n++) client.send(raw.HEADERS, WHOLE, 2 * n + 1, raw.get())
    await client.when(({ frames }) => frames.filter(({ type }) => type === raw.RST_STREAM).length === 100)
    expect(front.engine.connections()).toBe(1)
    await unharmed(client)
  })
})

describe("a window", () => {
  it("of a connection that overflows ends it", async () => {
    const { attacker, unharmed } = await host()
    const client = (await attacker()).write(windowUpdate(0, 0x7fffffff))
    expect([FLOW_CONTROL_ERROR, INTERNAL_ERROR]).toContain((await client.over()).goAwayCode)
    await unharmed(client)
  })

  it("that a client sends beyond ends its connection", async () => {
    const { attacker, unharmed } = await host()
    const client = (await attacker()).write(request(1, OPEN))
    for (let n = 0; n < 20; n++) client.send(raw.DATA, 0, 1, Buffer.alloc(16_384))
    await client.when(() => client.closed || client.resetCode(1) !== undefined)
    expect([FLOW_CONTROL_ERROR, INTERNAL_ERROR]).toContain(client.goAwayCode ?? client.resetCode(1))
    await unharmed(client)
  })
})

describe("a list of fields", () => {
  /** A value that the table has, named again and again. */
  const bomb = (times: number): Buffer =>
    Buffer.concat([
      raw.get(),
      Buffer.of(0x40),
      raw.block([["x", "a".repeat(3_900)]]).subarray(1),
      Buffer.alloc(times, 0x80 | 62),
    ])

  it("that is small on the wire and large in memory is refused", async () => {
    const { attacker, asked, unharmed } = await host()
    const client = await attacker()
    for (let n = 0; n < 10; n++) client.send(raw.HEADERS, WHOLE, 2 * n + 1, bomb(15_000 - n))
    await client.when(() => client.closed || client.resetCode(19) !== undefined)
    expect(asked()).toBe(0)
    await unharmed(client)
  })

  it("of names without a letter (CVE-2019-9516) is not kept", async () => {
    const { attacker, asked, unharmed } = await host()
    const nothing = Array.from({ length: 5_000 }, () => ["", ""] as const)
    const client = (await attacker()).send(raw.HEADERS, WHOLE, 1, raw.get("/", nothing).subarray(0, 16_384))
    await client.when(() => client.closed || client.frames.some(({ stream }) => stream === 1))
    expect(asked()).toBeLessThan(2)
    await unharmed(client)
  })

  it("that is no HPACK ends the connection", async () => {
    const { attacker, unharmed } = await host()
    const client = (await attacker()).send(raw.HEADERS, WHOLE, 1, Buffer.of(0x80 | 126))
    expect([COMPRESSION_ERROR, INTERNAL_ERROR]).toContain((await client.over()).goAwayCode)
    await unharmed(client)
  })
})

describe("what is no HTTP/2", () => {
  it.each([
    ["a request of HTTP/1.1", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ["nothing that is known", "\0".repeat(64)],
  ])("as %s, ends the connection", async (_, text) => {
    const { front, asked, unharmed } = await host()
    const client = (await front.raw()).write(Buffer.from(text, "latin1"))
    await client.over()
    expect(asked()).toBe(0)
    await unharmed(client)
  })

  it.each([
    ["PUSH_PROMISE", raw.frame(raw.PUSH_PROMISE, OPEN, 1, Buffer.concat([raw.uint32(2), raw.get()]))],
    ["an even stream", request(2)],
    ["a frame that is too large", raw.frame(raw.DATA, 0, 1, Buffer.alloc(16_385))],
    ["DATA on no stream", raw.frame(raw.DATA, 0, 0, Buffer.alloc(1))],
    ["SETTINGS on a stream", raw.frame(raw.SETTINGS, 0, 1)],
    [
      "a setting that is invalid",
      raw.frame(raw.SETTINGS, 0, 0, Buffer.concat([Buffer.of(0, 4), raw.uint32(0xffffffff)])),
    ],
    ["CONTINUATION without HEADERS", raw.frame(raw.CONTINUATION, OPEN, 1, raw.get())],
  ])("as %s, ends the connection", async (_, bytes) => {
    const { attacker, asked, unharmed } = await host()
    const client = (await attacker()).write(bytes)
    expect((await client.over()).goAwayCode).toBeGreaterThan(0)
    expect(asked()).toBe(0)
    await unharmed(client)
  })

  it("as data after the end of a request, has no effect on it but to end it", async () => {
    const { attacker, asked, unharmed } = await host()
    const client = (await attacker()).write(request(1)).send(raw.DATA, 0, 1, Buffer.from("more"))
    await client.when(() => client.closed || client.resetCode(1) !== undefined)
    expect([STREAM_CLOSED, PROTOCOL_ERROR]).toContain(client.goAwayCode ?? client.resetCode(1))
    expect(asked()).toBe(1)
    await unharmed(client)
  })
})
