/** Two edges in the standard mode, in two regions: signed hops, and what becomes of a request when their tables disagree. */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePort } from "../../../../test/free-port.ts"
import { startBalancer } from "../regions/regions.ts"
import type { TestBalancer } from "../regions/regions.ts"
import { noPostgres, startPostgres } from "../registry/postgres-server.ts"
import type { PostgresServer } from "../registry/postgres-server.ts"
import { createDatabase } from "./edge-database.ts"
import { ask, command, startApp, startEdge } from "./edge-process.ts"
import type { App, EdgeProcess } from "./edge-process.ts"
import { addApp, OTHER_REGION, postgresTables, REGION } from "./edgeproxy-tables.ts"

describe.skipIf(noPostgres !== "")(`edges of two regions that have a key${noPostgres}`, () => {
  let server: PostgresServer
  let app: App
  let key: string
  let balancer: TestBalancer
  let near: EdgeProcess
  let far: EdgeProcess
  let port: number

  const createApps = async (name: string, apps: readonly Parameters<typeof addApp>[0][]): Promise<string> => {
    const { pool, url } = await createDatabase(server, name)
    await pool.query([postgresTables, ...apps.map(addApp)].join("\n"))
    await pool.end()
    return url
  }
  const start = async (region: string, url: string, other: string, otherPort: number) =>
    startEdge({
      EDGEPROXY_DATABASE_URL: url,
      EDGEPROXY_REGION_ID: region,
      EDGEPROXY_UPDATE_INTERVAL: "50ms",
      INGRESS_EDGE_MODE: "standard",
      INGRESS_EDGE_ASK_ADDR: `127.0.0.1:${await freePort()}`,
      INGRESS_EDGE_SIGNING_KEY: key,
      INGRESS_EDGE_BALANCERS: `${other.toUpperCase()}=http://127.0.0.1:${otherPort}`,
      // Visitors of this test are proxies in front, so that each of them has an address.
      INGRESS_EDGE_TRUSTED_PROXIES: "127.0.0.1/32",
    })

  beforeAll(async () => {
    server = await startPostgres()
    app = await startApp(({ headers }, response) => response.end(`app for ${String(headers["x-forwarded-for"])}`))
    ;({ stdout: key } = await promisify(execFile)(process.execPath, [...command, "--generate-key"]))
    const here = { domain: "near.example.com", port: app.port }
    const there = { domain: "far.example.com", port: app.port, region: OTHER_REGION }
    const lost = { domain: "lost.example.com", port: app.port }
    const nearUrl = await createApps("near", [here, there, { ...lost, region: OTHER_REGION }])
    const farUrl = await createApps("far", [here, there, lost])
    const [toNear, toFar] = [await startBalancer(), await startBalancer()]
    balancer = toFar
    near = await start(REGION, nearUrl, OTHER_REGION, toFar.port)
    far = await start(OTHER_REGION, farUrl, REGION, toNear.port)
    port = await near.port()
    toNear.to = port
    toFar.to = await far.port()
    for (const edge of [near, far]) await edge.logged("routes updated", { routes: 3 })
  }, 60_000)
  afterAll(async () => {
    for (const { child, exited } of [near, far]) {
      child.kill("SIGKILL")
      await exited
    }
    await balancer.close()
    await app.close()
    await server.close()
  })
  const visit = (host: string) => ask(port, host, { path: "/x", headers: { "x-forwarded-for": "192.0.2.7" } })

  it("reach a machine of the own region directly", async () => {
    expect(await visit("near.example.com")).toMatchObject({ status: 200, body: "app for 192.0.2.7" })
    expect(balancer.connections).toBe(0)
  })

  it("reach a machine of the other region by that region's edge, for the visitor's own address", async () => {
    expect(await visit("far.example.com")).toMatchObject({ status: 200, body: "app for 192.0.2.7" })
    expect(balancer.connections).toBe(1)
    expect(balancer.sent).toContain("x-iterate-proxy-region-hop: ")
  })

  it("1-22: end with 508 a request that each of them would send to the other", async () => {
    const before = app.requests.length
    expect(await visit("lost.example.com")).toMatchObject({
      status: 508,
      headers: { "x-iterate-proxy-error": "LOOP_DETECTED" },
    })
    expect(await far.logged("region", { outcome: "disagreement" })).toMatchObject({ level: "warn" })
    expect(app.requests).toHaveLength(before)
  })

  it("show the key in no line", () => {
    const { d } = JSON.parse(key) as { readonly d: string }
    for (const { out, err } of [near, far]) expect(out() + err()).not.toContain(d)
  })
})
