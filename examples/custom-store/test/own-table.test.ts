import { PGlite } from "@electric-sql/pglite"
import { damagedEntries, faultySource, routeStoreSuite } from "@project-ingress/router/testing"
import type { Query } from "../src/own-table.ts"
import { ownTable } from "../src/own-table.ts"
import type { StoreFixture } from "@project-ingress/router/testing"
import { afterAll, it } from "vitest"

const database = await PGlite.create()
await database.exec("create table routes (key text primary key, record text)")
afterAll(() => database.close())

const upsert = "insert into routes values ($1, $2) on conflict (key) do update set record = excluded.record"
const write = (key: string, text: string) => database.query(upsert, [key, text])
const read = async (key: string) =>
  (await database.query<{ record: string }>("select record from routes where key = $1", [key])).rows[0]?.record

const query: Query = (text, values) => database.query(text, [...values])
const { call, faults, reads } = faultySource(query)

const fixture: StoreFixture = {
  open: () => ownTable(call),
  put: (key, record) => write(key, JSON.stringify(record)),
  remove: (key) => database.query("delete from routes where key = $1", [key]),
  faults: { ...faults, ...damagedEntries({ read, write }) },
  reads,
}
// One test for each law.
routeStoreSuite(it, fixture, { lookupTimeoutMs: 1_000 })
