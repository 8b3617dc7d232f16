/** A machine that no URL leads to, through the fetch door and through a host on sockets. */
import { request as httpRequest } from "node:http"
import type { IncomingMessage } from "node:http"
import { afterAll, beforeEach, describe, expect, it } from "vitest"
import { connect } from "node:net"
import { WebSocket } from "ws"
import { serveNode } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import type { RouterOptions } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { fake, hostnames, keys, machine, stamped } from "./fakes.ts"

/** What the machine was asked. */
let seen: Request[] = []
let answer: (request: Request) => Response | Promise<Response> = () => stamped()
beforeEach(() => {
  seen = []
  answer = () => stamped()
})

const options: RouterOptions = {
  grammar: hostnames,
  store: memoryStore({ "p:misha": { machine: machine("mach_1") } }),
  providers: [
    fake({
      capabilities: {
        runtimes: ["node"],
        webSocket: true,
        wake: "none",
        ports: "any",
        interceptedHeaders: [],
        edgeCookies: ["edge"],
      },
      endpoint: {
        origin: "http://machine.invalid",
        fetch: async (request) => {
          seen.push(request)
          return answer(request)
        },
      },
    }),
  ],
  signingKey: keys.signing,
  unprovenMachines: true,
}
const router = createRouter(options)
const listening = await serveNode(router).listen({ hostname: "127.0.0.1" })
afterAll(() => listening.close({ deadlineMs: 0 }))

interface Answer {
  readonly status: number
  readonly cookies: readonly string[]
  readonly names: readonly string[]
  readonly body: string
}
type Door = (method: string, path: string, body?: string) => Promise<Answer>

const byFetch: Door = async (method, path, body) => {
  const init = { method, ...(body === undefined ? {} : { body }) }
  const response = (await router.fetch(new Request(`http://misha.iterate.app${path}`, init)))!
  const { status, headers } = response
  return { status, cookies: headers.getSetCookie(), names: [...headers.keys()], body: await response.text() }
}

const bySocket: Door = async (method, path, body) => {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { host: "misha.iterate.app" }
    const at = { host: "127.0.0.1", port: listening.port, method, path, headers, agent: false }
    httpRequest(at, resolve).on("error", reject).end(body)
  })
  let text = ""
  for await (const chunk of response) text += String(chunk)
  const { headers, statusCode: status = 0 } = response
  return { status, cookies: headers["set-cookie"] ?? [], names: Object.keys(headers), body: text }
}

describe.each([
  ["the fetch door", byFetch],
  ["a host on sockets", bySocket],
])("a machine without an address, through %s", (_, ask) => {
  it("gets the request as another machine does", async () => {
    await ask("GET", "/a//b?c=%2F")
    const { url, method, redirect, headers } = seen[0]!
    expect([method, url, redirect]).toEqual(["GET", "http://machine.invalid/a//b?c=%2F", "manual"])
    expect(headers.get("x-iterate-proxy-target-host")).toBe("3000__misha.iterate.app")
    expect(headers.get("x-iterate-proxy-ticket")).toMatch(/^ey/)
    expect(headers.get("x-iterate-proxy-fwd-host")).toBe("localhost:3000")
  })

  it("streams a body there and back", async () => {
    answer = async (request) => stamped(request.body)
    const body = "0123456789abcdef".repeat(65_536)
    expect((await ask("POST", "/", body)).body === body).toBe(true)
  })

  it("answers without a trace of the hop, each cookie by itself", async () => {
    answer = () => {
      const headers = new Headers({
        "x-app": "1",
        "x-iterate-proxy-stamp": "unproven",
        connection: "x-app-hop",
        "x-app-hop": "1",
      })
      headers.append("set-cookie", "a=1")
      headers.append("set-cookie", "edge=a-session-of-ours; HttpOnly")
      headers.append("set-cookie", "b=2")
      return new Response("teapot", { status: 418, headers })
    }
    const found = await ask("GET", "/")
    expect(found).toMatchObject({ status: 418, cookies: ["a=1", "b=2"], body: "teapot" })
    expect(found.names).toContain("x-app")
    expect(found.names.filter((name) => /^x-iterate|^x-app-hop$/.test(name))).toEqual([])
  })

  it("may answer without a body", async () => {
    answer = () => stamped(null, { status: 204 })
    expect(await ask("DELETE", "/")).toMatchObject({ status: 204, body: "" })
    expect(await ask("HEAD", "/")).toMatchObject({ status: 204, body: "" })
  })

  it("is a 502 when its function fails, or answers without the stamp", async () => {
    answer = () => Promise.reject(new Error("no such stub"))
    expect(await ask("GET", "/")).toMatchObject({ status: 502, body: expect.stringContaining("UPSTREAM_FAILED") })
    answer = () => new Response("from the platform")
    expect(await ask("POST", "/", "x")).toMatchObject({
      status: 502,
      body: expect.stringContaining("PROVIDER_UNAVAILABLE"),
    })
  })
})

