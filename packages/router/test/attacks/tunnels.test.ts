/** Who would reach by a tunnel what a tunnel does not lead to, or more of the host than one client may have. */
import { createServer as createHttpServer } from "node:http"
import { connect, createServer } from "node:net"
import type { Socket } from "node:net"
import { tunnelProtocols } from "@project-ingress/forward/internal"
import { openTunnel } from "@project-ingress/forward/sockets"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { upstream } from "@project-ingress/providers/upstream"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { listen, machine, signing } from "../../../machine-proxy/test/harness.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { createRouter } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { startMachine } from "../hosts/hosts.ts"

const closing: (() => unknown)[] = []
let raw: number
let web: number
let router: number
/** Connections to the app that speaks TCP, and requests that the app that speaks HTTP has got. */
let connections = 0
const requests: (readonly string[])[] = []
const upgrades: (readonly string[])[] = []

beforeAll(async () => {
  const sockets: Socket[] = []
  const tcp = createServer((socket) => {
    sockets.push(socket)
    socket.on("error", () => undefined)
    connections++
  })
  const http = createHttpServer(({ rawHeaders }, response) => {
    requests.push(rawHeaders)
    response.end("http")
  })
  http.on("upgrade", ({ rawHeaders }, socket: Socket) => {
    upgrades.push(rawHeaders)
    socket.end("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
  })
  raw = await listen(tcp)
  web = await listen(http)
  const proxy = await startMachine()
  const speaks = { protocol: "tcp" as const }
  const misha = { id: machine, type: "local", externalId: "dev", metadata: { port: proxy.port } }
  const own = {
    id: "mach_up",
    type: "upstream",
    externalId: "up",
    metadata: { origin: `http://127.0.0.1:${web}` },
  }
  const host = serveNode(
    createRouter({
      grammar: defineGrammar({ domains: ["iterate.app"] }),
      store: memoryStore({
        "p:misha": { machine: misha, ports: { [raw]: speaks } },
        "p:private": { machine: misha, visibility: "private", ports: { [raw]: speaks } },
        "p:proxied": { machine: misha, ports: { [raw]: { ...speaks, proxyProtocol: 1 } } },
        "p:upstream": { machine: own, ports: { [raw]: speaks } },
      }),
      providers: [local(), upstream({ allowCidrs: ["127.0.0.0/8"] })],
      signingKey: signing,
    }),
    { trustedProxies: [], limits: { maxConnections: 1_000 }, bounds: { client: { webSockets: 100 } } },
  )
  const listening = await host.listen({ hostname: "127.0.0.1" })
  router = listening.port
  closing.push(
    () => {
      tcp.close()
      http.close()
      for (const socket of sockets) socket.destroy()
    },
    () => proxy.close(),
    () => listening.close({ deadlineMs: 0 }),
  )
})
afterAll(async () => {
  for (const close of closing.toReversed()) await close()
})

const tunnelTo = (hostname: string, headers: Readonly<Record<string, string>> = {}) =>
  openTunnel({ url: `http://${hostname}.iterate.app:${router}`, address: "127.0.0.1", headers })

const codeOf = async (opening: Promise<{ destroy(): unknown }>): Promise<unknown> =>
  opening.then(
    (stream) => {
      stream.destroy()
      return "opened"
    },
    (error: { readonly code?: unknown }) => error.code,
  )

/** Sends these lines, and gives the response's head. */
const ask = (lines: readonly string[]): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(router, "127.0.0.1")
    let text = ""
    socket.on("error", () => undefined)
    socket.on("data", (bytes) => {
      text += String(bytes)
      if (text.includes("\r\n\r\n")) socket.destroy()
    })
    socket.on("close", () => resolve(text))
    socket.write([...lines, "", ""].join("\r\n"))
  })

const handshake = (hostname: string, ...more: readonly string[]) => [
  "GET / HTTP/1.1",
  `Host: ${hostname}.iterate.app`,
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  `Sec-WebSocket-Key: ${"A".repeat(22)}==`,
  ...more,
]
const protocolField = "x-iterate-proxy-protocol: tcp"

