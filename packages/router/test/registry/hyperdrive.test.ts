import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { bundleWorker } from "../../../../test/bundle-worker.ts"
import { freePort } from "../../../../test/free-port.ts"
import { noPostgres, startPostgres } from "./postgres-server.ts"
import type { PostgresServer } from "./postgres-server.ts"

describe.skipIf(noPostgres !== "")(`a Worker with Hyperdrive${noPostgres}`, () => {
  let server: PostgresServer
  let worker: Miniflare
  beforeAll(async () => {
    server = await startPostgres({ port: await freePort() })
    const script = await bundleWorker(new URL("hyperdrive-worker.ts", import.meta.url), {
      platform: "node",
      external: ["node:*", "cloudflare:*", "pg-native"],
      // `pg` is CommonJS.
      banner: { js: `import { createRequire } from "node:module"; const require = createRequire("/");` },
    })
    const url = `postgres://${server.user}:unused@127.0.0.1:${server.port!}/postgres`
    worker = new Miniflare(
      convertV4MiniflareOptions({
        modules: true,
        script,
        compatibilityDate: "2026-11-01",
        compatibilityFlags: ["nodejs_compat"],
        hyperdrives: { DATABASE: url },
        bindings: { DATABASE_URL: url },
      }),
    )
    await worker.ready
  })
  afterAll(async () => {
    await worker?.dispose()
    await server?.close()
  })

  const visit = async (name: string, path = "/") => {
    const response = await worker.dispatchFetch(`http://${name}.iterate.app${path}`, { redirect: "manual" })
    return [response.status, response.headers.get("x-iterate-proxy-error") ?? (await response.json())]
  }

  it("routes by what its control plane has written to Postgres", async () => {
    // Before the tables are there, nobody knows: no route is said to be missing.
    expect(await visit("misha")).toEqual([503, "ROUTE_UNKNOWN"])
    expect(await visit("control", "/control-plane?name=misha")).toEqual([200, "misha"])
    expect(await visit("control", "/control-plane?name=misha")).toEqual([200, "NameTaken"])
    expect(await visit("misha")).toEqual([503, "MACHINE_DETACHED"])
    expect(await visit("nobody")).toEqual([404, "ROUTE_NOT_FOUND"])
    expect(await visit("control", "/changes")).toEqual([200, ["p:misha"]])
  })

  it("publishes a project that has expired when it is looked for", async () => {
    expect(await visit("control", `/control-plane?name=short&expiresAt=${Date.now() - 1}`)).toEqual([200, "short"])
    expect(await visit("short")).toEqual([404, "ROUTE_NOT_FOUND"])
  })

  it("lets one of many have a name, each with connections of its own", async () => {
    const results = await Promise.all(Array.from({ length: 20 }, () => visit("control", "/control-plane?name=anna")))
    expect(results.filter(([, result]) => result === "anna")).toHaveLength(1)
    expect(results.filter(([, result]) => result === "NameTaken")).toHaveLength(19)
  })
})
