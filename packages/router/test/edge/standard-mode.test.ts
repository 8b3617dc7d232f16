/** `project-ingress-edge` with `INGRESS_EDGE_MODE=standard`: no health check before requests, responses of ours, redirects, certificates. */
import * as http from "node:http"
import pg from "pg"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { freePort } from "../../../../test/free-port.ts"
import { noPostgres, startPostgres } from "../registry/postgres-server.ts"
import type { PostgresServer } from "../registry/postgres-server.ts"
import { ask, startApp, startEdge } from "./edge-process.ts"
import type { App, EdgeProcess } from "./edge-process.ts"
import { addApp, postgresTables } from "./edgeproxy-tables.ts"

describe.skipIf(noPostgres !== "")(`the edge in its standard mode${noPostgres}`, () => {
  let server: PostgresServer
  let pool: pg.Pool
  let target: App
  let askPort: number
  let edge: EdgeProcess
  let port: number

  beforeAll(async () => {
    server = await startPostgres()
    pool = new pg.Pool({ host: server.host, user: server.user, database: "postgres" })
    pool.on("error", () => undefined)
    await pool.query(postgresTables)
    await pool.query("alter table domains add column redirect_to text, add column redirect_status_code integer")
    target = await startApp((request, response) => response.writeHead(request.url === "/" ? 404 : 200).end("app"))
    await pool.query(
      [
        addApp({ domain: "app.example.com", port: target.port }),
        addApp({ domain: "unverified.example.com", port: target.port, verified: false }),
        addApp({ domain: "stopped.example.com", port: target.port, vm: "stopped" }),
        addApp({ domain: "bad.example.com", port: 0 }),
      ].join("\n"),
    )
    const redirects = [
      ["old.example.com", "app.example.com", 308],
      ["page.example.com", "https://www.example.com/welcome", 302],
      ["odd.example.com", "https://www.example.com", 200],
      ["script.example.com", "javascript:alert(1)", 302],
    ] as const
    for (const [name, to, status] of redirects)
      await pool.query(
        "insert into domains (name, verified_at, redirect_to, redirect_status_code) values ($1, now(), $2, $3)",
        [name, to, status],
      )
    ;({ askPort, edge, port } = await start())
  }, 60_000)
  afterAll(async () => {
    edge.child.kill("SIGKILL")
    await edge.exited
    await target.close()
    await pool.end()
    await server.close()
  })
  const start = async () => {
    const askPort = await freePort()
    const edge = startEdge({
      EDGEPROXY_DATABASE_URL: `postgres:///postgres?host=${server.host}&user=${server.user}`,
      EDGEPROXY_UPDATE_INTERVAL: "50ms",
      INGRESS_EDGE_MODE: "standard",
      INGRESS_EDGE_ASK_ADDR: `127.0.0.1:${askPort}`,
      INGRESS_EDGE_REDIRECTS_SQL:
        "select name as domain_name, redirect_to, redirect_status_code from domains where verified_at is not null and redirect_to is not null",
    })
    const port = await edge.port()
    await edge.logged("routes updated")
    return { askPort, edge, port }
  }
  beforeEach(() => {
    target.requests.length = 0
  })

  it("sends a request to an app whose / is 404, without a health check", async () => {
    expect(await ask(port, "app.example.com", { path: "/x" })).toMatchObject({ status: 200, body: "app" })
    expect(await ask(port, "app.example.com")).toMatchObject({ status: 404, body: "app" })
    expect(target.requests.map(({ url }) => url)).toEqual(["/x", "/"])
  })

  it("responds to failures in the form that is asked for: a page, JSON or text", async () => {
    const as = async (accept: string) => {
      const { status, headers } = await ask(port, "nobody.example.com", { headers: { accept } })
      return [status, headers["content-type"]]
    }
    expect(await as("text/html")).toEqual([404, "text/html; charset=utf-8"])
    expect(await as("application/json")).toEqual([404, "application/json"])
    expect((await as("*/*"))[0]).toBe(404)
    expect(await ask(port, "bad.example.com")).toMatchObject({ status: 500 })
    expect(await ask(port, "22.app.example.com")).toMatchObject({ status: 404 })
  })

  it("redirects a domain: a domain keeps path and query, a URL with a path does not, an odd status is 301", async () => {
    const to = async (host: string) => {
      const { status, headers } = await ask(port, host, { path: "/a?b=1" })
      return [status, headers.location]
    }
    expect(await to("old.example.com")).toEqual([308, "https://app.example.com/a?b=1"])
    expect(await to("page.example.com")).toEqual([302, "https://www.example.com/welcome"])
    expect(await to("odd.example.com")).toEqual([301, "https://www.example.com/a?b=1"])
    // Not a URL of the web: a record that is refused.
    expect((await to("script.example.com"))[0]).toBe(500)
  })

  it("1-21: says that a certificate may be had of domains that route or redirect, and of no other name", async () => {
    const domains = {
      "app.example.com": 200,
      "APP.example.com.": 200,
      "old.example.com": 200,
      "unverified.example.com": 404,
      "stopped.example.com": 404,
      "bad.example.com": 404,
      "nobody.example.com": 404,
      "22.app.example.com": 404,
      "*.example.com": 404,
      "example.com": 404,
      "127.0.0.1": 404,
      "": 404,
      "app.example.com/../x": 404,
      [`${"a".repeat(8_000)}.example.com`]: 404,
    }
    const said = Object.keys(domains).map(async (domain) => {
      const { status } = await ask(askPort, "localhost", { path: `/?domain=${encodeURIComponent(domain)}` })
      return [domain, status]
    })
    expect(Object.fromEntries(await Promise.all(said))).toEqual(domains)
  })

  it("1-21: says of a deleted domain that none may be had, within the interval", async () => {
    await pool.query(
      "insert into domains (name, deployment_id, verified_at) values ('soon.example.com', 'dep app.example.com', now())",
    )
    const path = "/?domain=soon.example.com"
    await expect.poll(async () => (await ask(askPort, "x", { path })).status, { timeout: 30_000 }).toBe(200)
    await pool.query("delete from domains where name = 'soon.example.com'")
    await expect.poll(async () => (await ask(askPort, "x", { path })).status, { timeout: 30_000 }).toBe(404)
  })

  it("says about certificates on that port only, and to GET only", async () => {
    expect(await ask(port, "127.0.0.1", { path: "/?domain=app.example.com" })).toMatchObject({ status: 404 })
    const post = { path: "/?domain=app.example.com", method: "POST" }
    expect(await ask(askPort, "x", post)).toMatchObject({ status: 404 })
  })

  it("does not start where the certificates' port is in use, and names it", async () => {
    const { exited, err } = startEdge({
      EDGEPROXY_DATABASE_URL: "postgres:///postgres",
      INGRESS_EDGE_MODE: "standard",
      INGRESS_EDGE_ASK_ADDR: `127.0.0.1:${askPort}`,
    })
    expect(await exited).toBe(1)
    expect(err()).toContain(`cannot listen on 127.0.0.1 port ${askPort}: EADDRINUSE`)
  })

  it("does not start where its own port is in use, and names it", async () => {
    const { exited, err } = startEdge({
      EDGEPROXY_DATABASE_URL: "postgres:///postgres",
      EDGEPROXY_HTTP_ADDR: `127.0.0.1:${port}`,
      INGRESS_EDGE_MODE: "standard",
      INGRESS_EDGE_ASK_ADDR: "127.0.0.1:0",
    })
    expect(await exited).toBe(1)
    expect(err()).toContain(`cannot listen on 127.0.0.1 port ${port}: EADDRINUSE`)
  })

  it("ends with 0 by SIGTERM, with a keep-alive connection to the certificates' port", async () => {
    const { edge, askPort } = await start()
    const agent = new http.Agent({ keepAlive: true })
    await ask(askPort, "x", { path: "/?domain=app.example.com", agent })
    edge.child.kill("SIGTERM")
    expect(await edge.exited).toBe(0)
    agent.destroy()
  })
})

describe.skipIf(noPostgres !== "")(`the edge in its standard mode, before the first load${noPostgres}`, () => {
  it("cannot say which domain may have a certificate: 503", async () => {
    const askPort = await freePort()
    const edge = startEdge({
      EDGEPROXY_DATABASE_URL: "postgres:///postgres?host=/nowhere&user=nobody",
      INGRESS_EDGE_MODE: "standard",
      INGRESS_EDGE_ASK_ADDR: `127.0.0.1:${askPort}`,
    })
    await edge.logged("failed to read routes", { reason: "ENOENT" })
    expect((await ask(askPort, "x", { path: "/?domain=app.example.com" })).status).toBe(503)
    expect(await ask(await edge.port(), "app.example.com", { headers: { accept: "text/html" } })).toMatchObject({
      status: 503,
      headers: { "retry-after": expect.any(String) },
    })
    edge.child.kill("SIGKILL")
    await edge.exited
  })
})