describe("a visitor", () => {
  it("opens no tunnel to an app that speaks HTTP, to which it could say who it is, whatever it sends", async () => {
    const before = upgrades.length
    expect(await codeOf(tunnelTo(`${web}__misha`))).toBe("TUNNEL_NOT_ALLOWED")
    expect(await codeOf(tunnelTo(`${web}__misha`, { "x-iterate-proxy-protocol": "tcp" }))).toBe("TUNNEL_NOT_ALLOWED")
    const named = `${raw}__misha.iterate.app`
    const lies = {
      "x-iterate-proxy-target-host": named,
      "x-forwarded-host": named,
      "x-iterate-proxy-tunnel-x-iterate-proxy-protocol": "tcp",
    }
    expect(await codeOf(tunnelTo(`${web}__misha`, lies))).toBe("TUNNEL_NOT_ALLOWED")
    expect(upgrades).toHaveLength(before)
  })

  it.each([
    ["two subprotocols", [`Sec-WebSocket-Protocol: ${tunnelProtocols.tcp}, chat`]],
    ["two fields", [`Sec-WebSocket-Protocol: ${tunnelProtocols.tcp}`, "Sec-WebSocket-Protocol: chat"]],
    ["another case", [`Sec-WebSocket-Protocol: ${tunnelProtocols.tcp.toUpperCase()}`]],
    ["none", []],
  ])(
    "whose handshake offers %s reaches the app as a WebSocket, which its own field does not change",
    async (_name, more) => {
      const text = await ask(handshake(`${web}__misha`, ...more, protocolField))
      expect(text).toMatch(/^HTTP\/1\.1 418 /)
      expect(upgrades.at(-1)!.map((field) => field.toLowerCase())).not.toContain("x-iterate-proxy-protocol")
    },
  )

  it("reaches a port that speaks TCP by no request but a tunnel", async () => {
    const before = connections
    const plain = await ask(["GET / HTTP/1.1", `Host: ${raw}__misha.iterate.app`, "x-iterate-proxy-protocol: http"])
    expect(plain).toMatch(/x-iterate-proxy-error: PORT_NOT_HTTP/i)
    const chat = await ask(handshake(`${raw}__misha`, "Sec-WebSocket-Protocol: chat", "x-iterate-proxy-protocol: http"))
    expect(chat).toMatch(/x-iterate-proxy-error: PORT_NOT_HTTP/i)
    const datagrams = await ask(handshake(`${raw}__misha`, `Sec-WebSocket-Protocol: ${tunnelProtocols.udp}`))
    expect(datagrams).toMatch(/x-iterate-proxy-error: TUNNEL_NOT_ALLOWED/i)
    expect(connections).toBe(before)
  })

  it("opens no tunnel to a port that is private: not a byte reaches the app", async () => {
    const before = connections
    expect(await codeOf(tunnelTo(`${raw}__private`))).toBe("ACCESS_DENIED")
    expect(connections).toBe(before)
  })

  it("opens none to a port that believes a PROXY header, which it would write itself", async () => {
    const before = connections
    expect(await codeOf(tunnelTo(`${raw}__proxied`))).toBe("PROTOCOL_NOT_CARRIED")
    expect(connections).toBe(before)
  })

  it("opens none where there is no machine proxy: the app is sent no handshake that is not for it", async () => {
    const before = upgrades.length
    expect(await codeOf(tunnelTo(`${raw}__upstream`))).toBe("TUNNEL_UNSUPPORTED")
    expect(upgrades).toHaveLength(before)
  })

  it("with 1 000 tunnels has as many as it may have WebSockets, and the others are refused", async () => {
    const before = connections
    const codes = await Promise.all(
      Array.from({ length: 1_000 }, () =>
        tunnelTo(`${raw}__misha`).then(
          (stream) => {
            stream.on("error", () => undefined)
            closing.push(() => stream.destroy())
            return "opened"
          },
          (error: { readonly code?: unknown }) => error.code,
        ),
      ),
    )
    expect(codes.filter((code) => code === "opened").length).toBeLessThanOrEqual(100)
    expect(codes.filter((code) => code === "opened").length).toBeGreaterThan(0)
    expect(codes.filter((code) => code === "CLIENT_LIMITED").length).toBeGreaterThan(0)
    expect(connections - before).toBeLessThanOrEqual(100)
  })
})
