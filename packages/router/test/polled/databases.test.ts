/** EdgeProxy's query, unchanged, on real databases: which rows route, and what goes on when the database is gone. */
import { DatabaseSync } from "node:sqlite"
import { PGlite } from "@electric-sql/pglite"
import pg from "pg"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { polledSql } from "../../src/stores/polled-sql.ts"
import type { MachineRoute, RouteKey } from "../../src/stores/record.ts"
import { addApp, OTHER_REGION, postgresTables, sqliteTables } from "../edge/edgeproxy-tables.ts"
import type { App } from "../edge/edgeproxy-tables.ts"
import { startD1 } from "../registry/d1-worker.ts"
import { noPostgres, startPostgres } from "../registry/postgres-server.ts"

interface Database {
  readonly query: (text: string) => PromiseLike<unknown>
  /** Runs several statements. */
  readonly run: (text: string) => PromiseLike<unknown>
  readonly close: () => Promise<void>
}

const kinds: readonly { readonly name: string; readonly missing: string; readonly open: () => Promise<Database> }[] = [
  {
    name: "pg",
    missing: noPostgres,
    open: async () => {
      const server = await startPostgres()
      const pool = new pg.Pool({ host: server.host, user: server.user, database: "postgres" })
      pool.on("error", () => undefined)
      await pool.query(postgresTables)
      const close = async () => {
        await pool.end()
        await server.close()
      }
      return { query: (text) => pool.query(text), run: (text) => pool.query(text), close }
    },
  },
  {
    name: "PGlite",
    missing: "",
    open: async () => {
      const database = await PGlite.create()
      await database.exec(postgresTables)
      // Rows alone, as the driver `postgres` gives them.
      const query = async (text: string) => (await database.query(text)).rows
      return { query, run: (text) => database.exec(text), close: () => database.close() }
    },
  },
  {
    name: "node:sqlite",
    missing: "",
    open: async () => {
      const database = new DatabaseSync(":memory:")
      database.exec(sqliteTables)
      const query = async (text: string) => database.prepare(text).all()
      return { query, run: async (text) => database.exec(text), close: async () => database.close() }
    },
  },
  {
    name: "D1",
    missing: "",
    open: async () => {
      const { binding, close } = await startD1()
      const batch = (texts: readonly string[]) => binding.batch(texts.map((text) => binding.prepare(text)))
      const run = (text: string) =>
        batch(
          text
            .split(";")
            .map((each) => each.trim())
            .filter(Boolean),
        )
      await run(sqliteTables)
      // What `env.DB.prepare(text).all()` resolves with.
      return { query: async (text) => (await batch([text]))[0], run, close }
    },
  },
]

const apps: readonly App[] = [
  { domain: "app.example.com", ip: "10.0.0.5", port: 3000 },
  { domain: "far.example.com", ip: "10.0.0.6", region: OTHER_REGION },
  { domain: "unverified.example.com", verified: false },
  { domain: "building.example.com", deployment: "building" },
  { domain: "stopped.example.com", vm: "stopped" },
]

for (const { name, missing, open } of kinds)
  describe.skipIf(missing !== "")(`on ${name} the documented query${missing}`, () => {
    let database: Database
    beforeAll(async () => {
      database = await open()
      for (const app of apps) await database.run(addApp(app))
    }, 60_000)
    afterAll(() => database.close())

    it("routes verified domains of deployments that are ready on machines that run, and nothing else", async () => {
      const store = polledSql(database.query)
      expect(await store.load()).toEqual({ status: "loaded", routes: 2 })
      const found = async (name: string) => {
        const key: RouteKey = `d:${name}`
        const lookup = await store.get(key, { signal: new AbortController().signal })
        return lookup.status === "hit" ? (lookup.record as MachineRoute).machine.metadata["origin"] : lookup.status
      }
      const results = await Promise.all(apps.map(async ({ domain }) => [domain, await found(domain)]))
      expect(Object.fromEntries(results)).toEqual({
        "app.example.com": "http://10.0.0.5:3000",
        "far.example.com": "http://10.0.0.6:3000",
        "unverified.example.com": "miss",
        "building.example.com": "miss",
        "stopped.example.com": "miss",
      })
      store.dispose()
    })

    it("1-10: when it is gone, the last good routes go on; a store that begins then cannot tell", async () => {
      const store = polledSql(database.query)
      await store.load()
      await database.run("alter table domains rename to elsewhere")
      const lookup = { signal: new AbortController().signal }
      expect(await store.load()).toMatchObject({ status: "failed", routes: 2 })
      expect(await store.get("d:app.example.com", lookup)).toMatchObject({ status: "hit", stale: true })
      const later = polledSql(database.query)
      expect(await later.get("d:app.example.com", lookup)).toMatchObject({ status: "unknown" })
      await database.run("alter table elsewhere rename to domains")
      expect(await later.load()).toMatchObject({ status: "loaded", routes: 2 })
      store.dispose()
      later.dispose()
    })
  })
