import { execFile } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:http"
import type { Server } from "node:http"
import { createServer as createRawServer } from "node:net"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { build } from "esbuild"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import { forwardConnect } from "../src/fetch/node.ts"
import { check } from "./fetch-connect-check.ts"

const bin = (name: string): string => fileURLToPath(new URL(`../../../node_modules/.bin/${name}`, import.meta.url))
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

let server: Server
let origin: string
let closed: string
let heads: { readonly line: string; readonly headers: readonly string[] }[] = []

beforeAll(async () => {
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (names) => (names.has("b") ? "b" : false) })
  sockets.on("headers", (headers) => headers.push("X-Stamp: 1"))
  server = createServer((_, response) => response.writeHead(404).end())
  server.on("upgrade", (request, socket, head) => {
    heads.push({ line: request.url!, headers: request.rawHeaders })
    const refuse = (status: string): void => {
      socket.end(`HTTP/1.1 ${status}\r\nX-Stamp: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno`)
    }
    socket.on("error", () => {})
    switch (request.url) {
      case "/502":
        return refuse("502 Bad Gateway")
      case "/307":
        return refuse("307 Elsewhere\r\nLocation: /echo")
      case "/reset":
        return (socket as typeof socket & { resetAndDestroy(): void }).resetAndDestroy()
      case "/never":
        return undefined
      default:
        return sockets.handleUpgrade(request, socket, head, (client) => {
          client.on("message", (data, isBinary) => client.send(data as Buffer, { binary: isBinary }))
          if (request.url !== "/bye") return
          client.send("greeting")
          client.send(Buffer.from([1, 2]))
          client.close(4001, "bye")
        })
    }
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const unused = createRawServer().listen(0, "127.0.0.1")
  await once(unused, "listening")
  closed = `http://127.0.0.1:${(unused.address() as AddressInfo).port}`
  unused.close()
})

afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const expected = {
  early: ["text greeting", "binary 1,2", "close 4001 bye"],
  status: 101,
  stamp: "1",
  protocol: "b",
  echoed: ["text h\u00e9llo", "binary 1,2,255", "close 4002 done"],
  refused: [502, "1", true],
  redirected: [307, "1", true],
  reset: "reset maybe",
  closed: "refused no",
  late: "timeout maybe",
  aborted: "AbortError",
  absolute: "other no",
  addressNotAllowed: "other no",
  nameNotAllowed: "other no",
  pinned: "unsupported no",
  addressAllowed: [502, "1", true],
}
/** Where the runtime hides the head of a handshake's answer. */
const hidden = {
  ...expected,
  stamp: null,
  refused: [502, null, true],
  redirected: [307, null, true],
  addressAllowed: [502, null, true],
}

const values = (name: string): readonly string[] =>
  heads
    .find(({ line }) => line === "/echo?a=%2F")!
    .headers.flatMap((value, i, all) => (i % 2 === 1 && all[i - 1]!.toLowerCase() === name ? [value] : []))

/** What the server must have seen, whoever shook hands. */
const sawOne = (): void => {
  for (const name of ["host", "sec-websocket-key", "sec-websocket-version", "connection", "x-own"]) {
    expect(values(name), name).toHaveLength(1)
  }
  expect(values("sec-websocket-key")).not.toEqual(["AAAAAAAAAAAAAAAAAAAAAA=="])
  expect(values("cookie").join("; ")).toBe("c=1; d=2")
  expect(values("sec-websocket-protocol").join().replaceAll(" ", "")).toBe("a,b")
  heads = []
}

describe("a WebSocket", () => {
  it("does the same on Node, which alone can check a pinned key", async () => {
    expect(await check(forwardConnect, origin, closed)).toEqual({ ...expected, pinned: "other no" })
    sawOne()
  })

  it("does the same on Bun, which hides heads", { timeout: 30_000 }, async () => {
    const { stdout } = await promisify(execFile)(bin("bun"), [here("fetch-connect-main.ts"), "bun", origin, closed])
    expect(JSON.parse(stdout)).toEqual(hidden)
    sawOne()
  })

  it("does the same on Deno, which hides heads", { timeout: 30_000 }, async () => {
    const args = [
      "run",
      "--node-modules-dir=manual",
      "--allow-net",
      here("fetch-connect-main.ts"),
      "deno",
      origin,
      closed,
    ]
    const { stdout } = await promisify(execFile)(bin("deno"), args, { env: { ...process.env, NO_COLOR: "1" } })
    expect(JSON.parse(stdout)).toEqual(hidden)
    sawOne()
  })

  it("does the same in workerd, which tells no refused from a reset one", { timeout: 30_000 }, async () => {
    const bundle = await build({
      entryPoints: [here("fetch-connect-worker.ts")],
      bundle: true,
      format: "esm",
      write: false,
      conditions: ["@project-ingress/source", "workerd"],
    })
    const worker = new Miniflare(
      convertV4MiniflareOptions({
        cf: false,
        modules: true,
        script: bundle.outputFiles[0]!.text,
        compatibilityDate: "2026-01-01",
      }),
    )
    try {
      const found = await fetch(new URL(`/?origin=${origin}&closed=${closed}`, await worker.ready))
      expect(await found.json()).toEqual({ ...expected, closed: "reset maybe" })
      expect(values("cookie").join("; ")).toBe("c=1; d=2")
    } finally {
      await worker.dispose()
    }
  })
})
