/** What databases add to a registry: drivers, schemas, failures in the middle, foreign transactions. */
import { defineGrammar } from "@project-ingress/hostname"
import pg from "pg"
import postgres from "postgres"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { d1Registry } from "../../src/stores/d1.ts"
import type { D1Binding, SqlRegistry } from "../../src/stores/d1.ts"
import { d1Routes } from "../../src/stores/d1-routes.ts"
import { postgresRegistry } from "../../src/stores/postgres.ts"
import { reasonOf } from "../../src/stores/store-health.ts"
import type { PostgresQuery, PostgresRegistryOptions } from "../../src/stores/postgres.ts"
import { startPg } from "./engines.ts"
import { startD1 } from "./d1-worker.ts"
import { noPostgres } from "./postgres-server.ts"

const MISSING_TABLES = "the registry's tables are not there: call its migrate() first"
const grammar = defineGrammar({ domains: ["iterate.app"] })
const machine = { id: "mach_1", type: "fake", externalId: "x", metadata: {} }

/** Every row of every table, for comparison. */
type Everything = () => Promise<unknown>
const tables = ["registry", "rows", "routes", "changes"].map((table) => `project_ingress_${table}`)

/** Two projects with one external id, as a registry of the first schema could have them. */
const duplicates = [
  ...["prj_a", "prj_b"].map(
    (
      id,
      at,
    ) => `insert into project_ingress_rows (kind, id, stamp, version, name, data) values ('projects', '${id}', 1, 1,
      'p-${at}', '{"id":"${id}","name":"p-${at}","externalId":"same","epoch":0,"generation":0,"formerNames":{},"domains":{}}')`,
  ),
  ...["prj_a", "prj_b"].map(
    (id, at) =>
      `insert into project_ingress_rows (kind, id, stamp, version, data) values ('names', 'p-${at}', 1, 1, '"${id}"')`,
  ),
  "update project_ingress_registry set version = 1",
]

/** Brings a database that is of the first schema, and has projects, to this one's. Returns who has the id of the duplicates in the end. */
const migratedFromFirst = async (registry: SqlRegistry, run: (text: string) => Promise<unknown>) => {
  await registry.migrate()
  await registry.create({ name: "misha", externalId: "7" })
  await registry.create({ name: "anna" })
  await run("delete from project_ingress_rows where kind = 'externalIds'")
  await run("delete from project_ingress_migrations where version = 2")
  for (const text of duplicates) await run(text)
  await registry.migrate()
  expect((await registry.read({ externalId: "7" })).name).toBe("misha")
  await expect(registry.configure("anna", { externalId: "7" })).rejects.toMatchObject({ _tag: "ExternalIdTaken" })
  // One of the two is found; both can be changed, and the other takes it over once it is free.
  expect((await registry.read({ externalId: "same" })).id).toBe("prj_a")
  for (const id of ["prj_a", "prj_b"]) await registry.configure(id, { port: 80 })
  await registry.remove("prj_a")
  await expect(registry.read({ externalId: "same" })).rejects.toMatchObject({ _tag: "NotFound" })
  await registry.revoke("prj_b")
  return (await registry.read({ externalId: "same" })).id
}

/** One of each kind of write, so that its transaction has every statement. */
const write = async (registry: SqlRegistry) => {
  await registry.rename("misha", "anna")
  await registry.remove("anna")
}

