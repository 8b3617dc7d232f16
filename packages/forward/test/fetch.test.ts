import { execFile } from "node:child_process"
import { once } from "node:events"
import { createServer, request } from "node:http"
import type { IncomingMessage, Server } from "node:http"
import { createServer as createRawServer } from "node:net"
import type { AddressInfo, Server as RawServer, Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { gunzipSync, gzipSync } from "node:zlib"
import { build } from "esbuild"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import { forwardFetch } from "../src/fetch/node.ts"
import type { OutgoingRequest } from "../src/fetch/node.ts"
import { check } from "./fetch-check.ts"

const bin = (name: string): string => fileURLToPath(new URL(`../../../node_modules/.bin/${name}`, import.meta.url))
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

let server: Server
let origin: string
let closed: string

const portOf = (server: Server | RawServer): number => (server.address() as AddressInfo).port
const textOf = async (message: IncomingMessage): Promise<Buffer> => Buffer.concat(await message.toArray())

beforeAll(async () => {
  server = createServer((request, response) => {
    switch (request.url?.split("?")[0]) {
      case "/redirect":
        return response.writeHead(302, { location: "/elsewhere" }).end()
      case "/set-cookies":
        return response.writeHead(200, ["set-cookie", "a=1; Expires=Wed, 1 Jan 2031", "Set-Cookie", "b=2"]).end()
      case "/head": {
        const { rawHeaders } = request
        const headers = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), rawHeaders[i + 1]]] : []))
        return response.end(JSON.stringify({ line: `${request.method} ${request.url}`, headers }))
      }
      case "/gzip": {
        const body = gzipSync("hello")
        return response.writeHead(200, { "content-encoding": "gzip", "content-length": body.length }).end(body)
      }
      case "/echo":
        return request.pipe(response)
      case "/204":
        return response.writeHead(204).end()
      case "/slow-body":
        response.write("first ")
        return setTimeout(() => response.end("last"), 300)
      case "/never":
        return undefined
      case "/reset":
        return request.socket.resetAndDestroy()
      default:
        return response.end(`path ${request.url}`)
    }
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  origin = `http://127.0.0.1:${portOf(server)}`
  const unused = createRawServer().listen(0, "127.0.0.1")
  await once(unused, "listening")
  closed = `http://127.0.0.1:${portOf(unused)}`
  unused.close()
})

afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const expected = {
  redirect: [302, "/elsewhere"],
  cookies: ["a=1; Expires=Wed, 1 Jan 2031", "b=2"],
  line: "GET /head?q=%2e%2E&x=a+b",
  cookie: "a=1; b=2",
  repeated: "1|2",
  hosts: 1,
  codingMatchesBody: true,
  codingNobodyAskedFor: true,
  upload: "one two",
  noContent: [204, null],
  slowBody: "first last",
  headersTimeout: "timeout maybe",
  refused: "refused no",
  reset: "reset maybe",
  aborted: "AbortError",
  hostInPath: "path //evil.test/x",
  relative: "other no",
  absolute: "other no",
  credentials: "other no",
  given: "PUT, /given?a=1, 1, manual, one two",
  givenFails: "other maybe",
  givenHangs: "timeout maybe",
  split: "other no",
  addressNotAllowed: "other no",
  addressNotAllowedSpelling: "other no",
  addressAllowed: "path /",
  pinned: "unsupported no",
  pinnedTls: "unsupported no",
  pinnedGiven: "unsupported no",
  caGiven: "unsupported no",
  nameNotAllowed: "other no",
  nameNotListed: "other no",
  nameAllowed: "path /",
}

