import { once } from "node:events"
import { createServer } from "node:http"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import { defaultHeaderNames } from "@project-ingress/forward"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import { startWorker } from "./runtimes.ts"
import type { RunningWorker } from "./runtimes.ts"

let server: Server
let origin: string
let worker: RunningWorker
const resolved = new Map<string, number>()
const started = new Map<string, number>()
const awake = new Set<string>()
const held = Promise.withResolvers<void>()

beforeAll(async () => {
  server = createServer((request, response) => {
    const cold = /^\/start\/(.*)$/.exec(request.url!)?.[1]
    if (cold !== undefined) {
      const times = (started.get(cold) ?? 0) + 1
      started.set(cold, times)
      // The first start of a machine called `cold-stuck` is never answered.
      if (cold === "cold-stuck" && times === 1) return undefined
      return setTimeout(() => {
        awake.add(cold)
        response.end()
      }, 600)
    }
    const machine = /^\/resolve\/(.*)$/.exec(request.url!)?.[1]
    if (machine === undefined) return response.writeHead(200, { [defaultHeaderNames.stamp]: "1" }).end("app")
    const times = (resolved.get(machine) ?? 0) + 1
    resolved.set(machine, times)
    if (machine.startsWith("cold") && !awake.has(machine)) return response.writeHead(409).end("stopped")
    // The first question of a machine called `stuck` is never answered.
    if (machine === "stuck" && times === 1) return undefined
    // That of one called `held` when the test says so.
    if (machine === "held") return void held.promise.then(() => response.end(origin))
    return setTimeout(() => response.end(origin), 50)
  }).listen(0, "127.0.0.1")
  const sockets = new WebSocketServer({ noServer: true })
  sockets.on("headers", (headers) => headers.push(`${defaultHeaderNames.stamp}: 1`))
  server.on("upgrade", (request, socket, head) => {
    if (request.url === "/refused") {
      return socket.end(
        `HTTP/1.1 403 No\r\n${defaultHeaderNames.stamp}: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
      )
    }
    if (request.url === "/platform")
      return socket.end("HTTP/1.1 502 Bad\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    return sockets.handleUpgrade(request, socket, head, (client) => {
      client.on("message", (data) => client.send(`echo ${(data as Buffer).toString()}`))
    })
  })
  await once(server, "listening")
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  worker = await startWorker("fetcher-worker.ts")
}, 30_000)

afterAll(async () => {
  await worker.dispose()
  server.closeAllConnections()
  server.close()
})

const ask = async (machine: string): Promise<string> => {
  const signal = AbortSignal.timeout(5_000)
  return (await fetch(new URL(`/?machine=${machine}&origin=${origin}`, worker.url), { signal })).text()
}

describe("in workerd", { timeout: 20_000 }, () => {
  it("reaches a machine", async () => {
    expect(await ask("alone")).toBe("app")
  })

  it("answers a hundred requests that wait for one question", async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask("many")))
    expect(new Set(answers)).toEqual(new Set(["app"]))
    expect(resolved.get("many")).toBe(1)
  })

  it("answers those who wait for a request that is gone", async () => {
    expect(await (await fetch(new URL(`/?machine=stuck&origin=${origin}&leave`, worker.url))).text()).toBe("left")
    await expect.poll(() => resolved.get("stuck")).toBe(1)
    const others = Array.from({ length: 20 }, () => ask("stuck"))
    expect(new Set(await Promise.all(others))).toEqual(new Set(["app"]))
    expect(resolved.get("stuck")).toBe(2)
  })

  // How long the isolate computes depends on what else the machine does.
  it("asks a question once though another request blocks the isolate meanwhile", { timeout: 300_000 }, async () => {
    const all = Array.from({ length: 20 }, () => fetch(new URL(`/?machine=held&origin=${origin}`, worker.url)))
    await expect.poll(() => resolved.get("held")).toBe(1)
    await (await fetch(new URL(`/?machine=busy&origin=${origin}&compute`, worker.url))).text()
    // Whoever took the one who asks for dead would have asked by now, or does before this is answered.
    await (await fetch(new URL(`/?machine=after&origin=${origin}`, worker.url))).text()
    held.resolve()
    expect(new Set(await Promise.all(all.map(async (response) => (await response).text())))).toEqual(new Set(["app"]))
    expect(resolved.get("held")).toBe(1)
  })

  it("wakes a machine once for a hundred requests", async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask("cold")))
    expect(new Set(answers)).toEqual(new Set(["app"]))
    expect([started.get("cold"), resolved.get("cold")]).toEqual([1, 2])
  })

  it("wakes a machine for those who wait for a request that is gone", async () => {
    expect(await (await fetch(new URL(`/?machine=cold-stuck&origin=${origin}&leave`, worker.url))).text()).toBe("left")
    await expect.poll(() => started.get("cold-stuck")).toBe(1)
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask("cold-stuck")))
    expect(new Set(answers)).toEqual(new Set(["app"]))
    expect(started.get("cold-stuck")).toBe(2)
  })

  it("opens a WebSocket, and tells who refused one", async () => {
    const said = async (path: string) =>
      (await fetch(new URL(`/?machine=sockets&origin=${origin}&connect=${path}`, worker.url))).text()
    expect(await said("echo")).toBe("echo hello")
    expect(await said("refused")).toContain("refused with 403")
    expect(await said("platform")).toContain("cannot be reached: HTTP 502")
  })
})
