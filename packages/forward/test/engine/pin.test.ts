import { readFileSync } from "node:fs"
import { createServer as createTcpServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { connect, createServer } from "node:tls"
import { afterEach, describe, expect, it } from "vitest"
import { publicKeyPin } from "../../src/sockets.ts"
import type { SendResult, UpstreamAddress } from "../../src/sockets.ts"
import * as h from "./harness.ts"

// Keys for tests only. One certificate is for localhost, the other one ended in 2001 and is for nobody.
const read = (name: string) => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), "utf8")
const identity = (name: string) => ({ key: read(`${name}.key`), cert: read(`${name}.crt`) })
const localhost = identity("localhost")
const expired = identity("expired")
const pin = publicKeyPin(localhost.key)

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

interface Peer {
  readonly port: number
  /** What it could read, of all connections. */
  read: string
  connections: number
  /** Connections whose handshake was over for the peer. */
  readonly resumed: boolean[]
}

/** A server that responds to each request: by TLS with a key, or plain. */
const listen = async (identity?: typeof localhost): Promise<Peer> => {
  const peer: Peer & { port: number } = { port: 0, read: "", connections: 0, resumed: [] }
  const respond = (socket: Socket) => {
    socket.on("error", () => {})
    socket.on("data", (bytes: Buffer) => {
      peer.read += bytes.toString("latin1")
      // Without TLS it responds to whatever comes.
      if (identity === undefined || bytes.includes("\r\n\r\n"))
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    })
  }
  const server =
    identity === undefined
      ? createTcpServer(respond)
      : createServer(identity, (socket) => {
          peer.resumed.push(socket.isSessionReused())
          respond(socket)
        })
  const sockets = new Set<Socket>()
  server.on("connection", (socket: Socket) => {
    peer.connections++
    sockets.add(socket)
  })
  server.on("tlsClientError", () => {})
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  peer.port = (server.address() as AddressInfo).port
  return peer
}

const to = (peer: Pick<Peer, "port">, more: Partial<UpstreamAddress> = {}): UpstreamAddress => ({
  pool: "a",
  host: "127.0.0.1",
  port: peer.port,
  pin,
  ...more,
})

/** An engine that sends each request to the next of some addresses; what came of it is in `results`. */
const front = async (...origins: readonly UpstreamAddress[]) => {
  const results: SendResult[] = []
  const engine = await h.listen(async (request) => {
    const origin = origins[Math.min(results.length, origins.length - 1)]!
    results.push(await request.send({ ...h.to(0), origin, headers: ["Host", "app", "Cookie", "session=secret"] }))
    return "head" in results.at(-1)! ? "relay" : { status: 502, headers: [] }
  })
  const client = await engine.connect()
  const send = async (): Promise<SendResult> => {
    client.send(h.get())
    await client.until("\r\n\r\n")
    return results.at(-1)!
  }
  return { send }
}

const mismatch = { error: { tag: "ProviderUnavailable", sent: "no", cause: { code: "PIN_MISMATCH" } } }

describe("a pin", () => {
  it("is what curl and RFC 7469 make of a key, whatever holds it", () => {
    expect(pin).toBe("sha256//wmn5FA8FmlkbMDW/dR7YmgXiNUpUtrCWdS9/dAo3wcI=")
    expect(publicKeyPin(localhost.cert)).toBe(pin)
    expect(publicKeyPin(expired.cert)).toBe(publicKeyPin(expired.key))
    expect(publicKeyPin(expired.cert)).not.toBe(pin)
    expect(() => publicKeyPin("no key")).toThrow(/./)
  })
})

