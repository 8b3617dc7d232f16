/** Every place where a registry can be. One database serves all tests of a file, empty at the beginning of each. */
import { PGlite } from "@electric-sql/pglite"
import { defineGrammar } from "@project-ingress/hostname"
import { d1Registry } from "../../src/stores/d1.ts"
import type { SqlRegistryOptions } from "../../src/stores/d1.ts"
import { memoryRegistry } from "../../src/stores/memory.ts"
import { postgresRegistry } from "../../src/stores/postgres.ts"
import type { PostgresRegistryOptions } from "../../src/stores/postgres.ts"
import type { RouteFeed } from "../../src/stores/route-feed.ts"
import type { RouteRegistry } from "../../src/stores/route-registry.ts"
import type { RouteStore } from "../../src/router.ts"
import { startD1 } from "./d1-worker.ts"
import { openPg } from "./pg-driver.ts"
import { noPostgres, startPostgres } from "./postgres-server.ts"

export type AnyRegistry = RouteRegistry & RouteFeed & RouteStore

/** A place where a registry is. */
export interface Engine {
  /** A registry as another process would have it, on the same rows. */
  readonly open: (options: SqlRegistryOptions) => AnyRegistry
  /** Empties all tables. */
  readonly empty: () => Promise<void>
  readonly close: () => Promise<void>
}

/** An engine that is not started yet. */
export interface EngineKind {
  readonly name: string
  /** Whether a reader of the feed is notified of what another process has changed. */
  readonly notifies: boolean
  /** Ends the name of a group that cannot run here. */
  readonly missing: string
  readonly start: () => Promise<Engine>
}

const TABLES = ["rows", "routes", "changes"].map((table) => `project_ingress_${table}`)
const reset = "update project_ingress_registry set version = 0, seq = 0, last_commit = ''"
const grammar = defineGrammar({ domains: ["iterate.app"] })

export const startPg = async () => {
  const server = await startPostgres()
  const { connection, pool, driver } = openPg(server, 20)
  const empty = async () =>
    void (await pool.query(`${TABLES.map((table) => `delete from ${table}`).join("; ")}; ${reset}`))
  const close = async () => {
    await pool.end()
    await server.close()
  }
  return { server, connection, pool, driver, empty, close }
}

export const startPglite = async () => {
  const database = await PGlite.create()
  const driver: Pick<PostgresRegistryOptions, "query" | "transaction" | "listen"> = {
    listen: (channel, notify) => database.listen(channel, notify),
    query: (text, values) => database.query(text, values),
    transaction: (run) => database.transaction((inside) => run((text, values) => inside.query(text, values))),
  }
  const empty = async () =>
    void (await database.exec(`${TABLES.map((table) => `delete from ${table}`).join("; ")}; ${reset}`))
  return { database, driver, empty, close: () => database.close() }
}

export const engines: readonly EngineKind[] = [
  {
    name: "memory",
    notifies: true,
    missing: "",
    start: async () => {
      let registry: AnyRegistry | undefined
      return {
        // Memory is notified, and has no option for polling.
        open: (options) => {
          const accepted = Object.entries(options).filter(([option]) => option !== "pollMs")
          return (registry ??= memoryRegistry(Object.fromEntries(accepted) as never))
        },
        empty: async () => (registry = undefined),
        close: async () => (registry = undefined),
      }
    },
  },
  {
    name: "pg",
    notifies: true,
    missing: noPostgres,
    start: async () => {
      const { driver, empty, close } = await startPg()
      await postgresRegistry({ grammar, ...driver }).migrate()
      return { open: (options) => postgresRegistry({ ...options, ...driver }), empty, close }
    },
  },
  {
    name: "PGlite",
    notifies: true,
    missing: "",
    start: async () => {
      const { driver, empty, close } = await startPglite()
      await postgresRegistry({ grammar, ...driver }).migrate()
      return { open: (options) => postgresRegistry({ ...options, ...driver }), empty, close }
    },
  },
  {
    name: "D1",
    notifies: false,
    missing: "",
    start: async () => {
      const { binding, close } = await startD1()
      const texts = [...TABLES.map((table) => `delete from ${table}`), reset]
      const empty = async () => void (await binding.batch(texts.map((text) => binding.prepare(text))))
      await d1Registry(binding, { grammar }).migrate()
      return { open: (options) => d1Registry(binding, options), empty, close }
    },
  },
]
