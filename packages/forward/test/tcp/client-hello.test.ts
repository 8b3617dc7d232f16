import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect as connectTls } from "node:tls"
import * as fc from "fast-check"
import { describe, expect, it, onTestFinished } from "vitest"
import { ClientHelloReader, readClientHello } from "../../src/sockets/tcp/client-hello.ts"
import { alpnOf, extension, hello, helloBody, helloFor, message, record, serverNames } from "./hello-bytes.ts"

const bytes = (...numbers: readonly number[]) => Buffer.from(numbers)
const none = Buffer.alloc(0)
/** GREASE (RFC 8701): what a client sends so that nobody relies on knowing everything. */
const grease = [extension(0x0a0a, none), extension(0xfafa, bytes(0))]

describe("what is read of a ClientHello", () => {
  it.each([
    ["a name", helloFor("db.example.com"), { serverName: "db.example.com", alpn: [] }],
    ["a name in capitals", helloFor("DB.Example.COM"), { serverName: "db.example.com", alpn: [] }],
    [
      "a name with underscores",
      helloFor("5432__misha.iterate.app"),
      { serverName: "5432__misha.iterate.app", alpn: [] },
    ],
    ["a name of one label", helloFor("localhost"), { serverName: "localhost", alpn: [] }],
    [
      "labels of 63 and a name of 253 bytes",
      helloFor(`${`${"a".repeat(63)}.`.repeat(3)}${"b".repeat(61)}`),
      { serverName: `${`${"a".repeat(63)}.`.repeat(3)}${"b".repeat(61)}`, alpn: [] },
    ],
    [
      "protocols",
      helloFor("a.example", alpnOf("h2", "http/1.1")),
      { serverName: "a.example", alpn: ["h2", "http/1.1"] },
    ],
    [
      "GREASE",
      helloFor("a.example", ...grease, alpnOf("\x0a\x0a", "h2")),
      { serverName: "a.example", alpn: ["\x0a\x0a", "h2"] },
    ],
    ["no name", hello({ extensions: [alpnOf("h2")] }), { serverName: undefined, alpn: ["h2"] }],
    ["no extensions", hello({ extensions: [] }), { serverName: undefined, alpn: [] }],
    [
      "TLS 1.0 without the field of extensions",
      hello({ version: 0x0301, extensions: undefined }),
      { serverName: undefined, alpn: [] },
    ],
    [
      "the outer name beside Encrypted Client Hello",
      helloFor("outer.example", extension(0xfe0d, Buffer.alloc(300))),
      { serverName: "outer.example", alpn: [] },
    ],
    [
      "2 000 unknown extensions",
      helloFor("a.example", ...Array.from({ length: 2_000 }, (_, i) => extension(0x1000 + i, none))),
      { serverName: "a.example", alpn: [] },
    ],
    [
      "early data behind it",
      Buffer.concat([helloFor("a.example"), record(Buffer.alloc(50), 23)]),
      { serverName: "a.example", alpn: [] },
    ],
  ])("%s", (_, sent, expected) => expect(readClientHello(sent)).toEqual(expected))
})

