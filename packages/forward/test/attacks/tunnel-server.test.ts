/** Whoever answers the handshake of a tunnel, as a machine that somebody else owns, to the client on a developer's computer. */
import { createHash } from "node:crypto"
import { once } from "node:events"
import { createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { tunnelProtocols } from "../../src/internal.ts"
import { openTunnel } from "../../src/sockets.ts"
import { bytesOf } from "../websocket/frames.ts"
import type { TestFrame } from "../websocket/frames.ts"

const closing: (() => unknown)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const server = (frame: TestFrame): Buffer => bytesOf({ masked: false, ...frame })
const acceptOf = (key: string): string =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")

/** A server that says this to each handshake, and then does this. */
const answering = async (
  head: (accept: string) => readonly string[],
  then: (socket: Socket) => void = () => undefined,
): Promise<string> => {
  const listener = createServer((socket) => {
    closing.push(() => socket.destroy())
    socket.on("error", () => undefined)
    socket.once("data", (bytes) => {
      const key = /sec-websocket-key: (\S+)/i.exec(String(bytes))![1]!
      socket.write(`${head(acceptOf(key)).join("\r\n")}\r\n\r\n`)
      then(socket)
    })
  })
  listener.listen(0, "127.0.0.1")
  await once(listener, "listening")
  closing.push(() => listener.close())
  return `http://127.0.0.1:${(listener.address() as AddressInfo).port}/`
}

const right = (accept: string): readonly string[] => [
  "HTTP/1.1 101 Switching Protocols",
  "Upgrade: websocket",
  "Connection: Upgrade",
  `Sec-WebSocket-Accept: ${accept}`,
  `Sec-WebSocket-Protocol: ${tunnelProtocols.tcp}`,
]

describe("a response to the handshake that is not one", () => {
  const changed = (from: RegExp, to: string) => (accept: string) =>
    right(accept)
      .map((line) => line.replace(from, to))
      .filter((line) => line !== "")
  it.each<readonly [string, (accept: string) => readonly string[], object]>([
    ["an accept of another key", changed(/^Sec-WebSocket-Accept: .*/, "Sec-WebSocket-Accept: AAAA"), { status: 101 }],
    ["no accept", changed(/^Sec-WebSocket-Accept: .*/, ""), { status: 101 }],
    ["another subprotocol", changed(/tcp\.v1/, "udp.v1"), { status: 101 }],
    [
      "no subprotocol, as of an app that takes any WebSocket",
      changed(/^Sec-WebSocket-Protocol.*/, ""),
      { status: 101 },
    ],
    ["an extension", (accept) => [...right(accept), "Sec-WebSocket-Extensions: permessage-deflate"], { status: 101 }],
    ["another protocol", changed(/^Upgrade: websocket/, "Upgrade: h2c"), { status: 101 }],
    ["a page", () => ["HTTP/1.1 200 OK", "Content-Length: 0"], { status: 200, code: undefined }],
    [
      "a redirect",
      () => ["HTTP/1.1 302 Found", "Location: https://evil.example/", "Content-Length: 0"],
      { status: 302 },
    ],
  ])("refuses %s", async (_name, head, expected) => {
    const error: unknown = await openTunnel({ url: await answering(head) }).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ name: "TunnelRefused", ...expected })
  })

  it("has no more read of its body than is needed, though it never ends", async () => {
    let written = 0
    const url = await answering(
      () => ["HTTP/1.1 403 Forbidden", "Transfer-Encoding: chunked"],
      (socket) => {
        const piece = `10000\r\n${"x".repeat(65_536)}\r\n`
        const more = (): void => {
          while (!socket.destroyed && written < 1_000_000_000 && socket.write(piece)) written += piece.length
        }
        socket.on("drain", more)
        more()
      },
    )
    expect(await openTunnel({ url }).catch((cause: unknown) => cause)).toMatchObject({ status: 403, code: undefined })
    expect(written).toBeLessThan(100_000_000)
  })
})

describe("a frame of a machine that breaks the rules ends the tunnel, and nothing of it is given on", () => {
  it.each<readonly [string, number, Buffer]>([
    ["masked", 1002, server({ first: 0x82, payload: "x", masked: true })],
    ["with a reserved bit", 1002, server({ first: 0xc2, payload: "x" })],
    ["of a reserved opcode", 1002, server({ first: 0x83, payload: "x" })],
    ["of 2^62 bytes", 1009, server({ first: 0x82, payload: "x", length: [127, 0x40, 0, 0, 0, 0, 0, 0, 0] })],
    ["with a text that is not the end", 1003, server({ first: 0x81, payload: "rm -rf" })],
    [
      "after the end",
      1002,
      Buffer.concat([server({ first: 0x81, payload: "end" }), server({ first: 0x82, payload: "x" })]),
    ],
  ])("%s: %i", async (_name, code, frame) => {
    const url = await answering(right, (socket) => {
      socket.write(Buffer.concat([server({ first: 0x82, payload: "before" }), frame]))
    })
    const stream = await openTunnel({ url })
    let seen = ""
    stream.on("data", (bytes: Buffer) => (seen += bytes.toString()))
    const [error] = (await once(stream, "error")) as [unknown]
    expect(error).toMatchObject({ name: "TunnelBroken", code })
    expect(seen === "before" || seen === "").toBe(true)
  })

  it("is not read ahead of whoever reads the tunnel", async () => {
    let written = 0
    const url = await answering(right, (socket) => {
      const piece = server({ first: 0x82, payload: "x".repeat(60_000) })
      const more = (): void => {
        while (!socket.destroyed && written < 500_000_000 && socket.write(piece)) written += piece.length
      }
      socket.on("drain", more)
      more()
    })
    const stream = await openTunnel({ url })
    stream.on("error", () => undefined)
    await once(stream, "readable")
    let last = -1
    // What fills the kernel's buffers is written within some turns, and then nothing is.
    while (last !== written) {
      last = written
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    expect(stream.readableLength).toBeLessThan(1_000_000)
    expect(written).toBeLessThan(100_000_000)
    stream.destroy()
  })
})
