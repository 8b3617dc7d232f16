import { once } from "node:events"
import { createServer } from "node:http"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { adminApi } from "../../src/caddy/front/admin-api.ts"
import type { AdminApi } from "../../src/caddy/front/admin-api.ts"

// What a real Caddy does once in 9 000 times: it resets a request when it has just changed its configuration.
let resets: ("before" | "after" | "never")[]
let running: unknown
let version: number
let server: Server
let api: AdminApi
beforeEach(async () => {
  resets = []
  running = { at: 1 }
  version = 1
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const reset = resets.shift() ?? "never"
      const isCurrent = request.method === "GET" || request.headers["if-match"] === String(version)
      if (request.method === "POST" && isCurrent && reset !== "before") {
        running = JSON.parse(Buffer.concat(chunks).toString())
        version += 1
      }
      if (reset === "never")
        response.writeHead(isCurrent ? 200 : 412, { etag: String(version) }).end(JSON.stringify(running))
      else request.socket.resetAndDestroy()
    })
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  api = adminApi(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, undefined)
})
afterEach(async () => {
  server.close()
  await once(server, "close")
})

const { signal } = new AbortController()

describe("an admin API that resets connections", () => {
  it("is read again", async () => {
    resets = ["before", "before"]
    expect(await api.read(signal)).toEqual({ document: { at: 1 }, etag: "1" })
  })

  it("is given a configuration again, and once only", async () => {
    resets = ["before"]
    await api.replace({ b: 2, a: 1 }, "1", signal)
    expect([running, version]).toEqual([{ a: 1, b: 2 }, 2])
    resets = ["after"]
    await api.replace({ a: 2 }, "2", signal)
    expect([running, version]).toEqual([{ a: 2 }, 3])
  })

  it("refuses a configuration that somebody else was faster than", async () => {
    version = 2
    const refusal = { _tag: "AdminRefused", status: 412 }
    await expect(api.replace({ at: 2 }, "1", signal)).rejects.toMatchObject(refusal)
    resets = ["before"]
    await expect(api.replace({ at: 2 }, "1", signal)).rejects.toMatchObject(refusal)
    expect(running).toEqual({ at: 1 })
  })

  it("is given up if it always does", async () => {
    resets = Array.from({ length: 10 }, () => "before")
    await expect(api.read(signal)).rejects.toThrow("ECONNRESET")
  })
})
