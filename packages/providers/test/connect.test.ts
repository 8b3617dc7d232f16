import { once } from "node:events"
import { createServer } from "node:http"
import type { IncomingHttpHeaders, Server } from "node:http"
import type { AddressInfo } from "node:net"
import { defaultHeaderNames } from "@project-ingress/forward"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import { local } from "../src/adapters/local.ts"
import { check } from "./connect-check.ts"
import { programs, run } from "./runtimes.ts"

let server: Server
let port: number
let echo: IncomingHttpHeaders | undefined

beforeAll(async () => {
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (names) => (names.has("b") ? "b" : false) })
  sockets.on("headers", (headers, { url }) => {
    if (url !== "/unstamped") headers.push(`${defaultHeaderNames.stamp}: 1`)
  })
  server = createServer()
  server.on("upgrade", (request, socket, head) => {
    const refuse = (
      status: number,
      headers: Readonly<Record<string, string>> = { [defaultHeaderNames.stamp]: "1" },
    ): void => {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.end(`HTTP/1.1 ${status} x\r\n${lines.join("")}Content-Length: 0\r\nConnection: close\r\n\r\n`)
    }
    switch (request.url) {
      case "/403":
        return refuse(403)
      case "/closed":
        return refuse(502, { [defaultHeaderNames.stamp]: "1", [defaultHeaderNames.error]: "PORT_CLOSED" })
      case "/421":
        return refuse(421, { [defaultHeaderNames.stamp]: "1", [defaultHeaderNames.error]: "MACHINE_MISMATCH" })
      case "/platform":
        return refuse(502, {})
      case "/never":
        return undefined
      default:
        return sockets.handleUpgrade(request, socket, head, (client) => {
          if (request.url === "/echo?a=%2F") echo = request.headers
          client.send("greeting")
          client.on("message", (data, isBinary) => client.send(data as Buffer, { binary: isBinary }))
        })
    }
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  port = (server.address() as AddressInfo).port
})
beforeEach(() => {
  echo = undefined
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const expected = {
  seen: ["text greeting", "text hello", "binary 1,2,255", "close 4002 done"],
  protocol: "b",
  refused: ["HandshakeRefused", 403, null],
  closedPort: ["HandshakeRefused", 502, "PORT_CLOSED"],
  misdirected: "MachineMismatch",
  platform: "MachineNotRunning",
  unstamped: "ProviderUnavailable",
  nobody: "MachineNotFound",
}
/** Bun and Deno show the status of a handshake alone: who answered it cannot be told. */
const hidden = { ...expected, closedPort: "PortClosed", unstamped: "opened" }

const sawHop = (): void => {
  expect(echo).toMatchObject({
    host: `127.0.0.1:${port}`,
    [defaultHeaderNames.targetHost]: "4096__app.example.test",
    [`${defaultHeaderNames.tunnel}authorization`]: "Bearer app",
    "x-edge": "token",
    origin: "https://app.example.test",
  })
  expect(echo!.authorization).toBeUndefined()
}

const checkOn = async (runtime: keyof typeof programs): Promise<unknown> =>
  JSON.parse((await run(programs[runtime], "connect-main.ts", { args: [String(port)] })).stdout)

describe("connect", () => {
  it("opens a WebSocket by the same rules on Node", async () => {
    expect(await check(port)).toEqual(expected)
    sawHop()
  })

  it("opens one on Bun", { timeout: 30_000 }, async () => {
    expect(await checkOn("bun")).toEqual(hidden)
    sawHop()
  })

  it("opens one on Deno", { timeout: 30_000 }, async () => {
    expect(await checkOn("deno")).toEqual(hidden)
    sawHop()
  })

  it("waits for the handshake as long as it is told, and ends with its request's signal", async () => {
    const machine = { id: "mach_a", type: "local", externalId: "a", metadata: { port } }
    const url = "https://app.example.test/never"
    const slow = machineFetcher(local(), machine, { headersTimeoutMs: 50 })
    await expect(slow.connect(new Request(url))).rejects.toMatchObject({ _tag: "UpstreamTimeout" })
    const left = new AbortController()
    setTimeout(() => left.abort(new Error("left")), 20)
    const patient = machineFetcher(local(), machine)
    await expect(patient.connect(new Request(url, { signal: left.signal }))).rejects.toThrow("left")
  })
})
