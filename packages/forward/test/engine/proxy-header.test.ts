import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readProxyHeader } from "../../src/sockets/proxy-protocol/proxy-header.ts"
import { extension, proxyV2 } from "./proxy-v2.ts"

const text = (line: string) => readProxyHeader(Buffer.from(line, "latin1"))
const binary = (header: Buffer) => readProxyHeader(header)

describe("version 1", () => {
  it.each([
    ["PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "192.0.2.1"],
    ["PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"],
    ["PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0"],
    ["PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 56324 443\r\n", "2001:db8::1"],
    // HAProxy's longest: 107 bytes.
    [
      "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ],
    // One notation for one address, so that nobody counts it twice.
    ["PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 56324 443\r\n", "192.0.2.1"],
  ])("%j names %s", (line, address) => {
    const header = { length: line.length, client: { address, encrypted: false } }
    expect([text(line), text(`${line}GET / HTTP/1.1\r\n`)]).toEqual([header, header])
  })

  it.each(["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 garbage \0 1 2\r\n"])("%j names nobody", (line) => {
    expect(text(line)).toEqual({ length: line.length, client: { address: "", encrypted: false } })
  })

  it.each([
    "PROXY \r\n",
    "PROXY TCP4\r\n",
    "PROXY TCP5 192.0.2.1 198.51.100.1 56324 443\r\n",
    "PROXY tcp4 192.0.2.1 198.51.100.1 56324 443\r\n",
    "PROXY UNKNOWNS\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n",
    "PROXY  TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
    "PROXY TCP4 192.0.2.1\t198.51.100.1 56324 443\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.1 056 443\r\n",
    "PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n",
    "PROXY TCP4 192.0.2.01 198.51.100.1 56324 443\r\n",
    "PROXY TCP4 192.0.2 198.51.100.1 56324 443\r\n",
    "PROXY TCP4 192.0.2.256 198.51.100.1 56324 443\r\n",
    "PROXY TCP4 192.0.2.1 host 56324 443\r\n",
    "PROXY TCP4 2001:db8::1 2001:db8::2 56324 443\r\n",
    "PROXY TCP6 192.0.2.1 198.51.100.1 56324 443\r\n",
    "PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n",
    "PROXY TCP4 192.0.2.1, 198.51.100.1 56324 443\r\n",
  ])("%j is refused", (line) => expect(text(line)).toBe("the PROXY header is invalid"))

  it("has at most 107 bytes", () => {
    expect(text(`PROXY UNKNOWN${" ".repeat(107 - 15)}\r\n`)).toMatchObject({ length: 107 })
    expect(text(`PROXY UNKNOWN${" ".repeat(108 - 15)}\r\n`)).toBe("the PROXY header has no end")
  })
})

describe("version 2", () => {
  const inet = Buffer.from([192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb])
  const inet6 = Buffer.from(`20010db8${"0".repeat(23)}1${"0".repeat(31)}1dc0401bb`, "hex")
  const unix = Buffer.alloc(216, "/run/a.sock")

  it.each([
    ["TCP over IPv4", { family: 0x11, addresses: inet }, "192.0.2.1"],
    ["TCP over IPv6", { family: 0x21, addresses: inet6 }, "2001:db8::1"],
    ["an IPv4-mapped address", { family: 0x21, addresses: mapped("c0000201") }, "192.0.2.1"],
    ["a UNIX socket", { family: 0x31, addresses: unix }, ""],
    ["no family", { family: 0x00, addresses: Buffer.alloc(0) }, ""],
    ["UDP", { family: 0x12, addresses: inet }, ""],
    ["LOCAL", { command: 0x20, family: 0x00, addresses: Buffer.alloc(0) }, undefined],
    ["LOCAL with addresses", { command: 0x20, family: 0x11, addresses: inet }, undefined],
    ["LOCAL with anything", { command: 0x20, family: 0xff, addresses: Buffer.from([1, 2, 3]) }, undefined],
  ] as const)("%s names the right client", (_, parts, address) => {
    const header = proxyV2(parts)
    const read = { length: header.length, client: { address, encrypted: false } }
    expect([binary(header), binary(Buffer.concat([header, Buffer.from("GET /")]))]).toEqual([read, read])
  })

  it.each([
    ["version 1", { command: 0x11, family: 0x11, addresses: inet }, "version or command"],
    ["version 3", { command: 0x31, family: 0x11, addresses: inet }, "version or command"],
    ["command 2", { command: 0x22, family: 0x11, addresses: inet }, "version or command"],
    ["family 4", { family: 0x41, addresses: inet }, "unknown family"],
    ["transport 3", { family: 0x13, addresses: inet }, "unknown family"],
    ["addresses that are cut off", { family: 0x11, addresses: inet.subarray(1) }, "too short"],
    ["IPv4 addresses as IPv6", { family: 0x21, addresses: inet }, "too short"],
    ["an extension without a length", { family: 0x11, addresses: inet, extensions: Buffer.from([4, 0]) }, "exceeds"],
    [
      "an extension that is cut off",
      { family: 0x11, addresses: inet, extensions: Buffer.from([4, 0, 2, 0]) },
      "exceeds",
    ],
    ["more than 4096 bytes", { family: 0x11, addresses: inet, extensions: extension(4, 4_096) }, "too large"],
  ] as const)("%s is refused", (_, parts, reason) => expect(binary(proxyV2(parts))).toContain(reason))

  it("is refused for its length before it has come", () => {
    const header = proxyV2({ family: 0x11, addresses: inet, extensions: extension(4, 60_000) })
    expect(binary(header.subarray(0, 16))).toBe("the PROXY header is too large")
  })

  it.each([
    ["the client spoke TLS", [1, 0, 0, 0, 0], true],
    ["the client spoke none", [0, 0, 0, 0, 0], false],
    ["a certificate but no TLS", [6, 0, 0, 0, 0], false],
    ["nothing", [], false],
  ])("by PP2_TYPE_SSL %s", (_, value, encrypted) => {
    const around = [extension(4, 10), extension(0x20, Buffer.from(value)), extension(0xea, 20)]
    const header = proxyV2({ family: 0x11, addresses: inet, extensions: Buffer.concat(around) })
    expect(binary(header)).toEqual({ length: header.length, client: { address: "192.0.2.1", encrypted } })
  })
})

describe("either version", () => {
  it("needs more bytes until it is complete, wherever it is cut", () => {
    const headers = [
      Buffer.from("PROXY TCP6 2001:db8::1 ::1 56324 443\r\n"),
      proxyV2({ family: 0x11, addresses: Buffer.alloc(12), extensions: extension(4, 9) }),
    ]
    for (const header of headers) {
      for (let end = 0; end < header.length; end++) expect(binary(header.subarray(0, end))).toBeUndefined()
      expect(binary(header)).toMatchObject({ length: header.length })
    }
  })

  it.each([
    "G",
    "GET / HTTP/1.1\r\n",
    "proxy TCP4",
    "PROXX",
    "\r\n\r\n\0\r\nQUIT\r",
    "\x16\x03\x01",
    "\n",
    "\r\n\r\nG",
  ])("does not begin with %j", (bytes) =>
    expect(text(bytes)).toMatch(/^the connection does not begin with a PROXY header: have the balancer send it/),
  )

  it("is read or refused, whatever the bytes are, and the same however they are split", () => {
    const start = fc.constantFrom(
      "",
      "PROXY ",
      "PROXY TCP4 192.0.2.1 ",
      "\r\n\r\n\0\r\nQUIT\n",
      "\r\n\r\n\0\r\nQUIT\n\x21\x11\0",
    )
    const input = fc
      .tuple(start, fc.uint8Array({ maxLength: 300 }))
      .map(([start, rest]) => Buffer.concat([Buffer.from(start, "latin1"), rest]))
    fc.assert(
      fc.property(input, fc.nat(300), (bytes, cut) => {
        const whole = binary(bytes)
        const part = binary(bytes.subarray(0, cut))
        // What was decided on a part of the bytes is not decided otherwise on more of them.
        expect(part === undefined ? undefined : whole).toEqual(part)
        expect(typeof whole === "object" ? whole.length : 0).toBeLessThanOrEqual(bytes.length)
      }),
      { numRuns: 2_000 },
    )
  })
})

function mapped(ipv4: string): Buffer {
  return Buffer.from(`${"0".repeat(20)}ffff${ipv4}${"0".repeat(32)}00010002`, "hex")
}
