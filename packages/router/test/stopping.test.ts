/** How the Node host stops, and what load balancers are told of it. */
import { request } from "node:http"
import type { IncomingHttpHeaders } from "node:http"
import { connect } from "node:net"
import { afterAll, afterEach, describe, expect, it, vi } from "vitest"
import { healthCheckPath, serveNode } from "../src/hosts/node.ts"
import type { Listening, NodeHost } from "../src/hosts/node.ts"
import { healthCheckPath as machineProxyPath } from "../../machine-proxy/src/machine-proxy.ts"
import { setup } from "./fakes.ts"

let host: NodeHost
let listening: Listening
const { router } = setup()

const start = async () => {
  host = serveNode(router, { fallback: () => new Response("our own site") })
  listening = await host.listen({ hostname: "127.0.0.1" })
}
afterEach(async () => {
  vi.useRealTimers()
  await listening.close({ deadlineMs: 0 })
})
afterAll(() => router.dispose())

/** All that comes on a connection of its own. */
const raw = (text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let all = ""
    const socket = connect(listening.port, "127.0.0.1", () => socket.end(text))
    socket.setEncoding("latin1").on("data", (data: string) => (all += data))
    socket.on("close", () => resolve(all)).on("error", reject)
  })
const get = (hostname: string, path = healthCheckPath) =>
  new Promise<{ readonly status: number | undefined; readonly headers: IncomingHttpHeaders; readonly body: string }>(
    (resolve, reject) => {
      const headers = { host: hostname }
      request({ port: listening.port, host: "127.0.0.1", path, headers, agent: false }, (response) => {
        let body = ""
        response.setEncoding("utf8").on("data", (data: string) => (body += data))
        response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }))
      })
        .on("error", reject)
        .end()
    },
  )

describe("the health check", () => {
  it.each(["10.0.0.5", "127.0.0.1:8787", "[::1]", "[fd00::5]:8787"])("is asked for by the address %s", async (name) => {
    await start()
    expect(await get(name)).toMatchObject({ status: 200, body: '{"status":"ok"}\n' })
  })

  it("is asked for without a host, as HAProxy does", async () => {
    await start()
    expect(await raw(`GET ${healthCheckPath} HTTP/1.0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 .*\{"status":"ok"\}\n$/s)
  })

  it.each([
    ["misha.iterate.app", healthCheckPath],
    ["www.example.com", healthCheckPath],
    ["10.0.0.5", "/"],
    ["10.0.0.5.example.com", healthCheckPath],
  ])("hides nothing of %s at %s", async (name, path) => {
    await start()
    expect((await get(name, path)).body).not.toContain('"status"')
  })

  it("has the path of the machine proxy's", () => {
    expect(healthCheckPath).toBe(machineProxyPath)
  })

  it("is no method but GET", async () => {
    await start()
    expect(await raw(`POST ${healthCheckPath} HTTP/1.0\r\n\r\n`)).not.toContain('"status"')
  })
})

describe("a host that stops", () => {
  const refused = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(listening.port, "127.0.0.1", () => resolve(socket.destroy() && false))
      socket.on("error", () => resolve(true))
    })

  it("says so, serves on for its grace, and then closes every listener", async () => {
    await start()
    const second = await host.listen({ hostname: "127.0.0.1" })
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    let closed = false
    void listening.close().then(() => (closed = true))
    expect(host.draining()).toBe(true)
    vi.advanceTimersByTime(6_999)
    expect(await get("10.0.0.5")).toMatchObject({
      status: 503,
      headers: { connection: "close" },
      body: '{"status":"draining"}\n',
    })
    expect(await get("www.example.com", "/")).toMatchObject({ status: 200, body: "our own site" })
    expect(closed).toBe(false)
    vi.advanceTimersByTime(1)
    await expect.poll(() => closed).toBe(true)
    expect(await refused()).toBe(true)
    await expect(second.close({ deadlineMs: 0 })).resolves.toBeUndefined()
  })

  it.each([
    [{ deadlineMs: 1_000 }, 700],
    [{ deadlineMs: 60_000 }, 7_000],
    [{ deadlineMs: 60_000, graceMs: 30_000 }, 30_000],
    [{ deadlineMs: 1_000, graceMs: 30_000 }, 1_000],
  ])("with %j listens for %i ms", async (options, graceMs) => {
    await start()
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    const closed = listening.close(options)
    vi.advanceTimersByTime(graceMs - 1)
    expect(await refused()).toBe(false)
    vi.advanceTimersByTime(1)
    vi.useRealTimers()
    await closed
    expect(await refused()).toBe(true)
  })
})