describe.skipIf(noPostgres !== "")(`in Postgres${noPostgres}`, () => {
  let server: Awaited<ReturnType<typeof startPg>>
  beforeAll(async () => void (server = await startPg()))
  afterAll(() => server?.close())
  beforeEach(async () => {
    await server.pool.query("drop schema public cascade; create schema public")
  })
  const everything: Everything = () =>
    Promise.all(tables.map(async (table) => (await server.pool.query(`select * from ${table} order by 1, 2`)).rows))

  it("is migrated by one of several processes at once, and is the same for all", async () => {
    const registries = Array.from({ length: 8 }, () => postgresRegistry({ grammar, ...server.driver }))
    await Promise.all(registries.map((registry) => registry.migrate()))
    await registries[0]!.create({ name: "misha" })
    await registries[1]!.migrate()
    expect((await registries[7]!.read("misha")).name).toBe("misha")
    const cursors = await Promise.all(registries.map(async (registry) => (await registry.snapshot()).cursor))
    expect(new Set(cursors).size).toBe(1)
  })

  it("is migrated where projects have external ids, even the same ones", async () => {
    const registry = postgresRegistry({ grammar, ...server.driver })
    expect(await migratedFromFirst(registry, (text) => server.pool.query(text))).toBe("prj_b")
  })

  it("leaves no row of a change whose transaction fails at any statement", async () => {
    await postgresRegistry({ grammar, ...server.driver }).migrate()
    let at = 0
    const failing: PostgresRegistryOptions = {
      grammar,
      query: server.driver.query,
      transaction: (run) =>
        server.driver.transaction((query) => {
          const counted: PostgresQuery = async (text, values) => {
            const result = await query(text, values)
            if (at-- === 0) throw new Error("the connection is lost")
            return result
          }
          return run(counted)
        }),
    }
    const registry = postgresRegistry({ grammar, ...server.driver })
    await registry.create({ name: "misha" })
    const before = await everything()
    for (let fails = 0; fails < 3; fails++) {
      at = fails
      await expect(postgresRegistry(failing).rename("misha", "anna")).rejects.toThrow("the connection is lost")
      expect(await everything()).toEqual(before)
    }
    at = Infinity
    await write(postgresRegistry(failing))
    expect(await everything()).not.toEqual(before)
  })

  it("shows a change at once while a foreign transaction is open", async () => {
    const registry = postgresRegistry({ grammar, ...server.driver })
    await registry.migrate()
    await registry.putMachine(machine)
    await registry.create({ name: "misha" })
    await server.pool.query("create table foreign_table (id integer)")
    const { cursor } = await registry.snapshot()
    const foreign = new pg.Client(server.connection)
    await foreign.connect()
    try {
      // It has an id of its own and a snapshot, and holds the xmin of all others back.
      await foreign.query("begin isolation level repeatable read")
      await foreign.query("insert into foreign_table values (1)")
      await registry.attach("misha", "mach_1")
      const page = await registry.changes(cursor)
      expect(page.status === "changes" && page.changes.map(({ key }) => key)).toEqual(["m:mach_1", "p:misha"])
    } finally {
      await foreign.end()
    }
  })

  it("works where transactions are serializable by default", async () => {
    await server.pool.query("alter database postgres set default_transaction_isolation to serializable")
    const strict = new pg.Client(server.connection)
    await strict.connect()
    const sql = postgres({ ...server.connection, max: 10 })
    try {
      const registries = Array.from({ length: 10 }, () =>
        postgresRegistry({
          grammar,
          query: (text, values) => sql.unsafe(text, values),
          transaction: (run) => sql.begin((inside) => run((text, values) => inside.unsafe(text, values))) as never,
        }),
      )
      await registries[0]!.migrate()
      await registries[0]!.create({ name: "misha" })
      await Promise.all(registries.map((each, at) => each.configure("misha", { services: { [`s-${at}`]: 80 } })))
      expect(Object.keys((await registries[0]!.read("misha")).services ?? {})).toHaveLength(10)
    } finally {
      await server.pool.query("alter database postgres reset default_transaction_isolation")
      await strict.end()
      await sql.end()
    }
  })

  it("gives a reader each change by polling, where it cannot listen", async () => {
    const registry = postgresRegistry({ grammar, ...server.driver })
    await registry.migrate()
    const listen = () => Promise.reject(new Error("no connection"))
    const reader = postgresRegistry({ grammar, pollMs: 20, ...server.driver, listen })
    const { cursor } = await registry.snapshot()
    const reading = reader.changes(cursor, { waitMs: 60_000 })
    await registry.create({ name: "misha" })
    const page = await reading
    expect(page.status === "changes" && page.changes.map(({ key }) => key)).toEqual(["p:misha"])
  })

  it("says what is missing before the first migration, also where a router reports it", async () => {
    const registry = postgresRegistry({ grammar, ...server.driver })
    await server.pool.query(`drop table if exists ${[...tables, "project_ingress_migrations"].join(", ")} cascade`)
    await expect(registry.create({ name: "misha" })).rejects.toThrow(MISSING_TABLES)
    await expect(registry.snapshot()).rejects.toThrow(MISSING_TABLES)
    const cause: unknown = await Promise.resolve(registry.get("p:misha")).then(
      (found) => (found.status === "unknown" ? found.cause : undefined),
      (failure: unknown) => failure,
    )
    expect(reasonOf(cause)).toBe(MISSING_TABLES)
  })

  it("says what is wrong with a query function that gives no rows", async () => {
    const registry = postgresRegistry({ grammar, ...server.driver, query: async () => undefined })
    await expect(registry.read("misha")).rejects.toThrow(
      "postgresRegistry: query must return rows, or an object with rows",
    )
  })
})

