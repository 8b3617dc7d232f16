/** Rules of Workers, in workerd: a load ends with the request that started it, unless that request keeps it. */
import { request } from "node:http"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { bundleWorker } from "../../../../test/bundle-worker.ts"

let worker: Miniflare
let url: URL

beforeAll(async () => {
  worker = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundleWorker(new URL("worker.ts", import.meta.url)),
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["enable_request_signal"],
      host: "127.0.0.1",
      cf: false,
    }),
  )
  url = await worker.ready
})
afterAll(() => worker.dispose())

const ask = async (path: string, init: { readonly method?: string; readonly body?: string } = {}): Promise<unknown> => {
  const response = await fetch(new URL(path, url), init)
  const text = await response.text()
  if (!response.ok) return text
  return text === ""
    ? undefined
    : text.startsWith("{") || text.startsWith("[") || /^\d/.test(text)
      ? JSON.parse(text)
      : text
}
/** How often the authority was read for a key. */
const reads = (key: string) => ask(`/authority?key=${key}`)
const authority = (key: string, version: number, ms: number) => ask(`/authority?key=${key}&version=${version}&ms=${ms}`)

describe("26: many requests for one cold key", () => {
  it("are one read, if all belong to one request", async () => {
    await authority("p:one", 1, 20)
    expect(await ask("/stampede?key=p:one&kept")).toEqual(["hit"])
    expect(await reads("p:one")).toBe(1)
  })

  it("are not a read of each, if the first keeps it beyond its response", async () => {
    await authority("p:kept", 1, 100)
    await ask("/leave?key=p:kept&kept")
    const looked = await Promise.all(Array.from({ length: 20 }, () => ask("/get?key=p:kept&kept")))
    for (const each of looked) expect(each).toMatchObject({ status: "hit", record: { version: 1 } })
    // One; on a machine that is slow, a follower may have waited its 250 ms before.
    expect(await reads("p:kept")).toBeLessThanOrEqual(5)
  })

  it("are served by one of the others, if the first ends and keeps nothing", async () => {
    await authority("p:left", 1, 1_000)
    await ask("/leave?key=p:left")
    await authority("p:left", 2, 10)
    const looked = await Promise.all(Array.from({ length: 5 }, () => ask("/get?key=p:left&kept")))
    for (const each of looked) expect(each).toMatchObject({ status: "hit", record: { version: 2 } })
    expect(await reads("p:left")).toBe(2)
  })

  it("are served, if the client of the first goes away", async () => {
    await authority("p:gone", 1, 500)
    const client = request(new URL("/get?key=p:gone", url))
    client.on("error", () => undefined)
    client.end()
    while ((await reads("p:gone")) === 0) await new Promise((resolve) => setImmediate(resolve))
    client.destroy()
    await authority("p:gone", 1, 10)
    expect(await ask("/get?key=p:gone&kept")).toMatchObject({ status: "hit", record: { version: 1 } })
  })
})

describe("27: a route past its time", () => {
  it("is given at once and read again by work that the request keeps, and not by one that keeps none", async () => {
    await authority("p:soft", 1, 0)
    await ask("/get?key=p:soft&kept")
    await authority("p:soft", 2, 0)
    // By the isolate's own clock: older than 50 ms.
    const aged = async (path: string): Promise<unknown> => {
      for (;;) {
        const looked = (await ask(path)) as { readonly ageMs: number; readonly layer: string }
        if (looked.ageMs > 50) return looked
      }
    }
    expect(await aged("/get?key=p:soft")).toMatchObject({ layer: "memory", record: { version: 1 } })
    expect(await reads("p:soft")).toBe(1)
    expect(await aged("/get?key=p:soft&kept")).toMatchObject({ layer: "memory", record: { version: 1 } })
    for (;;) {
      const { record } = (await ask("/get?key=p:soft")) as { readonly record: { readonly version: number } }
      if (record.version === 2) break
    }
  })
})

describe("the Cache API", () => {
  it("serves another isolate of the same place, without the authority", async () => {
    await authority("p:shared", 1, 0)
    expect(await ask("/cached?key=p:shared&kept")).toMatchObject({ layer: "authority", record: { version: 1 } })
    await ask("/new-isolate")
    expect(await ask("/cached?key=p:shared&kept")).toMatchObject({ layer: "cache-api", record: { version: 1 } })
    expect(await ask("/cached?key=p:shared&kept")).toMatchObject({ layer: "memory" })
    expect(await reads("p:shared")).toBe(1)
    expect(await ask("/entry?key=p:shared")).toMatchObject({ key: "p:shared", record: { version: 1 } })
  })

  it("3: keeps the newer version, whoever writes last", async () => {
    const at = Date.now()
    const newer = JSON.stringify({ key: "p:order", readAt: at, record: { kind: "removed", version: 6, epoch: 0 } })
    await ask("/put?key=p:order", { method: "POST", body: newer })
    await authority("p:order", 5, 0)
    await ask("/refresh?key=p:order&kept")
    await ask("/authority")
    expect(await ask("/entry?key=p:order")).toMatchObject({ record: { version: 6 } })
    await authority("p:order", 7, 0)
    await ask("/refresh?key=p:order&kept")
    for (;;) {
      const entry = (await ask("/entry?key=p:order")) as { readonly record: { readonly version: number } }
      if (entry.record.version === 7) break
    }
  })

  it.each([
    ["no JSON", "<html>"],
    [
      "an entry of another key",
      JSON.stringify({ key: "p:x", readAt: 1, record: { kind: "removed", version: 1, epoch: 0 } }),
    ],
    [
      "another format",
      JSON.stringify({ key: "p:odd", readAt: Date.now(), record: { kind: "removed", version: 1, epoch: 0 }, v: 2 }),
    ],
  ])("13: %s in it is not used", async (_, body) => {
    await ask("/new-isolate")
    await ask("/put?key=p:odd", { method: "POST", body })
    await authority("p:odd", 3, 0)
    expect(await ask("/cached?key=p:odd&kept")).toMatchObject({ layer: "authority", record: { version: 3 } })
  })
})
