import { once } from "node:events"
import { readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { connect, createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as tls from "node:tls"
import { describe, expect, it, onTestFinished } from "vitest"
import { createEngine } from "../../src/sockets.ts"
import type { EngineOptions } from "../../src/sockets.ts"
import { eventually, get, holdTime, listen, passes, Raw, SCANS_MS, status } from "./harness.ts"
import type { Front } from "./harness.ts"
import { extension, proxyV2 } from "./proxy-v2.ts"

const trusted = { proxyProtocol: { trustedCidrs: ["127.0.0.0/8", "::1/128"] } }

/** Responds with who asked, as the engine knows it. */
const whoAsks: EngineOptions["onRequest"] = ({ remoteAddress, peerAddress, encrypted, head }) => ({
  status: 200,
  headers: [],
  body: `${remoteAddress || "nobody"} by ${peerAddress.replace("::ffff:", "")}, tls ${encrypted}, ${head.target}.`,
})

const client = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"
const last = get("/", "Connection: close\r\n")

const exchange = async (front: Front, sent: string): Promise<string> => {
  const connection = await front.connect()
  await connection.send(sent).over()
  return connection.text.slice(connection.text.indexOf("\r\n\r\n") + 4)
}

describe("a connection with a PROXY header", () => {
  it.each([
    ["a client", client, "192.0.2.1"],
    ["a client by IPv6", "PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "2001:db8::1"],
    ["nobody", "PROXY UNKNOWN\r\n", "nobody"],
    ["the balancer itself", local(), "127.0.0.1"],
  ])("is one of %s", async (_, header, address) => {
    const front = await listen(whoAsks, trusted)
    expect(await exchange(front, header + last)).toBe(`${address} by 127.0.0.1, tls false, /.`)
    expect(front.events).toMatchObject([{ type: "request", remoteAddress: address === "nobody" ? "" : address }])
  })

  it("is one over TLS if the header says so", async () => {
    const addresses = Buffer.from([192, 0, 2, 1, 198, 51, 100, 1, 0, 1, 0, 2])
    const extensions = extension(0x20, Buffer.from([1, 0, 0, 0, 0]))
    const header = proxyV2({ family: 0x11, addresses, extensions }).toString("latin1")
    expect(await exchange(await listen(whoAsks, trusted), header + last)).toBe("192.0.2.1 by 127.0.0.1, tls true, /.")
  })

  it("is the same client's for all of its requests, whatever they say", async () => {
    const front = await listen(whoAsks, trusted)
    const connection = await front.connect()
    const claims = "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n"
    connection.send(client + get("/1", claims) + get("/2"))
    expect(await connection.until("/2.")).toContain("192.0.2.1 by 127.0.0.1, tls false, /1.")
    connection.send(get("/3"))
    expect(await connection.until("/3.")).toContain("192.0.2.1 by 127.0.0.1")
  })

  it("may send it byte by byte", async () => {
    const front = await listen(whoAsks, trusted)
    const connection = await front.connect()
    connection.socket.setNoDelay(true)
    for (const byte of client + last) {
      connection.send(byte)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await connection.over()
    expect(connection.text).toContain("192.0.2.1 by")
  })

  it("may send it alone and wait", async () => {
    const front = await listen(whoAsks, trusted)
    const connection = await front.connect()
    connection.send(client)
    await eventually(() => front.engine.connections() > 0)
    connection.send(last)
    expect(await connection.until("192.0.2.1 by")).toContain("HTTP/1.1 200")
  })

  it("may have a body, which is the request's own", async () => {
    const front = await listen(
      async (request) => ({ status: 200, headers: [], body: await new Response(request.body()).text() }),
      trusted,
    )
    const body = "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n"
    const request = `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    expect(await exchange(front, client + request)).toBe(body)
  })
})

describe("a connection is closed without a response, and reported,", () => {
  const refused = async (front: Front, sent: string | undefined): Promise<void> => {
    const connection = await front.connect()
    if (sent !== undefined) connection.socket.end(sent, "latin1")
    await connection.over()
    expect(connection.text).toBe("")
    expect(front.engine.connections()).toBe(0)
  }

  it.each([
    ["without a header", last, "a PROXY header: have the balancer send it, or do without proxyProtocol"],
    ["with a broken one", "PROXY TCP4 x\r\n", "the PROXY header is invalid"],
    ["with TLS where it should be", "\x16\x03\x01\x00", "does not begin with a PROXY header"],
    ["that ends within it", "PROXY TCP4 192.0", "ended within the PROXY header"],
  ])("%s", async (_, sent, reason) => {
    const front = await listen(whoAsks, trusted)
    await refused(front, sent)
    expect(front.events).toMatchObject([
      { type: "error", tag: "RequestMalformed", cause: { message: expect.stringContaining(reason) } },
    ])
  })

  it("from an address that is not trusted, though the header is right", async () => {
    const front = await listen(whoAsks, { proxyProtocol: { trustedCidrs: ["10.0.0.0/8"] } })
    await refused(front, client + last)
    expect(front.events).toMatchObject([{ type: "error", tag: "RequestMalformed" }])
    expect(String((front.events[0] as { readonly cause?: unknown }).cause)).toMatch(/127\.0\.0\.1 may not connect/)
  })

  it("after the time-out of heads", async () => {
    holdTime()
    const front = await listen(whoAsks, { ...trusted, limits: { headersTimeoutMs: 1_000 } })
    const connection = await front.connect()
    connection.send("PROXY ")
    await eventually(() => front.engine.connections() > 0)
    passes(500)
    // A byte now and then does not put it off.
    connection.send("TCP4")
    passes(500 + SCANS_MS)
    await connection.over()
    expect(connection.text).toBe("")
    expect(front.events).toMatchObject([{ type: "error", tag: "RequestTimeout" }])
  })

  it("but not reported when it ends before its first byte, as a balancer's check does", async () => {
    const front = await listen(whoAsks, trusted)
    await refused(front, "")
    expect(front.events).toEqual([])
  })
})

describe("an engine that waits for a header", () => {
  it("counts the connection, and drains without it", async () => {
    const front = await listen(whoAsks, { ...trusted, limits: { maxConnections: 1 } })
    const one = await front.connect()
    await eventually(() => front.engine.connections() > 0)
    const two = await front.connect()
    await two.until("OVERLOADED")
    await two.over()
    await front.engine.drain({ deadlineMs: 60_000 })
    await one.over()
    expect(front.engine.connections()).toBe(0)
    expect(front.events).toMatchObject([{ type: "error", tag: "Overloaded" }])
  })

  it("drains a connection that was passed on like any other", async () => {
    const front = await listen(whoAsks, trusted)
    const connection = await front.connect()
    connection.send(client + get())
    await connection.until("192.0.2.1 by")
    const drained = front.engine.drain({ deadlineMs: 60_000 })
    expect((await connection.over()).state).toBe("ended")
    connection.socket.end()
    await drained
    expect(front.engine.connections()).toBe(0)
  })
})

describe("without the option", () => {
  it("a PROXY header is an invalid request", async () => {
    const front = await listen(whoAsks)
    const connection = await front.connect()
    await connection.send(client + last).over()
    expect(status(connection.text)).toBe(400)
  })
})

describe("TLS after the header", () => {
  const read = (name: string) => readFileSync(new URL(`../fixtures/${name}`, import.meta.url))
  const certificate = { key: read("localhost.key"), cert: read("localhost.crt") }

  const secureFront = async (options: Partial<EngineOptions>) => {
    const events: unknown[] = []
    const engine = createEngine({
      onRequest: whoAsks,
      failure: () => ({ status: 500, headers: [] }),
      onEvent: (event) => events.push(event),
      ...options,
    })
    const secure = tls.createServer(certificate)
    const server = createServer(engine.secureConnection(secure))
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    onTestFinished(async () => {
      server.close()
      await engine.drain({ deadlineMs: 0 })
    })
    const { port } = server.address() as AddressInfo
    const ask = async (header: string): Promise<string> => {
      const socket = connect(port, "127.0.0.1")
      if (header !== "") socket.write(header, "latin1")
      const raw = new Raw(tls.connect({ socket, servername: "localhost", ca: certificate.cert }))
      await raw.send(last).over()
      return raw.text.slice(raw.text.indexOf("\r\n\r\n") + 4)
    }
    return { engine, events, ask, secure, port }
  }

  it("is the client's, and the header's address is, too", async () => {
    const { ask, engine } = await secureFront(trusted)
    const seen = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ask(`PROXY TCP4 192.0.2.${i} 198.51.100.1 1 2\r\n`)),
    )
    expect(seen).toEqual(seen.map((_, i) => `192.0.2.${i} by 127.0.0.1, tls true, /.`))
    await eventually(() => engine.connections() === 0)
  })

  it("works in the same way without the protocol", async () => {
    expect(await (await secureFront({})).ask("")).toBe("127.0.0.1 by 127.0.0.1, tls true, /.")
  })

  it("is each connection's own over a UNIX socket, whose connections have no addresses", async () => {
    const { engine, secure } = await secureFront({})
    const path = join(await mkdtemp(join(tmpdir(), "ingress-tls-")), "socket")
    const server = createServer(engine.secureConnection(secure)).listen(path)
    await once(server, "listening")
    onTestFinished(async () => {
      server.close()
      await rm(dirname(path), { recursive: true })
    })
    // Its handshake is pending all the while.
    const slow = connect(path)
    await once(slow, "connect")
    const ask = async () => {
      const raw = new Raw(tls.connect({ socket: connect(path), servername: "localhost", ca: certificate.cert }))
      await raw.send(last).over()
      return raw.text
    }
    for (const text of await Promise.all([ask(), ask(), ask()])) expect(text).toMatch(/^HTTP\/1\.1 200 /)
    await eventually(() => engine.connections() === 1)
    slow.destroy()
    await eventually(() => engine.connections() === 0)
  })

  it("that fails leaves nothing behind", async () => {
    const { engine, port, secure, ask } = await secureFront(trusted)
    const failed = once(secure, "tlsClientError")
    const raw = new Raw(connect(port, "127.0.0.1"))
    raw.send(`${client}not TLS at all`)
    await failed
    await raw.over()
    await eventually(() => engine.connections() === 0)
    expect(await ask(client)).toContain("192.0.2.1 by")
  })

  it("that does not come ends with the drain", async () => {
    const { engine, port } = await secureFront(trusted)
    const raw = new Raw(connect(port, "127.0.0.1"))
    raw.send(client)
    await eventually(() => engine.connections() > 0)
    await engine.drain({ deadlineMs: 60_000 })
    await raw.over()
    expect(engine.connections()).toBe(0)
  })

  it("cannot be spoken before it: such a connection is closed and reported", async () => {
    const { engine, events, secure } = await secureFront(trusted)
    secure.on("secureConnection", engine.connection)
    secure.listen(0, "127.0.0.1")
    await once(secure, "listening")
    onTestFinished(() => void secure.close())
    const { port } = secure.address() as AddressInfo
    const raw = new Raw(tls.connect({ port, host: "127.0.0.1", servername: "localhost", ca: certificate.cert }))
    await raw.send(client + last).over()
    expect(raw.text).toBe("")
    expect(events).toMatchObject([
      { type: "error", cause: { message: expect.stringContaining("a PROXY header comes before TLS") } },
    ])
  })
})

describe("the option", () => {
  const make = (proxyProtocol: unknown) => () =>
    createEngine({
      onRequest: whoAsks,
      failure: () => ({ status: 500, headers: [] }),
      proxyProtocol: proxyProtocol as NonNullable<EngineOptions["proxyProtocol"]>,
    })

  it.each([
    [true, "createEngine: proxyProtocol must be an object, got true"],
    [{}, "createEngine: proxyProtocol.trustedCidrs must be an array, got undefined"],
    [{ trustedCidrs: [1] }, "proxyProtocol.trustedCidrs must be an array in which every element is a non-empty string"],
    [{ trustedCidrs: ["10.0.0.1"] }, 'proxyProtocol.trustedCidrs: "10.0.0.1" is not a range such as 10.0.0.0/8'],
    [{ trustedCidrs: ["::/0"] }, 'proxyProtocol.trustedCidrs: "::/0" holds every address'],
    [{ trustedCidrs: [], v1: true }, "createEngine: proxyProtocol.v1 is not an option"],
  ])("%j is refused", (given, message) => expect(make(given)).toThrow(message))
})

function local(): string {
  return proxyV2({ command: 0x20, family: 0, addresses: Buffer.alloc(0) }).toString("latin1")
}
