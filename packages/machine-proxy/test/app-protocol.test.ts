import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { protocolField } from "../../router/src/program/protocol.ts"
import { appProtocol } from "../src/app-protocol.ts"
import { raw, startApp, startProxy, ticketFor } from "./harness.ts"

const https = (rejectUnauthorized: boolean, servername: string) => ({
  scheme: "https",
  tls: { rejectUnauthorized, servername },
})

describe("what the router says of a port", () => {
  it.each<[string, unknown]>([
    ["h2c", { scheme: "http", protocol: "h2c" }],
    ["https", https(true, "localhost")],
    ["https;verify=?0", https(false, "localhost")],
    ['https;name="App.internal"', https(true, "App.internal")],
    ['https;verify=?0;name="a"', https(false, "a")],
  ])("is read: %s", (value, protocol) => expect(appProtocol(value)).toEqual(protocol))

  it.each([
    "",
    ",",
    "http",
    "H2C",
    "h2",
    "h2c ",
    "h2c;verify=?0",
    "HTTPS",
    "https ",
    "https,h2c",
    "https; verify=?0",
    "https;verify=?1",
    "https;verify=0",
    "https;verify",
    "https;verify=?0;verify=?0",
    'https;name="a";verify=?0',
    "https;name=a",
    'https;name=""',
    'https;name="127.0.0.1"',
    'https;name="a b"',
    'https;name="a";name="b"',
    `https;name="${"a".repeat(254)}"`,
    'https;name="a"\n',
    "https;ca=x",
  ])("has one spelling, and is nothing in any other: %j", (value) => expect(appProtocol(value)).toBe(undefined))

  it("is what the router writes, for every setting", () => {
    const name = fc.stringMatching(/^[a-zA-Z][a-zA-Z\d.-]{0,40}[a-z\d]$/)
    fc.assert(
      fc.property(fc.boolean(), fc.option(name, { nil: undefined }), (verify, serverName) => {
        const tls = { verify, ...(serverName === undefined ? {} : { serverName }) }
        expect(appProtocol(protocolField({ protocol: "https", tls })!)).toEqual(
          https(verify, serverName ?? "localhost"),
        )
      }),
    )
    expect(appProtocol(protocolField({ protocol: "https" })!)).toEqual(https(true, "localhost"))
    expect(appProtocol(protocolField({ protocol: "h2c" })!)).toEqual({ scheme: "http", protocol: "h2c" })
    expect([protocolField({}), protocolField({ protocol: "http" })]).toEqual([undefined, undefined])
  })

  it("never makes the reader throw, or take what it did not write", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `https${text}`),
        ),
        (value) => {
          const isOurs = /^(?:h2c|https(?:;verify=\?0)?(?:;name="[\w.-]+")?)$/.test(value)
          expect(isOurs || appProtocol(value) === undefined).toBe(true)
        },
      ),
    )
  })
})

describe("a machine's proxy", () => {
  const ask = async (port: number, target: string, ...fields: string[]) =>
    raw(port, ["GET / HTTP/1.1", "Host: machine", `X-Iterate-Proxy-Target-Host: ${target}`, ...fields])

  it("refuses what it does not know, and two of what it knows, before it connects", async () => {
    await using app = await startApp()
    await using proxy = await startProxy()
    const target = `${app.port}__misha.iterate.app`
    const ticket = `X-Iterate-Proxy-Ticket: ${ticketFor(target)}`
    const codeOf = async (...fields: string[]) =>
      (await ask(proxy.port, target, ...fields)).headers["x-iterate-proxy-error"]
    expect(await codeOf(ticket, "X-Iterate-Proxy-Protocol: quic")).toBe("PROTOCOL_UNSUPPORTED")
    const twice = ["X-Iterate-Proxy-Protocol: h2c", "X-Iterate-Proxy-Protocol: h2c"]
    expect(await codeOf(ticket, ...twice)).toBe("PROTOCOL_UNSUPPORTED")
    // Known, and the app speaks another one.
    expect(await codeOf(ticket, "X-Iterate-Proxy-Protocol: h2c")).toBe("UPSTREAM_FAILED")
    expect(await codeOf(ticket, "X-Iterate-Proxy-Protocol: https")).toBe("UPSTREAM_FAILED")
  })

  it("looks at it with a ticket only, and opens no port by it that is not open", async () => {
    await using app = await startApp()
    await using proxy = await startProxy({ ports: { deny: [app.port] } })
    const target = `${app.port}__misha.iterate.app`
    const protocol = "X-Iterate-Proxy-Protocol: h2c"
    expect((await ask(proxy.port, target, protocol)).headers["x-iterate-proxy-error"]).toBe("TICKET_REQUIRED")
    const ticket = `X-Iterate-Proxy-Ticket: ${ticketFor(target)}`
    expect((await ask(proxy.port, target, ticket, protocol)).headers["x-iterate-proxy-error"]).toBe("PORT_FORBIDDEN")
  })

  it("says to gRPC what it says to others, as a status of gRPC beside that of HTTP", async () => {
    await using proxy = await startProxy()
    const { status, headers, body } = await ask(proxy.port, "80__a.test", "Content-Type: application/grpc")
    expect([status, headers["grpc-status"], body]).toEqual([401, "16", ""])
    expect(decodeURIComponent(headers["grpc-message"] ?? "")).toMatch(/^TICKET_REQUIRED: /)
    expect(
      (await ask(proxy.port, "80__a.test", "Content-Type: application/grpc-web+proto")).headers["grpc-status"],
    ).toBe(undefined)
  })
})
