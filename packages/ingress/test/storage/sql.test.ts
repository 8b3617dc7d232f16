/** What is of the databases alone: rows that somebody has changed, readers that come late, connections that break. */
import { defineGrammar } from "@project-ingress/hostname"
import { d1Registry } from "@project-ingress/router/stores/d1"
import { postgresRegistry } from "@project-ingress/router/stores/postgres"
import pg from "pg"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { startD1 } from "../../../router/test/registry/d1-worker.ts"
import { noPostgres } from "../../../router/test/registry/postgres-server.ts"
import { d1Storage } from "../../src/storage/d1.ts"
import { postgresStorage } from "../../src/storage/postgres.ts"
import type { PostgresQuery, SqlStorage } from "../../src/storage/postgres.ts"
import { aGrant, anIngress, aRecord } from "../../src/testing/storage/sample-documents.ts"
import { commit, stored } from "../../src/testing/storage/storage-law.ts"
import { startPg, startPglite } from "./engines.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const DOCUMENTS = "project_ingress_ingress_documents"
const REVISION = "project_ingress_ingress_revision"

interface Place {
  readonly open: () => SqlStorage
  readonly run: (text: string) => Promise<readonly unknown[]>
  readonly migrateRegistry: () => Promise<unknown>
  readonly close: () => Promise<void>
}

const places: Record<string, () => Promise<Place>> = {
  PGlite: async () => {
    const { database, options, open, close } = await startPglite()
    return {
      open,
      run: async (text) => (await database.query(text)).rows,
      migrateRegistry: () => postgresRegistry({ grammar, ...options }).migrate(),
      close,
    }
  },
  D1: async () => {
    const { binding, close } = await startD1()
    return {
      open: () => d1Storage(binding),
      run: async (text) => (await binding.batch([binding.prepare(text)]))[0]!.results,
      migrateRegistry: () => d1Registry(binding, { grammar }).migrate(),
      close,
    }
  },
}

describe.each(Object.entries(places))("in %s", (_, start) => {
  let place: Place
  beforeAll(async () => void (place = await start()))
  afterAll(() => place?.close())
  beforeEach(async () => {
    await place.run(`drop table if exists ${DOCUMENTS}`)
    await place.run(`drop table if exists ${REVISION}`)
  })

  it("tables that are missing say what to do", async () => {
    const storage = place.open()
    const calls = [
      () => storage.read(0),
      () => storage.commit({ ifRevision: 0, put: [aRecord("a")], remove: [] }),
      () => storage.mark("a"),
      () => storage.marked(),
    ]
    for (const call of calls) {
      await expect(call()).rejects.toThrow("the storage's tables are not there: call its migrate() first")
    }
  })

  it("tables are made once, by several at once, beside the registry's", async () => {
    await Promise.all([place.open().migrate(), place.open().migrate(), place.migrateRegistry(), place.open().migrate()])
    const storage = place.open()
    await commit(storage, [aRecord("a")])
    await storage.migrate()
    await place.migrateRegistry()
    expect(await stored(storage)).toEqual([aRecord("a")])
    expect(await place.run(`select id, revision from ${REVISION}`)).toHaveLength(1)
  })

  it("a row that cannot be read is reported, left as it is, and the rest loads", async () => {
    const storage = place.open()
    await storage.migrate()
    const good = [aGrant("g"), await anIngress("i"), aRecord("r")]
    const revision = await commit(storage, good)
    const rows = [
      ["record", "bad", `{"content":"sk-0123456789`],
      ["ingress", "../x", "{}"],
      ["ingress", "bad", `{"id":"bad","name":"a","rules":[],"created_at":"2030-01-01T00:00:00Z"}`],
      ["machine", "r", "{}"],
      ["grant", "g2", JSON.stringify({ ...aGrant("g") })],
    ]
    const values = rows.map(([kind, id, data]) => `('${kind}', '${id}', ${revision + 1}, '${data}')`)
    await place.run(`insert into ${DOCUMENTS} (kind, id, revision, data) values ${values.join(", ")}`)
    await place.run(`update ${REVISION} set revision = revision + 1`)
    const unreadable = [
      { kind: "record", id: "bad", reason: "is not JSON" },
      { kind: "ingress", id: "../x", reason: "has no valid id" },
      { kind: "ingress", id: "bad", reason: "rules is not valid" },
      { kind: "ingress", id: "machine/r", reason: "is of no kind that is known" },
      { kind: "grant", id: "g2", reason: "… is not valid" },
    ]
    const sorted = (found: readonly { readonly reason: string }[]) =>
      found.toSorted((a, b) => (a.reason < b.reason ? -1 : 1))
    for (const each of [storage, place.open()]) {
      const read = await each.read(revision)
      expect(sorted(read.unreadable)).toEqual(sorted(unreadable))
      expect(await stored(each)).toEqual(good)
    }
    // All of it at every read, also where nothing has changed, and at the first one of a process.
    expect((await place.open().read(revision + 1)).unreadable).toHaveLength(rows.length)
    expect((await storage.read(revision + 1)).unreadable).toHaveLength(rows.length)
    await expect(commit(storage, [aRecord("s"), aRecord("bad")])).rejects.toMatchObject({
      _tag: "DocumentRefused",
      id: "bad",
    })
    await expect(commit(place.open(), [], [{ kind: "ingress", id: "bad" }])).rejects.toMatchObject({
      _tag: "DocumentRefused",
    })
    await commit(storage, [], [{ kind: "record", id: "r" }])
    expect(await stored(storage)).toEqual(good.slice(0, 2))
    expect((await storage.read(0)).unreadable).toHaveLength(rows.length)
    await place.run(`delete from ${DOCUMENTS} where data = '{}' or kind <> 'record' or id <> 'bad'`)
    expect((await storage.read(0)).unreadable).toEqual([{ kind: "record", id: "bad", reason: "is not JSON" }])
  })

  it("a removal is forgotten after 1 000 revisions, and whoever missed it reads everything", async () => {
    const [storage, reader] = [place.open(), place.open()]
    await storage.migrate()
    const revision = await commit(storage, [aRecord("a"), aRecord("b")])
    await reader.read(revision)
    await commit(storage, [], [{ kind: "record", id: "a" }])
    await place.run(`update ${REVISION} set revision = ${revision + 999}`)
    await commit(storage, [aRecord("c")])
    expect(await reader.read(revision)).toMatchObject({
      whole: false,
      removed: [{ id: "a" }],
      documents: [aRecord("c")],
    })
    await commit(storage, [aRecord("d")])
    expect(await reader.read(revision)).toMatchObject({
      whole: true,
      removed: [],
      documents: [{ id: "b" }, { id: "c" }, { id: "d" }],
    })
    expect(await reader.read(revision + 1)).toMatchObject({ whole: false, documents: [{ id: "c" }, { id: "d" }] })
    await commit(storage, [])
    expect(await place.run(`select id from ${DOCUMENTS} where data is null`)).toEqual([])
  })
})