describe("what is refused", () => {
  const two = Buffer.concat([serverNames([0, "a.example"]), serverNames([0, "b.example"])])
  it.each([
    ["two extensions of server_name", "illegal_parameter", hello({ extensions: [two] })],
    [
      "two equal extensions of server_name",
      "illegal_parameter",
      hello({ extensions: [serverNames([0, "a.b"]), serverNames([0, "a.b"])] }),
    ],
    ["two of any other extension", "illegal_parameter", helloFor("a.example", ...grease, grease[0]!)],
    ["two host names", "illegal_parameter", hello({ extensions: [serverNames([0, "a.example"], [0, "b.example"])] })],
    ["a name of an unknown type", "decode_error", hello({ extensions: [serverNames([1, "a.example"])] })],
    ["an empty list of names", "decode_error", hello({ extensions: [serverNames()] })],
    ["an empty server_name", "decode_error", hello({ extensions: [extension(0, none)] })],
    ["an empty name", "decode_error", helloFor("")],
    [
      "bytes behind the list of names",
      "decode_error",
      hello({ extensions: [extension(0, bytes(0, 4, 0, 0, 1, 97, 0))] }),
    ],
    ["a name longer than its list", "decode_error", hello({ extensions: [extension(0, bytes(0, 4, 0, 0, 2, 97))] })],
    ["a trailing dot", "illegal_parameter", helloFor("a.example.")],
    ["a NUL", "illegal_parameter", helloFor("a.example\0.evil.example")],
    ["an IPv4 address", "illegal_parameter", helloFor("192.0.2.1")],
    ["a number that resolvers take for an address", "illegal_parameter", helloFor("0x7f.1")],
    ["an IPv6 address", "illegal_parameter", helloFor("2001:db8::1")],
    ["an IPv6 address in brackets", "illegal_parameter", helloFor("[::1]")],
    ["a port", "illegal_parameter", helloFor("a.example:443")],
    ["a space", "illegal_parameter", helloFor("a .example")],
    ["a wildcard", "illegal_parameter", helloFor("*.example")],
    ["a byte above ASCII", "illegal_parameter", helloFor("m\xfcller.example")],
    ["an empty label", "illegal_parameter", helloFor("a..example")],
    ["a label that begins with a hyphen", "illegal_parameter", helloFor("-a.example")],
    ["a label of 64 bytes", "illegal_parameter", helloFor(`${"a".repeat(64)}.example`)],
    ["a name of 254 bytes", "illegal_parameter", helloFor(`${`${"a".repeat(63)}.`.repeat(3)}${"b".repeat(62)}`)],
    ["an empty list of ALPN", "decode_error", helloFor("a.example", alpnOf())],
    ["an empty protocol", "decode_error", helloFor("a.example", alpnOf("h2", ""))],
    ["a protocol longer than its list", "decode_error", helloFor("a.example", extension(16, bytes(0, 2, 5, 97)))],
    ["an extension longer than the hello", "decode_error", hello({ extensions: [bytes(0, 43, 0, 9, 1)] })],
    ["half an extension", "decode_error", hello({ extensions: [bytes(0, 43, 0)] })],
    ["bytes behind the extensions", "decode_error", hello({ extensions: [], after: bytes(0) })],
    ["a session id of 33 bytes", "decode_error", hello({ session: Buffer.alloc(33), extensions: [] })],
    ["no cipher suites", "decode_error", hello({ suites: none, extensions: [] })],
    ["half a cipher suite", "decode_error", hello({ suites: bytes(0x13, 1, 0), extensions: [] })],
    ["no compression methods", "decode_error", hello({ compressions: none, extensions: [] })],
    ["a hello that ends early", "decode_error", record(message(helloBody({ extensions: [] }).subarray(0, 40)))],
    ["an unknown version", "protocol_version", hello({ version: 0x0201, extensions: [] })],
    ["a record of an unknown version", "protocol_version", record(message(helloBody({})), 22, 0x0201)],
    ["another handshake message", "unexpected_message", record(message(helloBody({ extensions: [] }), 2))],
    [
      "a second message in the record",
      "unexpected_message",
      record(Buffer.concat([message(helloBody({ extensions: [] })), bytes(1)])),
    ],
    [
      "an alert within the hello",
      "unexpected_message",
      Buffer.concat([record(message(helloBody({})).subarray(0, 9)), record(bytes(2, 40), 21)]),
    ],
    ["an empty record", "decode_error", record(none)],
    ["a record of more than 16 384 bytes", "record_overflow", bytes(22, 3, 1, 0x40, 1)],
    ["a hello of more than 16 384 bytes", "illegal_parameter", record(bytes(1, 0, 0x40, 0, 0))],
    ["records of more than 16 384 bytes", "illegal_parameter", bytes(22, 3, 1, 0x40, 0)],
    ["a hello of SSL 2.0", "protocol_version", bytes(0x80, 46, 1, 3, 1, 0, 21)],
    ["HTTP", undefined, Buffer.from("GET / HTTP/1.1\r\n")],
    ["a first alert", undefined, record(bytes(2, 40), 21)],
    ["SSH", undefined, Buffer.from("SSH-2.0-x\r\n")],
    ["Postgres's SSLRequest", undefined, bytes(0, 0, 0, 8, 4, 210, 22, 47)],
    ["a PROXY header", undefined, Buffer.from("PROXY TCP4 192.0.2.1")],
    ["noise", undefined, bytes(0xff, 0xff, 0xff)],
  ])("%s: %s", (_, alert, sent) => {
    expect(readClientHello(sent)).toEqual({ alert, reason: expect.any(String) as string })
  })
})