describe("a host on sockets, to a machine without an address", () => {
  const send = (head: string, more: { readonly until?: RegExp; readonly body?: string } = {}): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(listening.port, "127.0.0.1", () =>
        socket.write(`${head}\r\nHost: misha.iterate.app\r\n\r\n`),
      )
      let all = ""
      socket.on("data", (data) => {
        all += String(data)
        if (all.startsWith("HTTP/1.1 100 ") && more.body !== undefined && !all.includes("HTTP/1.1 200"))
          socket.write(more.body)
        if (more.until?.test(all) === true) socket.destroy()
      })
      socket.on("error", () => {}).on("close", () => resolve(all))
    })
  const textOf = (...pieces: string[]) =>
    new ReadableStream<Uint8Array>({
      start(body) {
        for (const piece of pieces) body.enqueue(new TextEncoder().encode(piece))
        body.close()
      },
    })

  it("takes a Response of any class, and nothing that is none", async () => {
    answer = async () => {
      const { status, headers, body, statusText } = stamped("of another class")
      return { status, headers, body, statusText } as Response
    }
    expect(await bySocket("GET", "/")).toMatchObject({ status: 200, body: "of another class" })
    for (const nothing of [42, undefined, { status: 200 }, { status: 99 }]) {
      answer = () => nothing as never
      expect(await bySocket("GET", "/")).toMatchObject({
        status: 502,
        body: expect.stringContaining("UPSTREAM_FAILED"),
      })
    }
  })

  it("keeps the length that an answer without a body names", async () => {
    const headers = { "content-length": "12345" }
    answer = () => stamped(null, { headers })
    expect(await send("HEAD / HTTP/1.1\r\nConnection: close")).toMatch(/content-length: 12345\r\n/i)
    answer = () => stamped(null, { status: 304, headers: { etag: `"x"` } })
    expect(await send("GET / HTTP/1.1\r\nConnection: close")).not.toMatch(/content-length/i)
  })

  it("breaks off where a body is shorter than the length that it names", async () => {
    answer = () => stamped(textOf("short"), { headers: { "content-length": "10" } })
    const raw = await send("GET / HTTP/1.1\r\nConnection: close")
    expect(raw).toMatch(/content-length: 10\r\n[^]*\r\n\r\nshort$/i)
    answer = () => stamped(textOf("short"), { headers: { "content-length": "10, 10" } })
    expect(await send("GET / HTTP/1.1\r\nConnection: close")).toMatch(/transfer-encoding: chunked[^]*0\r\n\r\n$/i)
  })

  it("says 100 Continue when the body is wanted, and passes no expectation on", async () => {
    answer = async (request) =>
      stamped(`${request.headers.get("expect")} ${request.headers.get("te")} ${await request.text()}`)
    const head = "POST / HTTP/1.1\r\nConnection: close, TE\r\nTE: trailers\r\nExpect: 100-continue\r\nContent-Length: 4"
    const raw = await send(head, { body: "body" })
    expect(raw).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
    expect(raw).toContain("null null body")
  })

  it("ends a quiet body when the client leaves, and calls it no trouble", async () => {
    const failures: unknown[] = []
    const host = serveNode(router, { onEvent: (event) => event.type === "error" && failures.push(event) })
    const at = await host.listen({ hostname: "127.0.0.1" })
    const cancelled = new Promise<string>((resolve) => {
      answer = () =>
        stamped(
          new ReadableStream({
            start: (body) => body.enqueue(new TextEncoder().encode("first")),
            cancel: () => resolve("cancelled"),
          }),
        )
    })
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest({ host: "127.0.0.1", port: at.port, headers: { host: "misha.iterate.app" } }, resolve).end()
    })
    response.on("error", () => {})
    await new Promise((resolve) => response.once("data", resolve))
    response.destroy()
    expect(await cancelled).toBe("cancelled")
    await at.close({ deadlineMs: 0 })
    expect(failures).toEqual([])
  })
})

describe("a function that heeds no signal", () => {
  const deaf = (forward: Partial<RouterOptions> = {}) => createRouter({ ...options, headersTimeoutMs: 50, ...forward })

  it("has no longer than the head of an answer may take", async () => {
    answer = () => new Promise(() => {})
    const answered = await deaf().fetch(new Request("http://misha.iterate.app/"))
    expect([answered?.status, await answered?.text()]).toEqual([504, expect.stringContaining("UPSTREAM_TIMEOUT")])
  })

  it("has an answer that comes too late thrown away", async () => {
    const cancelled = new Promise<string>((resolve) => {
      answer = async () => {
        await new Promise((resolve) => setTimeout(resolve, 100))
        return stamped(new ReadableStream({ cancel: () => resolve("cancelled") }))
      }
    })
    expect((await deaf().fetch(new Request("http://misha.iterate.app/")))?.status).toBe(504)
    expect(await cancelled).toBe("cancelled")
  })
})

it("a request that Fetch has no word for is not sent, and says nothing of the machine", async () => {
  const socket = connect(listening.port, "127.0.0.1", () =>
    socket.write("GET / HTTP/1.1\r\nHost: misha.iterate.app\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"),
  )
  let all = ""
  await new Promise((resolve) => socket.on("data", (data) => (all += String(data))).on("close", resolve))
  expect(all).toMatch(/^HTTP\/1\.1 502 [^]*PROVIDER_UNAVAILABLE/)
  expect(seen).toHaveLength(0)
})

it("a host on sockets refuses a WebSocket to a machine without an address, and asks nobody", async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${listening.port}/ws`, { headers: { host: "misha.iterate.app" } })
  const status = await new Promise((resolve) => {
    socket.once("unexpected-response", (_, response) => resolve(response.statusCode))
    socket.once("error", resolve)
  })
  expect([status, seen.length]).toEqual([502, 0])
})

it("a host on sockets tells the machine that its client left", async () => {
  const asked = new Promise<Request>((resolve) => {
    answer = (request) => {
      resolve(request)
      return new Promise(() => {})
    }
  })
  const leaving = httpRequest({ host: "127.0.0.1", port: listening.port, headers: { host: "misha.iterate.app" } })
  leaving.on("error", () => {}).end()
  const { signal } = await asked
  const told = new Promise<string>((resolve) => signal.addEventListener("abort", ({ type }) => resolve(type)))
  leaving.destroy()
  expect(await told).toBe("abort")
})
