/** A client of a TCP tunnel that sends what no client of ours does, to the engine in which the tunnel ends. */
import { once } from "node:events"
import { createSocket } from "node:dgram"
import { describe, expect, it } from "vitest"
import type { IncomingRequest } from "../../src/sockets.ts"
import * as h from "../engine/harness.ts"
import { bytesOf } from "../websocket/frames.ts"
import type { TestFrame } from "../websocket/frames.ts"

const text = (frame: TestFrame): string => bytesOf(frame).toString("latin1")
const close = (code: number): string => `\u0088\u0002${String.fromCharCode(code >> 8, code & 255)}`

const tunnel = async (more: { readonly onRequest?: (request: IncomingRequest) => void } = {}) => {
  const apps = await h.listenApp()
  const front = await h.listen((request) => {
    more.onRequest?.(request)
    return h.to(apps.port, { tunnel: "tcp" })
  })
  const client = await front.connect()
  client.send(h.handshake())
  await client.until("\r\n\r\n")
  return { front, client, app: await apps.connection(0) }
}

describe("a frame that breaks the rules ends the tunnel, and the app sees a reset and nothing of it", () => {
  it.each<readonly [string, number, string]>([
    ["without a mask", 1002, text({ first: 0x82, payload: "x", masked: false })],
    ["with a reserved bit", 1002, text({ first: 0xc2, payload: "x" })],
    ["of a reserved opcode", 1002, text({ first: 0x83, payload: "x" })],
    ["of 2^63 bytes", 1002, text({ first: 0x82, payload: "x", length: [127, 0x80, 0, 0, 0, 0, 0, 0, 0] })],
    ["of 2^62 bytes", 1009, text({ first: 0x82, payload: "x", length: [127, 0x40, 0, 0, 0, 0, 0, 0, 0] })],
    ["whose length is longer than it must be", 1002, text({ first: 0x82, payload: "x", length: [126, 0, 1] })],
    ["with a text that is not the end", 1003, text({ first: 0x81, payload: "x" })],
    ["that continues nothing", 1002, text({ first: 0x80, payload: "x" })],
    ["of control in fragments", 1002, text({ first: 0x09, payload: "x" })],
    ["of control that is too long", 1002, text({ first: 0x89, payload: "x".repeat(126) })],
    ["that closes with an invalid code", 1002, text({ first: 0x88, payload: "\u0003\u00ed" })],
  ])("%s: %i", async (_name, code, frame) => {
    const { client, app } = await tunnel()
    client.send(text({ first: 0x82, payload: "before" }) + frame + text({ first: 0x82, payload: "after" }))
    expect(await client.until(close(code))).toBe(close(code))
    await app.over()
    expect([app.text, app.state]).toEqual(["before", "reset"])
  })
})

describe("a client of a tunnel", () => {
  it("sends nothing more to the app once its access is withdrawn", async () => {
    let withdraw = (): void => {}
    const { client, app } = await tunnel({ onRequest: (request) => void (withdraw = request.withdrawal()) })
    client.send(text({ first: 0x82, payload: "before" }))
    await app.until("before")
    withdraw()
    client.send(text({ first: 0x82, payload: "after" }))
    expect(await client.until(close(1008))).toBe(close(1008))
    await app.over()
    expect([app.text, app.state]).toEqual(["", "reset"])
  })

  it("that pings and reads nothing has one pong kept for it, not all of them", async () => {
    const { client, app } = await tunnel()
    client.socket.pause()
    const one = bytesOf({ first: 0x89, payload: "p".repeat(125) })
    const pings = Buffer.concat(Array.from({ length: 1_000 }, () => one))
    for (let round = 0; round < 400; round++) {
      if (!client.socket.write(pings)) await once(client.socket, "drain")
    }
    client.send(text({ first: 0x89, payload: "the last" }) + text({ first: 0x82, payload: "still here" }))
    await app.until("still here")
    let pongs = 0
    let end = ""
    const last = new Promise<void>((resolve) => {
      client.socket.on("data", (bytes: Buffer) => {
        pongs += bytes.length
        end = (end + bytes.subarray(-200).toString("latin1")).slice(-400)
        if (end.includes("the last")) resolve()
      })
    })
    client.socket.resume()
    await last
    // Of 52 MB of pings: what the kernel has taken meanwhile, and one.
    expect(pongs).toBeLessThan(26_000_000)
  })

  it("that breaks off without a close frame is a reset for the app, not an end", async () => {
    const { client, app } = await tunnel()
    client.socket.end()
    await app.over()
    expect(app.state).toBe("reset")
  })
})

describe("a UDP tunnel", () => {
  it("brings no datagrams but those of the port that it leads to, and one socket sends to nobody else", async () => {
    const app = createSocket("udp4")
    const stranger = createSocket("udp4")
    for (const socket of [app, stranger]) await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve))
    try {
      const front = await h.listen(() => h.to(app.address().port, { tunnel: "udp" }))
      const client = await front.connect()
      client.send(h.handshake())
      await client.until("\r\n\r\n")
      const first = once(app, "message")
      client.send(text({ first: 0x82, payload: "hello" }))
      const [, from] = (await first) as [Buffer, { readonly port: number }]
      await new Promise((resolve) => stranger.send("stranger", from.port, "127.0.0.1", resolve))
      await new Promise((resolve) => app.send("app", from.port, "127.0.0.1", resolve))
      expect(await client.until("app")).toBe("\u0082\u0003app")
      client.socket.destroy()
    } finally {
      app.close()
      stranger.close()
    }
  })

  it("ends at a datagram of more than 65 507 bytes, of which nothing is sent", async () => {
    const app = createSocket("udp4")
    await new Promise<void>((resolve) => app.bind(0, "127.0.0.1", resolve))
    const got: Buffer[] = []
    app.on("message", (bytes) => got.push(bytes))
    try {
      const front = await h.listen(() => h.to(app.address().port, { tunnel: "udp" }))
      const client = await front.connect()
      client.send(h.handshake())
      await client.until("\r\n\r\n")
      client.send(text({ first: 0x82, payload: "x".repeat(65_508) }))
      expect(await client.until(close(1009))).toBe(close(1009))
      expect(got).toEqual([])
    } finally {
      app.close()
    }
  })
})