const cuts = (size: number) => fc.array(fc.integer({ min: 1, max: Math.max(1, size - 1) }), { maxLength: 12 })

const pieces = (whole: Buffer, at: readonly number[]): Buffer[] => {
  const sorted = [...new Set(at)].filter((each) => each < whole.length).toSorted((a, b) => a - b)
  return [0, ...sorted].map((from, i) => whole.subarray(from, sorted[i] ?? whole.length))
}

/** What a reader says of bytes that come in these pieces, and after how many bytes. */
const readInPieces = (chunks: readonly Buffer[]) => {
  const reader = new ClientHelloReader()
  for (const chunk of chunks) {
    // A copy: sockets do not give the same memory twice.
    const result = reader.push(Buffer.from(chunk))
    if (result !== undefined) return result
  }
  return undefined
}

const parts = fc.record({
  name: fc.stringMatching(/^[a-z\d]{1,20}(\.[a-z\d]{1,20}){0,3}\.example$/),
  alpn: fc.array(fc.string({ minLength: 1, maxLength: 9, unit: "binary-ascii" }), { minLength: 1, maxLength: 4 }),
  padding: fc.integer({ min: 0, max: 3_000 }),
})

describe("however it is cut", () => {
  it("into segments and records, a hello says the same", () => {
    fc.assert(
      fc.property(parts, cuts(3_300), cuts(3_300), ({ name, alpn, padding }, records, segments) => {
        const body = message(
          helloBody({ extensions: [serverNames([0, name]), alpnOf(...alpn), extension(21, Buffer.alloc(padding))] }),
        )
        const sent = Buffer.concat(pieces(body, records).map((piece) => record(piece)))
        expect(readInPieces(pieces(sent, segments))).toEqual({ serverName: name, alpn })
      }),
      { numRuns: 300 },
    )
  })

  it("a hello of whatever bytes gives what all of it at once gives, and never throws", () => {
    const base = fc.constantFrom(
      helloFor("a.example", alpnOf("h2")),
      hello({ extensions: [serverNames([0, "a.example"], [0, "b.example"])] }),
      Buffer.concat(
        pieces(message(helloBody({ extensions: [serverNames([0, "a.b"])] })), [3, 20]).map((p) => record(p)),
      ),
    )
    const changes = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 6 })
    fc.assert(
      fc.property(base, changes, cuts(200), fc.nat(400), (whole, edits, segments, length) => {
        const sent = Buffer.from(whole.subarray(0, length === 0 ? undefined : Math.max(1, length)))
        for (const [at, value] of edits) if (at < sent.length) sent[at] = value
        const once = readClientHello(Buffer.from(sent))
        expect(readInPieces(pieces(sent, segments))).toEqual(once)
        // What was decided stays so, whatever follows.
        const later = readClientHello(Buffer.concat([sent, Buffer.alloc(40, 22)]))
        expect(once === undefined ? undefined : later).toEqual(once)
      }),
      { numRuns: 2_000 },
    )
  })

  it("a name that is read is one label after another of letters, digits, hyphens and underscores", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (name) => {
        const result = readClientHello(helloFor(Buffer.from(name).toString("latin1")))
        expect(result).toBeDefined()
        const read = "serverName" in result! ? result.serverName : "refused"
        expect(read).toMatch(/^[\w-]+(\.[\w-]+)*$/)
      }),
      { numRuns: 500 },
    )
  })

  it("a byte at a time costs linear time", () => {
    const sent = helloFor("a.example", extension(21, Buffer.alloc(16_000)))
    const began = process.cpuUsage()
    for (let round = 0; round < 20; round++) readInPieces(pieces(sent, [...sent.keys()]))
    const { user, system } = process.cpuUsage(began)
    // 330 000 pushes: quadratic time would be a minute.
    expect((user + system) / 1e6).toBeLessThan(10)
  })
})