it.skipIf(noPostgres !== "")(`the driver postgres works as pg does${noPostgres}`, async () => {
  const server = await startPg()
  const sql = postgres({ ...server.connection, max: 4 })
  try {
    const registry = postgresRegistry({
      grammar,
      query: (text, values) => sql.unsafe(text, values),
      transaction: (run) => sql.begin((inside) => run((text, values) => inside.unsafe(text, values))) as never,
    })
    await registry.migrate()
    await registry.putMachine(machine)
    const created = await registry.create({ name: "misha", machine: "mach_1", expiresAt: 4_000_000_000_000 })
    expect(await registry.read("misha")).toEqual(created)
    expect(await registry.get("p:misha")).toMatchObject({ record: { machine, expiresAt: 4_000_000_000_000 } })
    await write(registry)
    expect(await registry.get("p:misha")).toMatchObject({ record: { kind: "removed" } })
  } finally {
    await sql.end()
    await server.close()
  }
})

describe("in D1", () => {
  let d1: Awaited<ReturnType<typeof startD1>>
  beforeEach(async () => void (d1 = await startD1()))
  const stop = () => d1.close()

  it("says what is missing before the first migration, to a Worker that only routes as well", async () => {
    try {
      await expect(d1Registry(d1.binding, { grammar }).create({ name: "misha" })).rejects.toThrow(MISSING_TABLES)
      const cause: unknown = await Promise.resolve(d1Routes(d1.binding).get("p:misha")).catch(
        (failure: unknown) => failure,
      )
      expect(reasonOf(cause)).toBe(MISSING_TABLES)
    } finally {
      await stop()
    }
  })

  it("is migrated by one of several processes at once, and is the same for all", async () => {
    try {
      const registries = Array.from({ length: 8 }, () => d1Registry(d1.binding, { grammar }))
      await Promise.all(registries.map((registry) => registry.migrate()))
      await registries[0]!.create({ name: "misha" })
      await registries[1]!.migrate()
      expect((await registries[7]!.read("misha")).name).toBe("misha")
    } finally {
      await stop()
    }
  })

  it("is migrated where projects have external ids, even the same ones", async () => {
    try {
      const run = (text: string) => d1.binding.batch([d1.binding.prepare(text)])
      expect(await migratedFromFirst(d1Registry(d1.binding, { grammar }), run)).toBe("prj_b")
    } finally {
      await stop()
    }
  })

  it("leaves no row of a change whose batch fails at any statement", async () => {
    try {
      const { binding } = d1
      await d1Registry(binding, { grammar }).migrate()
      await d1Registry(binding, { grammar }).create({ name: "misha" })
      const everything: Everything = () =>
        binding.batch(tables.map((table) => binding.prepare(`select * from ${table} order by 1, 2`)))
      const before = await everything()
      let longest = 0
      const failingAt = (at: number): D1Binding => ({
        prepare: (query) => binding.prepare(query),
        batch: (statements) => {
          longest = Math.max(longest, statements.length)
          // Reads are batches of one.
          if (statements.length < 2) return binding.batch(statements)
          return binding.batch(statements.toSpliced(at, 0, binding.prepare("select json('no')")))
        },
      })
      for (let at = 0; at <= 6; at++) {
        await expect(d1Registry(failingAt(at), { grammar }).rename("misha", "anna")).rejects.toThrow("malformed JSON")
        expect(await everything()).toEqual(before)
      }
      expect(longest).toBeLessThanOrEqual(7)
      await write(d1Registry(binding, { grammar }))
      expect(await everything()).not.toEqual(before)
    } finally {
      await stop()
    }
  })

  it("refuses what is no binding", () => {
    expect(() => d1Registry({} as never, { grammar })).toThrow("d1Registry: the binding must be a D1 database")
  })
})
