/** What the host on sockets decides about connections to machines. */
import { createServer, get } from "node:http"
import { connect } from "node:net"
import type { AddressInfo } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { serveNode } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import type { Policy, RouterOptions } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { fake, hostnames, keys, machine } from "./fakes.ts"

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** A machine's proxy at one address, whoever it is at the moment; `silent` requests get no response. */
const startServer = async () => {
  const seen = { connections: 0, requests: 0 }
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    seen.requests++
    if (request.url === "/silent") return
    response.writeHead(200, { "x-iterate-proxy-stamp": "unproven", "x-powered-by": "node" }).end("ok")
  })
  server.on("connection", () => seen.connections++)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

const serve = async (options: Partial<RouterOptions>) => {
  const store = memoryStore({ "p:misha": { machine: machine("mach_1") } })
  const router = createRouter({
    grammar: hostnames,
    store,
    providers: [],
    signingKey: keys.signing,
    unprovenMachines: true,
    ...options,
  })
  const host = await serveNode(router).listen({ hostname: "127.0.0.1" })
  closing.push(() => host.close({ deadlineMs: 0 }))
  const ask = (path = "/") =>
    new Promise<{ readonly status: number | undefined; readonly headers: NodeJS.Dict<string | string[]> }>(
      (resolve, reject) => {
        const at = { host: "127.0.0.1", port: host.port, path, headers: { host: "misha.iterate.app" }, agent: false }
        get(at, (response) => {
          response.resume().once("end", () => resolve({ status: response.statusCode, headers: response.headers }))
        }).once("error", reject)
      },
    )
  return { store, ask, port: host.port }
}

describe("a kept connection", () => {
  it("is used again for the same machine, and never for another machine or another incarnation at its address", async () => {
    const { origin, seen } = await startServer()
    let epoch = "first"
    const { store, ask } = await serve({ providers: [fake({ resolve: async () => ({ origin, epoch, ttlMs: 0 }) })] })
    await ask()
    await ask()
    expect(seen).toEqual({ connections: 1, requests: 2 })
    epoch = "second"
    await ask()
    expect(seen.connections).toBe(2)
    store.attach("p:misha", { machine: machine("mach_2") })
    await ask()
    expect(seen.connections).toBe(3)
  })
})

describe("a machine that does not respond", () => {
  it("is a 504 after the head's time-out", async () => {
    const { origin } = await startServer()
    const { ask } = await serve({ providers: [fake({ endpoint: { origin } })], headersTimeoutMs: 100 })
    const { status, headers } = await ask("/silent")
    expect([status, headers["x-iterate-proxy-error"]]).toEqual([504, "UPSTREAM_TIMEOUT"])
  })
})

describe("a policy's edit of a response", () => {
  const editing = async (onResponse: Policy["onResponse"]) => {
    const { origin } = await startServer()
    const policies = [{ name: "edit", onResponse: onResponse! }]
    return (await serve({ providers: [fake({ endpoint: { origin } })], policies })).ask()
  }

  it("reaches the visitor", async () => {
    const { headers } = await editing((_, edit) => {
      edit.remove("x-powered-by")
      edit.set("X-Frame-Options", "DENY")
    })
    expect(headers).toMatchObject({ "x-frame-options": "DENY" })
    expect(headers).not.toHaveProperty("x-powered-by")
  })

  it("that throws is a 500, not a broken connection", async () => {
    const { status, headers } = await editing(() => {
      throw new Error("no")
    })
    expect([status, headers["x-iterate-proxy-error"]]).toEqual([500, "PROXY_FAILED"])
  })
})

describe("an app without a machine proxy", () => {
  it("gets nothing of ours, and whatever it responds is the response", async () => {
    const fields: NodeJS.Dict<string | string[]>[] = []
    const app = createServer((request, response) => {
      fields.push(request.headers)
      // As if it were a machine's proxy.
      response.writeHead(421, {
        server: "app",
        "x-iterate-proxy-stamp": "unproven",
        "x-iterate-proxy-error": "PORT_CLOSED",
      })
      response.end("mine")
    })
    await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve))
    closing.push(() => app.close())
    const { port } = app.address() as AddressInfo
    const endpoint = { origin: `http://127.0.0.1:${port}`, machineProxy: false } as const
    const { ask } = await serve({ providers: [fake({ endpoint })] })
    const { status, headers } = await ask()
    expect([status, headers["server"]]).toEqual([421, "app"])
    expect(Object.keys(headers).filter((name) => name.startsWith("x-iterate"))).toEqual([])
    expect(fields).toHaveLength(1)
    expect(Object.keys(fields[0]!).filter((name) => name.startsWith("x-iterate"))).toEqual([])
    expect(fields[0]).toMatchObject({ host: `127.0.0.1:${port}`, "x-forwarded-for": "127.0.0.1" })
  })
})

describe("a request that cannot be read", () => {
  const navigation = "Accept: text/html,*/*;q=0.8\r\nSec-Fetch-Mode: navigate\r\n"
  const large = `Cookie: ${"a".repeat(80_000)}\r\n`

  it.each([
    ["page", "431", `GET / HTTP/1.1\r\nHost: a.test\r\n${navigation}${large}\r\n`, "text/html; charset=utf-8"],
    ["page", "400", `GET / HTTP/1.1\r\nHost: a@b\r\n${navigation}\r\n`, "text/html; charset=utf-8"],
    ["JSON", "431", `GET / HTTP/1.1\r\nHost: a.test\r\naccept:application/json\r\n${large}\r\n`, "application/json"],
    ["text", "431", `GET / HTTP/1.1\r\nHost: a.test\r\n${large}${navigation}\r\n`, "text/plain; charset=utf-8"],
    ["text", "400", "\x16\x03\x01 TLS to a plain port\r\n\r\n", "text/plain; charset=utf-8"],
    ["text", "400", `nonsense\r\n\r\n${navigation}\r\n`, "text/plain; charset=utf-8"],
  ])("has a response as %s, as far as it says so before it ends: %s", async (_, status, bytes, type) => {
    const { port } = await serve({})
    const socket = connect(port, "127.0.0.1")
    socket.write(bytes, "latin1")
    let all = ""
    for await (const data of socket.setEncoding("latin1")) all += String(data)
    expect(all).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(/^content-type: (.*)\r$/im.exec(all)?.[1]).toBe(type)
  })
})
