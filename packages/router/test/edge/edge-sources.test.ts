/** `project-ingress-edge` in its standard mode over sources that say what changed, as a process on a real Postgres. */
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { defineGrammar } from "@project-ingress/hostname"
import type pg from "pg"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { freePort } from "../../../../test/free-port.ts"
import { openDatabase } from "../../src/commands/edge/open-database.ts"
import { openPacked } from "../../src/stores/packed.ts"
import { postgresRegistry } from "../../src/stores/postgres.ts"
import { noPostgres, startPostgres } from "../registry/postgres-server.ts"
import type { PostgresServer } from "../registry/postgres-server.ts"
import { createDatabase } from "./edge-database.ts"
import { ask, command, startApp, startEdge } from "./edge-process.ts"
import type { App, EdgeProcess } from "./edge-process.ts"
import { addApp, postgresTables } from "./edgeproxy-tables.ts"

describe.skipIf(noPostgres !== "")(`the edge over a source that notifies${noPostgres}`, () => {
  let server: PostgresServer
  let folder: string
  let app: App
  const running: EdgeProcess[] = []

  beforeAll(async () => {
    server = await startPostgres()
    folder = await mkdtemp(join(tmpdir(), "ingress-edge-"))
    app = await startApp((_, response) => response.end("app"))
  }, 60_000)
  afterEach(async () => {
    for (const { child, exited } of running.splice(0)) {
      child.kill("SIGKILL")
      await exited
    }
  })
  afterAll(async () => {
    await app.close()
    await server.close()
    await rm(folder, { recursive: true, force: true })
  })

  const start = async (url: string, environment: Readonly<Record<string, string>>): Promise<EdgeProcess> => {
    const edge = startEdge({
      EDGEPROXY_DATABASE_URL: url,
      // The longest: what is seen sooner was notified.
      EDGEPROXY_UPDATE_INTERVAL: "1m",
      INGRESS_EDGE_MODE: "standard",
      INGRESS_EDGE_ASK_ADDR: `127.0.0.1:${await freePort()}`,
      ...environment,
    })
    running.push(edge)
    return edge
  }
  const listening = async (pool: pg.Pool, channel: string): Promise<number> => {
    const { rows } = await pool.query("select from pg_stat_activity where query = $1", [`listen ${channel}`])
    return rows.length
  }
  const becomes = (port: number, host: string, status: number) =>
    expect.poll(async () => (await ask(port, host, { path: "/x" })).status, { timeout: 30_000 }).toBe(status)

  it("of EdgeProxy's tables and what docs/edgeproxy.md adds to them: sees changes at once, outlives Postgres, and starts without it", async () => {
    const { pool, url } = await createDatabase(server, "fed")
    const { stdout } = await promisify(execFile)(process.execPath, [...command, "--change-log"])
    await pool.query(postgresTables)
    await pool.query(stdout)
    await pool.query(await quoted("sql"))
    await pool.query(addApp({ domain: "App.example.com", port: app.port }))
    const stateFile = join(folder, "fed.packed")
    const environment = { INGRESS_EDGE_SOURCE: "feed", INGRESS_EDGE_STATE: stateFile }
    const edge = await start(url, environment)
    const port = await edge.port()
    await edge.logged("routes updated", { routes: 1 })
    expect(await ask(port, "app.example.com", { path: "/x" })).toMatchObject({ status: 200, body: "app" })

    await expect.poll(() => listening(pool, "route_changes"), { timeout: 30_000 }).toBe(1)
    await pool.query(addApp({ domain: "new.example.com", port: app.port }))
    await becomes(port, "new.example.com", 200)
    await pool.query("update vms set status = 'stopped' where id = 'vm new.example.com'")
    await becomes(port, "new.example.com", 404)
    await pool.query("update vms set status = 'running' where id = 'vm new.example.com'")
    await becomes(port, "new.example.com", 200)
    await pool.query("update deployments set status = 'building' where id = 'dep new.example.com'")
    await becomes(port, "new.example.com", 404)
    await pool.query("update domains set name = 'renamed.example.com' where name = 'App.example.com'")
    await becomes(port, "renamed.example.com", 200)
    expect((await ask(port, "app.example.com")).status).toBe(404)
    await pool.query(addApp({ domain: "bad.example.com", ip: "169.254.169.254", port: 80 }))
    await becomes(port, "bad.example.com", 500)

    await expect.poll(async () => isSaved(stateFile, "d:bad.example.com"), { timeout: 30_000 }).toBe(true)
    expect((await stat(stateFile)).mode & 0o777).toBe(0o600)
    await server.kill()
    expect(await edge.logged("failed to read routes")).toMatchObject({ routes: 2, ageMs: expect.any(Number) })
    expect((await ask(port, "renamed.example.com")).status).toBe(200)

    const restarted = await start(url, environment)
    const restartedPort = await restarted.port()
    expect(await restarted.logged("failed to read routes")).toMatchObject({ routes: 2, level: "error" })
    expect((await ask(restartedPort, "renamed.example.com")).status).toBe(200)
    expect(restarted.out()).not.toContain(server.host)

    await server.start()
    for (const each of [edge, restarted]) await each.logged("database recovered")
    await pool.query("delete from domains where name = 'renamed.example.com'")
    for (const each of [port, restartedPort]) await becomes(each, "renamed.example.com", 404)
    restarted.child.kill("SIGTERM")
    expect(await restarted.exited).toBe(0)
    await pool.end()
  }, 180_000)

  it("outlives a connection that is lost in a transaction", async () => {
    const { pool, url } = await createDatabase(server, "lost")
    const database = await openDatabase(url)
    const lost = database.transaction(async (query) => {
      const { rows } = (await query("select pg_backend_pid() as pid")) as { readonly rows: { readonly pid: number }[] }
      await pool.query("select pg_terminate_backend($1::int, 10000)", [rows[0]!.pid])
      // Between two statements nobody waits for the connection: it says by an event of its own that it is lost.
      await expect
        .poll(async () =>
          query("select 1").then(
            () => "open",
            () => "lost",
          ),
        )
        .toBe("lost")
    })
    await expect(lost).rejects.toThrow(/not queryable|terminat/)
    expect(await database.query("select 1 as one")).toMatchObject({ rows: [{ one: 1 }] })
    await database.close()
    await pool.end()
  }, 60_000)

  it("of a feed whose tables are not there says so, and how that is mended", async () => {
    const { pool, url } = await createDatabase(server, "bare")
    const edge = await start(url, { INGRESS_EDGE_SOURCE: "feed" })
    const { hint } = await edge.logged("failed to read routes", { reason: "42P01" })
    expect(hint).toBe("a table or view that is read is not there, see docs/edgeproxy.md")
    expect((await ask(await edge.port(), "app.example.com")).status).toBe(503)
    await pool.end()
  }, 60_000)

  it("of a registry: ejects a machine that is dead among replicas, and its requests go to the other one", async () => {
    const { pool, url } = await createDatabase(server, "registered")
    const database = await openDatabase(url)
    const grammar = defineGrammar({ domains: ["iterate.app"] })
    const registry = postgresRegistry({ grammar, query: database.query, transaction: database.transaction })
    await registry.migrate()
    const machine = (id: string, port: number) =>
      registry.putMachine({
        id,
        type: "upstream",
        externalId: id,
        metadata: { origin: `http://127.0.0.1:${port}` },
      })
    await machine("mach_dead", await freePort())
    await machine("mach_well", app.port)
    const edge = await start(url, {
      INGRESS_EDGE_SOURCE: "registry",
      INGRESS_EDGE_DOMAINS: "iterate.app",
      EDGEPROXY_REGION_ID: "fra",
    })
    const port = await edge.port()
    await registry.create({
      name: "misha",
      machine: "mach_dead",
      replicas: ["mach_well"],
      balance: "round-robin",
      visibility: "public",
    })
    await becomes(port, "misha.iterate.app", 200)
    await expect.poll(() => listening(pool, "project_ingress"), { timeout: 30_000 }).toBe(1)
    for (let sent = 0; sent < 12; sent++)
      expect(await ask(port, "misha.iterate.app", { path: "/y" })).toMatchObject({ status: 200, body: "app" })
    expect(await edge.logged("machine_health", { machine: "mach_dead", state: "ejected" })).toMatchObject({
      level: "warn",
    })
    expect((await ask(port, "none.iterate.app")).status).toBe(404)
    await registry.configure("misha", { visibility: "private" })
    await becomes(port, "misha.iterate.app", 403)
    await database.close()
    await pool.end()
  }, 120_000)
})

const isSaved = async (path: string, key: string): Promise<boolean> => {
  const bytes = await readFile(path).catch(() => undefined)
  if (bytes === undefined) return false
  return (await openPacked(bytes)).find(key) >= 0
}

/** The block of a language in docs/edgeproxy.md. */
const quoted = async (language: string): Promise<string> => {
  const page = await readFile(join(import.meta.dirname, "../../../../docs/edgeproxy.md"), "utf8")
  return page.split("```" + language + "\n")[1]!.split("```")[0]!
}