const chromium = ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => existsSync(path))

/** The first bytes that a client sends to a server of ours, which closes then. */
const captured = (run: (port: number) => () => void): Promise<Buffer[]> =>
  new Promise((resolve) => {
    const chunks: Buffer[] = []
    const server = createServer((socket) => {
      socket.on("error", () => undefined)
      socket.on("data", (chunk) => {
        chunks.push(chunk)
        if (readInPieces(chunks) === undefined) return
        socket.destroy()
        server.close()
        stop()
        resolve(chunks)
      })
    })
    let stop = (): void => undefined
    server.listen(0, "127.0.0.1", () => (stop = run((server.address() as AddressInfo).port)))
  })

const command = (name: string, args: (port: number) => readonly string[]) => (port: number) => {
  const child = spawn(name, args(port), { stdio: "ignore", detached: true })
  child.on("error", () => undefined)
  return () => {
    try {
      process.kill(-child.pid!, "SIGKILL")
    } catch {
      // It has ended.
    }
  }
}

describe("what real clients send", () => {
  it("node", async () => {
    const sent = await captured((port) => {
      const options = { port, host: "127.0.0.1", servername: "db.example.com", ALPNProtocols: ["postgresql"] }
      const socket = connectTls(options)
      socket.on("error", () => undefined)
      return () => socket.destroy()
    })
    expect(readInPieces(sent)).toEqual({ serverName: "db.example.com", alpn: ["postgresql"] })
  })

  it.each([
    ["TLS 1.3", "-tls1_3"],
    ["TLS 1.2", "-tls1_2"],
  ])("openssl with %s", async (_, version) => {
    const sent = await captured(
      command("openssl", (port) => [
        "s_client",
        "-connect",
        `127.0.0.1:${port}`,
        version,
        "-servername",
        "a.example",
        "-alpn",
        "h2",
      ]),
    )
    expect(readInPieces(sent)).toEqual({ serverName: "a.example", alpn: ["h2"] })
  })

  it("openssl without a name", async () => {
    const sent = await captured(
      command("openssl", (port) => ["s_client", "-connect", `127.0.0.1:${port}`, "-noservername"]),
    )
    expect(readInPieces(sent)).toEqual({ serverName: undefined, alpn: [] })
  })

  it("curl", async () => {
    const args = (port: number) => ["-k", `https://c.example:${port}/`, "--resolve", `c.example:${port}:127.0.0.1`]
    const sent = await captured(command("curl", args))
    expect(readInPieces(sent)).toEqual({ serverName: "c.example", alpn: ["h2", "http/1.1"] })
  })

  it.skipIf(chromium === undefined)("Chromium, with GREASE and Encrypted Client Hello", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hello-"))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", `--user-data-dir=${folder}`]
    const sent = await captured(
      command(chromium!, (port) => [
        ...flags,
        `--host-resolver-rules=MAP b.example 127.0.0.1:${port}`,
        "--dump-dom",
        "https://b.example/",
      ]),
    )
    expect(readInPieces(sent)).toMatchObject({
      serverName: "b.example",
      alpn: expect.arrayContaining(["h2"]) as string[],
    })
    expect(Buffer.concat(sent).length).toBeGreaterThan(1_000)
  })
})
