import { execFile, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import pg from "pg"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePort } from "../../../../test/free-port.ts"
import { machine, signing } from "../../../machine-proxy/test/harness.ts"
import { serveNode } from "../../src/hosts/node.ts"
import type { RouterEvent } from "../../src/router.ts"
import { startInWorkerd, startMachine } from "../hosts/hosts.ts"
import type { RunningHost } from "../hosts/hosts.ts"
import { noPostgres, startPostgres } from "../registry/postgres-server.ts"
import type { PostgresServer } from "../registry/postgres-server.ts"
import { forwardTo, stopForwards } from "./forwarded.ts"
import type { Forwarded } from "./forwarded.ts"
import { routerFor } from "./router.ts"

const run = promisify(execFile)

let postgres: PostgresServer
let proxy: RunningHost
let folder: string
const events: RouterEvent[] = []

const startNode = async (setup: Parameters<typeof routerFor>[0]): Promise<RunningHost> => {
  const router = routerFor({ ...setup, onEvent: (event) => events.push(event) })
  const { port, close } = await serveNode(router).listen({ hostname: "127.0.0.1" })
  return { port, close: () => close({ deadlineMs: 0 }) }
}

const hosts = {
  serveNode: startNode,
  workerd: (setup: Parameters<typeof routerFor>[0]) => startInWorkerd(new URL("worker.ts", import.meta.url), setup),
}

describe.skipIf(noPostgres !== "")(`a database behind a port that speaks tcp${noPostgres}`, () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "ingress-tunnel-"))
    postgres = await startPostgres({ port: await freePort() })
    proxy = await startMachine()
  })
  afterAll(async () => {
    await proxy?.close()
    await postgres?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  describe.each(Object.entries(hosts))("of a machine, through the router on %s", (_name, start) => {
    let host: RunningHost
    let local: Forwarded
    beforeAll(async () => {
      const ports = { [postgres.port!]: { protocol: "tcp" as const } }
      host = await start({ machine, origin: { port: proxy.port }, signingKey: signing, ports })
      local = await forwardTo(postgres.port!, host.port)
    })
    afterAll(async () => {
      stopForwards()
      await host.close()
    })

    const flags = () => ["-h", "127.0.0.1", "-p", String(local.port), "-U", "ingress", "-d", "postgres", "-X"]
    const psql = (...commands: readonly string[]): Promise<{ readonly stdout: string }> =>
      run("psql", [...flags(), "-At", "-q", ...commands.flatMap((each) => ["-c", each])])
    const direct = async <A>(use: (client: pg.Client) => Promise<A>): Promise<A> => {
      const client = new pg.Client({ host: postgres.host, port: postgres.port!, user: "ingress", database: "postgres" })
      await client.connect()
      try {
        return await use(client)
      } finally {
        await client.end()
      }
    }
    const sleeping = (): Promise<number[]> =>
      direct(async (client) => {
        const found = await client.query<{ pid: number }>(
          "select pid from pg_stat_activity where query like '%asleep here%' and pid <> pg_backend_pid()",
        )
        return found.rows.map(({ pid }) => pid)
      })

    it("answers psql", async () => {
      expect((await psql("select 6 * 7")).stdout).toBe("42\n")
    })

    it("copies 5 MB out and in, unchanged", async () => {
      const [out, again] = [join(folder, "out"), join(folder, "again")]
      const digest = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex")
      await psql(
        "drop table if exists lines",
        "create table lines as select n, md5(n::text) || repeat('x', 1000) as line from generate_series(1, 5000) n",
        `\\copy (select * from lines order by n) to '${out}'`,
        "truncate lines",
        `\\copy lines from '${out}'`,
        `\\copy (select * from lines order by n) to '${again}'`,
      )
      expect(readFileSync(out).length).toBeGreaterThan(5_000_000)
      expect(digest(again)).toBe(digest(out))
    })

    it("cancels a query when psql is interrupted", async () => {
      const child = spawn("psql", [...flags(), "-c", "select 'asleep here', pg_sleep(600)"])
      let err = ""
      child.stderr.on("data", (data: Buffer) => (err += data.toString()))
      await expect.poll(sleeping, { timeout: 20_000 }).toHaveLength(1)
      const ended = new Promise((resolve) => child.once("close", resolve))
      child.kill("SIGINT")
      await ended
      expect(err).toContain("canceling statement due to user request")
    })

    it("ends the client's side when the server ends a connection", async () => {
      const ended = psql("select 'asleep here', pg_sleep(600)").then(
        () => "",
        (error: { readonly stderr: string }) => error.stderr,
      )
      await expect.poll(sleeping, { timeout: 20_000 }).toHaveLength(1)
      const [pid] = await sleeping()
      await direct((client) => client.query("select pg_terminate_backend($1)", [pid]))
      expect(await ended).toContain("terminating connection due to administrator command")
    })

    it("ends the server's side when the client is killed", async () => {
      const client = new pg.Client({ host: "127.0.0.1", port: local.port, user: "ingress", database: "postgres" })
      client.on("error", () => undefined)
      await client.connect()
      await client.query("select 'asleep here'")
      expect(await sleeping()).toHaveLength(1)
      ;(
        client as unknown as { readonly connection: { readonly stream: { destroy(): void } } }
      ).connection.stream.destroy()
      await expect.poll(sleeping, { timeout: 20_000 }).toHaveLength(0)
    })

    it("tells of no problem, and ends with 0 at Ctrl-C", async () => {
      expect(local.problems()).toBe("")
      expect(await local.stop()).toBe(0)
    })
  })

  it("has events of WebSockets, one for each connection", () => {
    const seen = events.filter((event) => event.type === "request")
    expect(seen.length).toBeGreaterThanOrEqual(5)
    expect(new Set(seen.map((event) => event.status))).toEqual(new Set([101]))
  })
})