describe("on every runtime", () => {
  it("does the same on Node, which alone can check a pinned key", async () => {
    const pinned = { pinned: "other no", pinnedTls: "refused no" }
    expect(await check(forwardFetch, origin, closed)).toEqual({ ...expected, ...pinned })
  })

  it("does the same on Bun but for one slash", { timeout: 30_000 }, async () => {
    const { stdout } = await promisify(execFile)(bin("bun"), [here("fetch-main.ts"), "bun", origin, closed])
    // Bun folds the slashes of a path; that it stays a path is what counts.
    expect(JSON.parse(stdout)).toEqual({ ...expected, hostInPath: "path /evil.test/x" })
  })

  it("does the same on Deno", { timeout: 30_000 }, async () => {
    const args = ["run", "--node-modules-dir=manual", "--allow-net", here("fetch-main.ts"), "deno", origin, closed]
    const { stdout } = await promisify(execFile)(bin("deno"), args, { env: { ...process.env, NO_COLOR: "1" } })
    expect(JSON.parse(stdout)).toEqual(expected)
  })
})

describe("in workerd", () => {
  let worker: Miniflare
  let url: URL

  beforeAll(async () => {
    const bundle = await build({
      entryPoints: [here("fetch-worker.ts")],
      bundle: true,
      format: "esm",
      write: false,
      conditions: ["@project-ingress/source", "workerd"],
    })
    worker = new Miniflare(
      convertV4MiniflareOptions({
        cf: false,
        modules: true,
        script: bundle.outputFiles[0]!.text,
        compatibilityDate: "2026-01-01",
      }),
    )
    url = await worker.ready
  }, 30_000)

  afterAll(() => worker.dispose())

  it("does the same but for what workerd hides", async () => {
    const target = new URL(`/check?origin=${origin}&closed=${closed}`, url)
    const found = (await (await fetch(target)).json()) as Record<string, unknown>
    // One text for a refused and a reset connection; a body that is read here is decoded, one that is passed on is not.
    expect(found).toEqual({ ...expected, refused: "reset maybe", codingMatchesBody: false })
  })

  it("passes a coded body on as it came", async () => {
    const sent = request(new URL(`/gzip?origin=${origin}`, url), { headers: { "accept-encoding": "gzip" } }).end()
    const [answer] = (await once(sent, "response")) as [IncomingMessage]
    expect(answer.headers["content-encoding"]).toBe("gzip")
    expect(gunzipSync(await textOf(answer)).toString()).toBe("hello")
  })

  it("passes a WebSocket", async () => {
    const sockets = new WebSocketServer({ port: 0, host: "127.0.0.1" })
    await once(sockets, "listening")
    sockets.on("connection", (socket) =>
      socket.on("message", (data) => socket.send(`echo ${(data as Buffer).toString()}`)),
    )
    const { port } = sockets.address() as AddressInfo
    const target = new URL(`/?origin=http://127.0.0.1:${port}`, url)
    target.protocol = "ws:"
    const client = new WebSocket(target)
    await once(client, "open")
    client.send("hello")
    expect(String((await once(client, "message"))[0])).toBe("echo hello")
    client.terminate()
    sockets.close()
  })
})

