import { get } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { rateLimit } from "../../src/policies.ts"
import { keys, setup } from "../fakes.ts"
import { bundleWorker } from "../../../../test/bundle-worker.ts"

let worker: Miniflare | undefined
afterEach(async () => {
  await worker?.dispose()
  worker = undefined
})

/** A Worker whose bindings allow so many requests a minute; 1 000 where nothing is said. */
const start = async (limits: Partial<Record<"CLIENTS" | "PROJECTS" | "MACHINES", number>>) => {
  const binding = (namespace: string, limit = 1_000) => ({
    namespace_id: namespace,
    simple: { limit, period: 60 as const },
  })
  worker = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      host: "127.0.0.1",
      unsafeDirectSockets: [{ host: "127.0.0.1" }],
      modules: true,
      script: await bundleWorker(new URL("rate-limit-worker.ts", import.meta.url)),
      compatibilityDate: "2026-11-01",
      bindings: { SIGNING_KEY: { ...keys.signing } },
      ratelimits: {
        CLIENTS: binding("1", limits.CLIENTS),
        PROJECTS: binding("2", limits.PROJECTS),
        MACHINES: binding("3", limits.MACHINES),
      },
    }),
  )
  const { port } = await worker.ready.then(() => worker!.unsafeGetDirectURL())
  return (host: string, client = "192.0.2.1") =>
    new Promise<string>((resolve, reject) => {
      const headers = { host, "x-test-client": client }
      get({ host: "127.0.0.1", port, headers, agent: false }, ({ statusCode, headers: got }) => {
        resolve([statusCode, got["x-iterate-proxy-error"] ?? "ok", got["retry-after"]].join(" ").trim())
      }).on("error", reject)
    })
}

/** The platform counts by the minute of the clock: a test must not reach into the next one. */
const waitForRoomInMinute = async (): Promise<void> => {
  const leftMs = 60_000 - (Date.now() % 60_000)
  if (leftMs < 10_000) await sleep(leftMs)
}

describe("in workerd, by the platform's rate limiting bindings", () => {
  beforeEach(waitForRoomInMinute, 20_000)

  it("a client over its rate gets 429, and the others are served", async () => {
    const ask = await start({ CLIENTS: 2 })
    const client = ["2001:db8:1:2::7", "2001:db8:1:2::8", "2001:db8:1:2:9::1"]
    expect(await ask("misha.iterate.app", client[0])).toBe("200 ok")
    expect(await ask("anna.iterate.app", client[1])).toBe("200 ok")
    expect(await ask("misha.iterate.app", client[2])).toBe("429 RATE_LIMITED 10")
    expect(await ask("misha.iterate.app", "2001:db8:1:3::7")).toBe("200 ok")
    expect(await ask("misha.iterate.app", "192.0.2.7")).toBe("200 ok")
  })

  it("a project over its rate gets 429 under all of its names, and the others are served", async () => {
    const ask = await start({ PROJECTS: 2 })
    expect(await ask("misha.iterate.app")).toBe("200 ok")
    expect(await ask("4096__misha.iterate.app", "192.0.2.2")).toBe("200 ok")
    expect(await ask("8080__misha.iterate.app", "192.0.2.3")).toBe("429 RATE_LIMITED 60")
    expect(await ask("second.iterate.app")).toBe("429 RATE_LIMITED 60")
    expect(await ask("anna.iterate.app")).toBe("200 ok")
  })

  it("a machine over its rate gets 429 whoever leads there, and the others are reached", async () => {
    const ask = await start({ MACHINES: 1 })
    expect(await ask("misha.iterate.app")).toBe("200 ok")
    expect(await ask("shared.iterate.app")).toBe("429 RATE_LIMITED 10")
    expect(await ask("second.iterate.app")).toBe("200 ok")
  })
})

describe("rateLimit", () => {
  it("lets requests pass while its limiter fails", async () => {
    const binding = { limit: () => Promise.reject(new Error("down")) }
    const { router } = setup({ policies: [rateLimit({ binding, key: "client" })] })
    expect((await router.fetch(new Request("http://misha.iterate.app/")))?.status).toBe(200)
  })

  it("checks its options: a binding that is missing would be a limit that nobody has", () => {
    const binding = { limit: async () => ({ success: true }) }
    // @ts-expect-error there is no binding
    expect(() => rateLimit({ binding: undefined, key: "client" })).toThrow("rateLimit: binding must be a rate limiting")
    // @ts-expect-error no such key
    expect(() => rateLimit({ binding, key: "host" })).toThrow('rateLimit: key must be "client" or "project"')
  })
})