describe.skipIf(noPostgres !== "")(`a client of Postgres that is lost${noPostgres}`, () => {
  let server: Awaited<ReturnType<typeof startPg>>
  beforeAll(async () => void (server = await startPg()))
  afterAll(() => server?.close())

  it("between any two statements of a commit leaves all of it or nothing", async () => {
    const storage = server.open()
    const before = [aRecord("a"), aRecord("gone")]
    let statements = 0
    for (let lostAt = 0; ; lostAt++) {
      await server.empty()
      const revision = await commit(storage, before)
      const lossy = postgresStorage({ query: server.options.query, transaction: lossyTransaction(server, lostAt) })
      const change = {
        ifRevision: revision,
        put: [aRecord("a", "10.0.0.9"), aGrant("g")],
        remove: [{ kind: "record", id: "gone" } as const],
      }
      const isDone = await lossy.commit(change).then(
        () => true,
        () => false,
      )
      expect(await stored(storage)).toEqual(isDone ? [aGrant("g"), aRecord("a", "10.0.0.9")] : before)
      await commit(storage, [aRecord("next")])
      if (isDone) break
      statements += 1
    }
    // begin, revision, put, remove, prune, commit: none at the commit itself is lost, it is only not known.
    expect(statements).toBe(6)
  })

  it("while another commit waits for it, lets that have its turn", async () => {
    await server.empty()
    const storage = server.open()
    const client = new pg.Client({ host: server.server.host, user: "ingress", database: "postgres" })
    client.on("error", () => undefined)
    await client.connect()
    await client.query("begin")
    await client.query(`update ${REVISION} set revision = revision + 1`)
    const waiting = storage.commit({ ifRevision: 0, put: [aRecord("a")], remove: [] })
    const blocked = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
    await expect.poll(async () => (await server.pool.query(blocked)).rows.length).toBe(1)
    ;(
      client as unknown as { readonly connection: { readonly stream: { readonly destroy: () => void } } }
    ).connection.stream.destroy()
    expect(await waiting).toBe(1)
    expect(await stored(storage)).toEqual([aRecord("a")])
  })

  it("is found out as a conflict where Postgres gives up for the sake of another transaction", async () => {
    await server.empty()
    const giveUp = async () => Promise.reject(Object.assign(new Error("could not serialize access"), { code: "40001" }))
    const storage = postgresStorage({ query: server.options.query, transaction: giveUp })
    await expect(storage.commit({ ifRevision: 0, put: [], remove: [] })).rejects.toMatchObject({
      _tag: "RevisionConflict",
    })
  })
})

/** Breaks the connection before the statement of that number. */
const lossyTransaction =
  ({ server }: Awaited<ReturnType<typeof startPg>>, lostAt: number) =>
  async <A>(run: (query: PostgresQuery) => Promise<A>): Promise<A> => {
    const client = new pg.Client({ host: server.host, user: server.user, database: "postgres" })
    client.on("error", () => undefined)
    await client.connect()
    let at = 0
    const query: PostgresQuery = async (text, values) => {
      if (at++ === lostAt) {
        ;(
          client as unknown as { readonly connection: { readonly stream: { readonly destroy: () => void } } }
        ).connection.stream.destroy()
      }
      return client.query(text, values)
    }
    try {
      await query("begin", [])
      const result = await run(query)
      await query("commit", [])
      return result
    } finally {
      await client.end().catch(() => undefined)
    }
  }

describe("options", () => {
  it("are checked when they are given", () => {
    const query = async () => []
    expect(() => postgresStorage({ query } as never)).toThrow("transaction")
    expect(() => postgresStorage({ query, transaction: query, listen: query } as never)).toThrow("listen")
    expect(() => d1Storage({} as never)).toThrow("d1Storage: the binding must be a D1 database")
  })

  it("whose query returns no rows are found out", async () => {
    const storage = postgresStorage({ query: async () => 7, transaction: async (run) => run(async () => 7) })
    await expect(storage.read(0)).rejects.toThrow("postgresStorage: query must return rows")
  })
})