describe("on Node, to a raw socket", () => {
  const raw = async (
    answer: string | ((socket: Socket) => void),
    use: (origin: string, got: () => string) => Promise<void>,
  ) => {
    let got = ""
    const sockets = new Set<Socket>()
    const server = createRawServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("data", (chunk) => {
        const first = got === ""
        got += chunk.toString("latin1")
        if (!first) return
        if (typeof answer === "string") socket.write(answer, "latin1")
        else answer(socket)
      })
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    try {
      await use(`http://127.0.0.1:${portOf(server)}`, () => got)
    } finally {
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  }
  const get = (origin: string, more: Partial<OutgoingRequest> = {}): Promise<Response> =>
    forwardFetch({ origin, target: "/", method: "GET", headers: [], body: null, ...more })
  const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

  it.each(["/a/../b/%2e%2e//c", "//evil.test/x", "/\\evil.test", '/a|b{}^`<>"', "/%zz?#x", "/caf\u00e9"])(
    "sends the target %j octet by octet",
    (target) =>
      raw(ok, async (origin, got) => {
        await get(origin, { target })
        expect(got().split("\r\n")[0]).toBe(`GET ${target} HTTP/1.1`)
      }),
  )

  it("sends the headers as they are, a Host of the list among them, and none of its own", () =>
    raw(ok, async (origin, got) => {
      await get(origin, { headers: ["Host", "public.test", "X-Octets", "caf\u00e9", "Cookie", "a=1", "Cookie", "b=2"] })
      expect(got().split("\r\n").slice(1, -2)).toEqual(
        expect.arrayContaining(
          ["Host: public.test", "X-Octets: caf\u00e9", "Cookie: a=1", "Cookie: b=2"].map((line) =>
            line.replace(/^Host/, "host"),
          ),
        ),
      )
      expect(got()).not.toMatch(/user-agent|accept/i)
    }))

  it("gives the reason and header octets of the answer, and leaves a hostile reason out", async () => {
    await raw("HTTP/1.1 200 Caf\u00e9\r\nX-Octets: \u00ff\r\nContent-Length: 0\r\n\r\n", async (origin) => {
      const answer = await get(origin)
      expect(answer.headers.get("x-octets")).toBe("\u00ff")
    })
    await raw("HTTP/1.1 200 a\u0001b\r\nContent-Length: 0\r\n\r\n", async (origin) => {
      expect((await get(origin)).statusText).toBe("")
    })
  })

  it.each([
    ["a status above 599", "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n"],
    ["a 101 nobody asked for", "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
    ["two lengths", "HTTP/1.1 200 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na"],
    ["no HTTP at all", "SSH-2.0-OpenSSH_9.9\r\n"],
  ])("fails on %s", (_, answer) =>
    raw(answer, async (origin) => {
      await expect(get(origin)).rejects.toMatchObject({ _tag: "SendFailure", sent: "maybe" })
    }),
  )

  it("skips informational answers", () =>
    raw(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${ok}`, async (origin) => {
      expect((await get(origin)).status).toBe(200)
    }))

  it("fails a body that ends too early, and does not end it cleanly", () =>
    raw(
      (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"),
      async (origin) => {
        const answer = await get(origin)
        expect(answer.status).toBe(200)
        await expect(answer.text()).rejects.toThrow("other side closed")
      },
    ))

  it("ends the connection when the signal ends while a body flows", () =>
    raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", async (origin) => {
      const left = new AbortController()
      const answer = await get(origin, { signal: left.signal })
      const reason = new Error("left")
      left.abort(reason)
      await expect(answer.text()).rejects.toBe(reason)
    }))

  it("reads no more of a body than somebody takes", async () => {
    let written = 0
    await raw(
      (socket) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        const chunk = Buffer.alloc(65_536)
        const more = (): void => {
          do written += chunk.length
          while (socket.write(chunk) && written < 100_000_000)
        }
        socket.on("drain", more)
        more()
      },
      async (large) => {
        const answer = await get(large)
        const reader = answer.body!.getReader()
        await reader.read()
        // The event loop that serves these reads the large body, too: when nothing moves meanwhile, nobody reads it.
        const isWhole = (): boolean => written >= 100_000_000
        for (let quiet = 0; quiet < 20 && !isWhole(); quiet++) {
          const before = written
          await (await get(origin)).text()
          if (written !== before) quiet = 0
        }
        expect(written).toBeLessThan(30_000_000)
        await reader.cancel()
      },
    )
  })

  it("refuses an upgrade, which no Response can answer here", async () => {
    await expect(get(origin, { upgrade: true })).rejects.toMatchObject({ kind: "unsupported", sent: "no" })
  })

  it("says that nothing was sent when the connection was never made", async () => {
    await expect(get("http://no-such-host.invalid")).rejects.toMatchObject({ kind: "other", sent: "no" })
  })
})
