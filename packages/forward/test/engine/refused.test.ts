import { readFileSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { connect as connectTls, createServer as createTlsServer } from "node:tls"
import { afterEach, describe, expect, it } from "vitest"
import * as h from "./harness.ts"

const closing: (() => unknown)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

/** What a client reads until the connection ends in whatever way. */
const heard = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    let text = ""
    socket.on("data", (bytes) => (text += String(bytes)))
    socket.on("error", () => undefined)
    socket.on("close", () => resolve(text))
    closing.push(() => socket.destroy())
  })

const errors = ({ events }: h.Front) => events.filter((event) => event.type === "error")

describe("a connection too many", () => {
  it("is refused for a client that the host does not admit, until another one of it has closed", async () => {
    const open: string[] = []
    const front = await h.listen(() => ({ status: 204, headers: [] }), {
      admission: {
        admit: (address) => open.length < 1 && open.push(address) > 0,
        release: (address) => void open.splice(open.indexOf(address), 1),
      },
    })
    const one = await front.connect()
    await h.settledOpen(front, 1)
    const two = await front.connect()
    expect(await two.until("CLIENT_LIMITED")).toMatch(/^HTTP\/1\.1 429 [^]*Retry-After: 1\r\n/)
    await two.over()
    expect(open).toEqual(["127.0.0.1"])
    one.socket.end()
    await h.eventually(() => open.length === 0)
    const three = await front.connect()
    three.send(h.get())
    expect(h.status(await three.until("\r\n\r\n"))).toBe(204)
    expect(errors(front)).toEqual([])
  })

  it("is served, and reported, if admission throws", async () => {
    const fail = (): never => {
      throw new Error("broken")
    }
    const front = await h.listen(() => ({ status: 204, headers: [] }), { admission: { admit: fail, release: fail } })
    const client = await front.connect()
    client.send(h.get())
    expect(h.status(await client.until("\r\n\r\n"))).toBe(204)
    expect(errors(front)).toMatchObject([{ tag: "ProxyFailed", reason: "broken" }])
  })

  it("is told so by TLS, too", async () => {
    const fixture = (name: string) => readFileSync(new URL(`../fixtures/localhost.${name}`, import.meta.url))
    const front = await h.listen(() => ({ status: 204, headers: [] }), { limits: { maxConnections: 1 } })
    const tls = createTlsServer({ cert: fixture("crt"), key: fixture("key") })
    const server = createServer(front.engine.secureConnection(tls))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    closing.push(() => server.close())
    const { port } = server.address() as AddressInfo
    const open = () => connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false })
    const one = open()
    const first = heard(one)
    await new Promise((resolve) => one.once("secureConnect", resolve))
    expect(await heard(open())).toMatch(/^HTTP\/1\.1 503 [^]*OVERLOADED/)
    expect(errors(front)).toMatchObject([{ tag: "Overloaded" }])
    one.end("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    expect(await first).toMatch(/^HTTP\/1\.1 204 /)
  })

  it("costs no more than a bounded number of responses at a time, and of log lines, in a flood of 1 000", async () => {
    const front = await h.listen(() => ({ status: 204, headers: [] }), { limits: { maxConnections: 1 } })
    const one = await front.connect()
    one.send("GET / HT")
    await h.settledOpen(front, 1)
    const began = performance.now()
    const flood = await Promise.all(Array.from({ length: 1_000 }, () => front.connect()))
    await Promise.all(flood.map((each) => each.over()))
    const seconds = (performance.now() - began) / 1_000
    // Some are closed without a word, where too many others are being told.
    expect(flood.filter(({ text }) => text.includes("503")).length).toBeGreaterThan(100)
    expect(errors(front).length).toBeLessThan(seconds + 2)
    one.send("TP/1.1\r\nHost: a\r\n\r\n")
    expect(h.status(await one.until("\r\n\r\n"))).toBe(204)
  })
})