describe("an upstream address with a pin", () => {
  it("leads to the owner of the key, by connections that are used again", async () => {
    const peer = await listen(localhost)
    const { send } = await front(to(peer))
    for (let i = 0; i < 3; i++) expect(await send()).toMatchObject({ head: { status: 200 } })
    expect(peer.connections).toBe(1)
    expect(peer.read.match(/session=secret/g)).toHaveLength(3)
  })

  it("does not care whom a certificate is for, who signed it and when it ends", async () => {
    const peer = await listen(expired)
    const { send } = await front(to(peer, { pin: publicKeyPin(expired.key) }))
    expect(await send()).toMatchObject({ head: { status: 200 } })
  })

  it("sends nothing to the owner of another key, whoever trusts its certificate", async () => {
    const peer = await listen(expired)
    const other = await listen(localhost)
    for (const origin of [
      to(peer),
      to(peer, { tls: { ca: expired.cert, rejectUnauthorized: false } }),
      to(other, { host: "localhost", tls: { ca: localhost.cert }, pin: publicKeyPin(expired.key) }),
    ]) {
      const { send } = await front(origin)
      expect(await send()).toMatchObject(mismatch)
    }
    expect(peer.connections).toBe(2)
    expect(other.connections).toBe(1)
    expect(peer.read + other.read).toBe("")
  })

  it("gives no response of the owner of another key, however early it comes", async () => {
    const tls = createServer(expired, (socket) => {
      socket.on("error", () => {})
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
    })
    tls.on("tlsClientError", () => {})
    await new Promise<void>((resolve) => tls.listen(0, "127.0.0.1", resolve))
    closing.push(() => tls.close())
    const { send } = await front(to({ port: (tls.address() as AddressInfo).port }))
    expect(await send()).toMatchObject(mismatch)
  })

  it.each(["resetAndDestroy", "end"] as const)(
    "is not connected to, and nothing is sent, by a handshake's %s",
    async (end) => {
      const { port } = await h.listenApp((raw) => raw.socket.once("data", () => void raw.socket[end]()))
      const { send } = await front(to({ port }))
      expect(await send()).toMatchObject({ error: { tag: "UpstreamFailed", sent: "no" } })
    },
  )

  it("sends nothing that a peer without TLS could read, whatever else the address says", async () => {
    for (const more of [{}, { tls: {} }]) {
      const peer = await listen()
      const { send } = await front(to(peer, more))
      expect(await send()).toMatchObject({ error: { sent: "no" } })
      // The record of a handshake (RFC 8446 §5.1), which has no field of the request.
      expect(peer.read.charCodeAt(0)).toBe(0x16)
      expect(peer.read).not.toContain("HTTP/1.1")
      expect(peer.read).not.toContain("secret")
    }
  })

  it("is no loopback that is connected to in plain", async () => {
    const peer = await listen()
    const { send } = await front(to(peer, { host: "loopback" }))
    expect(await send()).toMatchObject({ error: { sent: "no" } })
    expect(peer.connections).toBe(0)
  })

  it("never has a connection that was opened by another pin or by none", async () => {
    const peer = await listen(localhost)
    const unpinned = { pool: "a", host: "127.0.0.1", port: peer.port, tls: { rejectUnauthorized: false } }
    const { send } = await front(unpinned, to(peer, { pin: publicKeyPin(expired.key) }), to(peer), unpinned)
    expect(await send()).toMatchObject({ head: { status: 200 } })
    const { read } = peer
    expect(await send()).toMatchObject(mismatch)
    expect(peer.read).toBe(read)
    expect(await send()).toMatchObject({ head: { status: 200 } })
    expect(await send()).toMatchObject({ head: { status: 200 } })
    expect(peer.connections).toBe(4)
  })

  it("has the key proven by each connection: no session is resumed, even one that is given", async () => {
    const peer = await listen(localhost)
    const first = connect({ host: "127.0.0.1", port: peer.port, rejectUnauthorized: false, maxVersion: "TLSv1.2" })
    await new Promise((resolve) => first.once("secureConnect", resolve))
    const session = first.getSession()
    first.destroy()
    for (let i = 0; i < 2; i++) {
      const { send } = await front(to(peer, { tls: { session, maxVersion: "TLSv1.2" } }))
      expect(await send()).toMatchObject({ head: { status: 200 } })
    }
    expect(peer.resumed).toEqual([false, false, false])
  })
})
