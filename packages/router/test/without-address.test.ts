/** A machine that no URL leads to, through the fetch door and through a host on sockets. */
import { request as httpRequest } from "node:http"
import type { IncomingMessage } from "node:http"
import { afterAll, beforeEach, describe, expect, it } from "vitest"
import { WebSocket } from "ws"
import { serveNode } from "../src/node.ts"
import { createRouter } from "../src/router.ts"
import { memoryRoutes } from "../src/stores/memory.ts"
import { fake, hostnames, keys, machine, stamped } from "./fakes.ts"

/** What the machine was asked. */
let seen: Request[] = []
let answer: (request: Request) => Response | Promise<Response> = () => stamped()
beforeEach(() => {
  seen = []
  answer = () => stamped()
})

const router = createRouter({
  hostnames,
  routes: memoryRoutes({ "p:misha": { machine: machine("mach_1") } }),
  providers: [
    fake({
      capabilities: {
        runtimes: ["node"],
        webSocket: true,
        wake: "none",
        ports: "any",
        eatenHeaders: [],
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
  signing: keys.signing,
})
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
    const options = { host: "127.0.0.1", port: listening.port, method, path, headers: { host: "misha.iterate.app" } }
    httpRequest(options, resolve).on("error", reject).end(body)
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
    expect(headers.get("x-forwarded-host")).toBe("misha.iterate.app")
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
        "x-iterate-proxy-stamp": "1",
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
    expect(await ask("GET", "/")).toMatchObject({ status: 502, body: `{"error":"UPSTREAM_FAILED"}\n` })
    answer = () => new Response("from the platform")
    expect(await ask("POST", "/", "x")).toMatchObject({ status: 502, body: `{"error":"PROVIDER_UNAVAILABLE"}\n` })
  })
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
