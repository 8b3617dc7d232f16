import { once } from "node:events"
import { createServer } from "node:http"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { defaultNames } from "@project-ingress/forward"
import { build } from "esbuild"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

let server: Server
let origin: string
let worker: Miniflare
let url: URL
const resolved = new Map<string, number>()

beforeAll(async () => {
  server = createServer((request, response) => {
    const machine = /^\/resolve\/(.*)$/.exec(request.url!)?.[1]
    if (machine === undefined) return response.writeHead(200, { [defaultNames.stamp]: "1" }).end("app")
    const times = (resolved.get(machine) ?? 0) + 1
    resolved.set(machine, times)
    // The first question of a machine called `stuck` is never answered.
    if (machine === "stuck" && times === 1) return undefined
    return setTimeout(() => response.end(origin), 50)
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const bundle = await build({
    entryPoints: [fileURLToPath(new URL("fetcher-worker.ts", import.meta.url))],
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

afterAll(async () => {
  await worker.dispose()
  server.closeAllConnections()
  server.close()
})

const ask = async (machine: string, signal: AbortSignal = AbortSignal.timeout(5_000)): Promise<string> =>
  (await fetch(new URL(`/?machine=${machine}&origin=${origin}`, url), { signal })).text()

describe("in workerd", { timeout: 20_000 }, () => {
  it("reaches a machine", async () => {
    expect(await ask("alone")).toBe("app")
  })

  it("answers a hundred requests that wait for one question", async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask("many")))
    expect(new Set(answers)).toEqual(new Set(["app"]))
    expect(resolved.get("many")).toBeLessThan(10)
  })

  it("answers those who wait for a request that is gone", async () => {
    const gone = new AbortController()
    const first = ask("stuck", gone.signal).catch(() => "gone")
    await expect.poll(() => resolved.get("stuck")).toBe(1)
    const others = Array.from({ length: 20 }, () => ask("stuck"))
    gone.abort()
    expect(await first).toBe("gone")
    expect(new Set(await Promise.all(others))).toEqual(new Set(["app"]))
  })
})
