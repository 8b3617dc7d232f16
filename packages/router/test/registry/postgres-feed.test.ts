/** The feed of a platform's own tables, whose writers take no lock of ours: in a real Postgres, with sessions that overlap. */
import { PGlite } from "@electric-sql/pglite"
import { defineGrammar } from "@project-ingress/hostname"
import pg from "pg"
import postgres from "postgres"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { everything, onlyInAll } from "../../../../test/requirements.ts"
import { decodeRecord } from "../../src/stores/decode-record.ts"
import type { RouteKey, RouteRecord } from "../../src/stores/record.ts"
import type { FeedPage, RouteFeed } from "../../src/stores/route-feed.ts"
import { changeLogSchema, postgresFeed } from "../../src/stores/postgres-feed.ts"
import type { BadRow, PostgresFeedOptions } from "../../src/stores/postgres-feed.ts"
import { postgresRegistry } from "../../src/stores/postgres.ts"
import { startPg } from "./engines.ts"
import { noPostgres } from "./postgres-server.ts"

/** Tables as a platform may have them, and what its migration adds. */
const platform = [
  "create table projects (slug text primary key, record text)",
  "create view route_records as select 'p:' || slug as route_key, record from projects",
  `create function project_changed() returns trigger language plpgsql as $$
    begin
      if tg_op <> 'INSERT' then perform route_changed('p:' || old.slug); end if;
      if tg_op <> 'DELETE' and (tg_op = 'INSERT' or new.slug <> old.slug) then
        perform route_changed('p:' || new.slug);
      end if;
      return null;
    end $$`,
  `create trigger project_changed after insert or update or delete on projects
    for each row execute function project_changed()`,
]
const detached = (epoch: number) => JSON.stringify({ kind: "detached", epoch })

const changesIn = (page: FeedPage) => {
  if (page.status === "gap") throw new Error("gap")
  return page
}
const all = async (feed: RouteFeed): Promise<ReadonlyMap<RouteKey, RouteRecord>> => {
  const found = new Map<RouteKey, RouteRecord>()
  for await (const [key, record] of (await feed.snapshot()).routes) found.set(key, record)
  return found
}
const keysOf = (page: FeedPage) => changesIn(page).changes.map(({ key }) => key)

/** What every driver has to do. */
const basics = async (run: (text: string) => Promise<unknown>, options: PostgresFeedOptions) => {
  for (const text of [...changeLogSchema, ...platform]) await run(text)
  await run(`insert into projects values ('a', '${detached(1)}'), ('b', '${detached(2)}')`)
  const feed = postgresFeed(options)
  const before = await all(feed)
  const { cursor } = await feed.snapshot()
  await run("update projects set slug = 'c' where slug = 'a'")
  await run("delete from projects where slug = 'b'")
  const { changes } = changesIn(await feed.changes(cursor))
  return {
    before: [...before].map(([key, record]) => [key, record.kind, record.epoch]),
    changes: changes.map(({ key, record }) => [key, record?.epoch]),
    isRising: changes.every(({ key, version }) => version > (before.get(key)?.version ?? 0)),
  }
}
const basic = {
  before: [
    ["p:a", "detached", 1],
    ["p:b", "detached", 2],
  ],
  changes: [
    ["p:a", undefined],
    ["p:c", 1],
    ["p:b", undefined],
  ],
  isRising: true,
}

describe.skipIf(noPostgres !== "")(`in Postgres${noPostgres}`, () => {
  let server: Awaited<ReturnType<typeof startPg>>
  const query: PostgresFeedOptions["query"] = (text, values) => server.pool.query(text, values)
  const run = (text: string, values: readonly unknown[] = []) => server.pool.query(text, [...values])
  beforeAll(async () => void (server = await startPg()))
  afterAll(() => server?.close())
  beforeEach(async () => void (await run("drop schema public cascade; create schema public")))

  const install = async () => {
    for (const text of [...changeLogSchema, ...platform]) await run(text)
  }
  const put = (slug: string, record: string | null = detached(0)) =>
    run("insert into projects values ($1, $2) on conflict (slug) do update set record = excluded.record", [
      slug,
      record,
    ])
  const setup = async (options: Partial<PostgresFeedOptions> = {}) => {
    await install()
    await put("first")
    const feed = postgresFeed({ query, ...options })
    const { cursor } = await feed.snapshot()
    return { feed, cursor }
  }
  /** A connection of its own. */
  const session = async (): Promise<pg.Client> => {
    const client = new pg.Client(server.connection)
    await client.connect()
    return client
  }

  it("every driver reads it: pg", async () => {
    expect(await basics((text) => run(text), { query })).toEqual(basic)
  })

  it("changes are read by a plan that Postgres does not compile, though its tables were never analyzed", async () => {
    const { cursor } = await setup()
    let cost = Number.NaN
    const feed = postgresFeed({
      query: async (text, values) => {
        const { rows } = await server.pool.query(`explain (format json) ${text}`, values)
        cost = rows[0]["QUERY PLAN"][0].Plan["Total Cost"]
        return query(text, values)
      },
    })
    await feed.changes(cursor)
    // `jit_above_cost` of Postgres.
    expect(cost).toBeLessThan(100_000)
  })

  it("every driver reads it: postgres", async () => {
    const sql = postgres({ ...server.connection, max: 2 })
    try {
      expect(await basics((text) => sql.unsafe(text), { query: (text, values) => sql.unsafe(text, values) })).toEqual(
        basic,
      )
    } finally {
      await sql.end()
    }
  })

  describe("a writer that commits late", () => {
    it("is not lost, though a later one was there first: both are shown once it has ended", async () => {
      const { feed, cursor } = await setup()
      const [early, late] = [await session(), await session()]
      try {
        await early.query("begin")
        await early.query("insert into projects values ('early', $1)", [detached(1)])
        await late.query("insert into projects values ('late', $1)", [detached(2)])
        // A reader that goes by sequence numbers would be past `early` now.
        expect((await run("select max(seq) from route_changes")).rows).toEqual([{ max: "3" }])
        expect(keysOf(await feed.changes(cursor))).toEqual([])
        await early.query("commit")
        const page = changesIn(await feed.changes(cursor))
        expect(page.changes.map(({ key, record }) => [key, record?.epoch])).toEqual([
          ["p:early", 1],
          ["p:late", 2],
        ])
        expect(keysOf(await feed.changes(page.cursor))).toEqual([])
      } finally {
        await early.end()
        await late.end()
      }
    })

    it("is not in a snapshot, and comes with its cursor", async () => {
      await install()
      const late = await session()
      try {
        await late.query("begin")
        await late.query("insert into projects values ('late', $1)", [detached(1)])
        await put("other")
        const feed = postgresFeed({ query })
        const { cursor, routes } = await feed.snapshot()
        await late.query("commit")
        const first: string[] = []
        for await (const [key] of routes) first.push(key)
        expect(new Set([...first, ...keysOf(await feed.changes(cursor))])).toEqual(new Set(["p:late", "p:other"]))
      } finally {
        await late.end()
      }
    })

    it("that writes the same key makes the other one wait, so that a key's versions are in the order of commits", async () => {
      const { feed, cursor } = await setup()
      await run("create table machines (id integer primary key, slug text)")
      await run(`create function machine_changed() returns trigger language plpgsql as $$
        begin perform route_changed('p:' || new.slug); return null; end $$`)
      await run(`create trigger machine_changed after insert on machines
        for each row execute function machine_changed()`)
      const [one, two] = [await session(), await session()]
      try {
        await one.query("begin")
        await one.query("insert into machines values (1, 'first')")
        const order: string[] = []
        const second = two.query("insert into machines values (2, 'first')").then(() => order.push("two"))
        const waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
        while ((await run(waiting)).rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
        order.push("one")
        await one.query("commit")
        await second
        expect(order).toEqual(["one", "two"])
        const { changes } = changesIn(await feed.changes(cursor))
        expect(changes).toHaveLength(1)
        const { rows } = await run("select max(seq) as newest from route_changes")
        expect(changes[0]!.version).toBe(Number(rows[0].newest))
      } finally {
        await one.end()
        await two.end()
      }
    })
  })

  describe("an unrelated transaction that has written and not ended", () => {
    /** Registers a machine and a project beside the platform's tables, and opens a transaction of somebody else's. */
    const beside = async () => {
      const made = await setup()
      const registry = postgresRegistry({ grammar: defineGrammar({ domains: ["iterate.app"] }), ...server.driver })
      await registry.migrate()
      await registry.putMachine({ id: "mach_1", type: "fake", externalId: "x", metadata: {} })
      await registry.create({ name: "misha" })
      await run("create table unrelated (id integer)")
      const foreign = await session()
      await foreign.query("begin")
      await foreign.query("insert into unrelated values (1)")
      return { ...made, registry, foreign }
    }

    it("holds the platform's feed back, which says for how long, and never the registry's", async () => {
      const { feed, cursor, registry, foreign } = await beside()
      try {
        expect(feed.stats()).toEqual({ heldBackMs: 0, badRows: 0 })
        expect(keysOf(await feed.changes(cursor))).toEqual([])
        expect(feed.stats().heldBackMs).toBe(0)

        await put("second")
        const before = (await registry.snapshot()).cursor
        await registry.attach("misha", "mach_1")
        expect(keysOf(await registry.changes(before))).toEqual(["m:mach_1", "p:misha"])
        expect(await registry.get("p:misha")).toMatchObject({ record: { kind: "machine", epoch: 1 } })

        // A change of an hour ago, so that no time has to pass.
        await run("update route_changes set changed_at = changed_at - interval '1 hour' where route_key = 'p:second'")
        expect(keysOf(await feed.changes(cursor))).toEqual([])
        expect(feed.stats().heldBackMs).toBeGreaterThanOrEqual(3_600_000)
        expect(feed.stats().heldBackMs).toBeLessThan(4_000_000)

        await foreign.query("rollback")
        expect(keysOf(await feed.changes(cursor))).toEqual(["p:second"])
        expect(feed.stats().heldBackMs).toBe(0)
      } finally {
        await foreign.end()
      }
    })

    it.skipIf(!everything)(
      `for 30 s: a route that is attached meanwhile is visible at once${onlyInAll}`,
      async () => {
        const { feed, cursor, registry, foreign } = await beside()
        try {
          await put("second")
          const state = { isOpen: true }
          const sleeping = foreign.query("select pg_sleep(30)").then(() => (state.isOpen = false))
          let attaches = 0
          let before = (await registry.snapshot()).cursor
          while (state.isOpen) {
            await registry.attach("misha", "mach_1")
            const page = changesIn(await registry.changes(before))
            expect(page.changes.map(({ key }) => key)).toContain("p:misha")
            before = page.cursor
            expect(keysOf(await feed.changes(cursor))).toEqual([])
            attaches += 1
            await Promise.race([sleeping, new Promise((resolve) => setTimeout(resolve, 500))])
          }
          expect(attaches).toBeGreaterThan(1)
          await feed.changes(cursor)
          expect(feed.stats().heldBackMs).toBeGreaterThan(29_000)
          await foreign.query("commit")
          expect(keysOf(await feed.changes(cursor))).toEqual(["p:second"])
        } finally {
          await foreign.end()
        }
      },
      90_000,
    )
  })

  it("whatever many sessions do at the same time, a reader ends with what the view says", async () => {
    const { feed } = await setup()
    const writers = await Promise.all(Array.from({ length: 8 }, session))
    const held = new Map<RouteKey, number>()
    const replayed = new Map<RouteKey, RouteRecord>()
    for (const [key, record] of await all(feed)) replayed.set(key, record)
    let { cursor } = await feed.snapshot()
    const state = { isWriting: true }
    const write = async (client: pg.Client, at: number) => {
      for (let round = 0; round < 25; round++) {
        await client.query("begin")
        // In one order, so that no two wait for each other.
        for (const slug of [at % 3, 3 + (round % 4), 7 + ((at + round) % 5)].map((each) => `p${each}`)) {
          const drop = (round + at) % 4 === 0
          if (drop) await client.query("delete from projects where slug = $1", [slug])
          else
            await client.query(
              "insert into projects values ($1, $2) on conflict (slug) do update set record = excluded.record",
              [slug, detached(round * 10 + at)],
            )
        }
        await client.query(round % 5 === 4 ? "rollback" : "commit")
      }
    }
    const reading = (async () => {
      for (let more = true; more || state.isWriting;) {
        const page = changesIn(await feed.changes(cursor, { limit: 7 }))
        for (const { key, version, record } of page.changes) {
          if (version <= (held.get(key) ?? 0)) continue
          held.set(key, version)
          if (record === undefined) replayed.delete(key)
          else replayed.set(key, record)
        }
        more = page.more || cursor !== page.cursor
        cursor = page.cursor
      }
    })()
    try {
      await Promise.all(writers.map(write))
      state.isWriting = false
      await reading
      expect(held.size).toBeGreaterThan(8)
      const wanted = await all(feed)
      expect(Object.fromEntries(replayed)).toEqual(Object.fromEntries(wanted))
    } finally {
      await Promise.all(writers.map((each) => each.end()))
    }
  }, 60_000)

  describe("rows that are not as they should be", () => {
    it("fail alone, in a snapshot and in changes, and are reported", async () => {
      const bad: BadRow[] = []
      const { feed, cursor } = await setup({
        onBadRow: (row) => {
          bad.push(row)
          throw new Error("the log is full")
        },
      })
      await run("alter table projects drop constraint projects_pkey")
      const rows: readonly (readonly [string, string | null])[] = [
        ["null", null],
        ["half", '{"kind":"detached"'],
        ["empty", ""],
        ["list", "[]"],
        ["number", "7"],
        ["twice", detached(1)],
        ["twice", detached(2)],
        ["Misha", detached(1)],
        ["", detached(1)],
        ["two words", detached(1)],
        ["x".repeat(511), detached(1)],
        ["x".repeat(60_000), detached(1)],
        ["unknown-kind", '{"kind":"of a later format","epoch":1}'],
        ["good", detached(3)],
      ]
      for (const [slug, record] of rows) await run("insert into projects values ($1, $2)", [slug, record])

      const valid = (found: ReadonlyMap<RouteKey, RouteRecord>) =>
        [...found].filter(([, record]) => decodeRecord(record).problem === undefined).map(([key]) => key)
      const found = await all(feed)
      expect(valid(found)).toEqual(["p:first", "p:good"])
      const failing = ["p:null", "p:half", "p:empty", "p:list", "p:number", "p:twice", "p:unknown-kind"]
      expect([...found.keys()].toSorted()).toEqual(["p:first", "p:good", ...failing].toSorted())
      expect(new Set(bad.map(({ problem }) => problem))).toEqual(
        new Set([
          "the record is null",
          "the record is not JSON",
          "the record is no object",
          "the view has several rows of the key",
          "no hostname leads to such a key",
        ]),
      )
      expect(bad.every(({ key }) => key.length <= 256)).toBe(true)
      expect(feed.stats().badRows).toBe(bad.length)

      const { changes } = changesIn(await feed.changes(cursor))
      const changed = new Map(changes.map(({ key, record }) => [key, record!]))
      expect(valid(changed)).toEqual(["p:good"])
      expect([...changed.keys()].toSorted()).toEqual(["p:good", ...failing].toSorted())
      // Mended, it is a route like any other.
      const { cursor: later } = await feed.snapshot()
      await run("update projects set record = $1 where slug = 'half'", [detached(4)])
      expect(changesIn(await feed.changes(later)).changes).toMatchObject([{ key: "p:half", record: { epoch: 4 } }])
    })

    it("do not stop the platform from writing them", async () => {
      await setup()
      await run("alter table projects drop constraint projects_pkey")
      await run("alter table projects alter column slug drop not null")
      for (const slug of [null, "x".repeat(60_000)]) await run("insert into projects values ($1, '{}')", [slug])
      expect((await run("select count(*) from projects")).rows).toEqual([{ count: "3" }])
    })
  })

  describe("a reader that is behind what the log keeps", () => {
    it.each([
      "delete from route_changes where route_key <> 'p:last'",
      "delete from route_changes",
      "truncate route_changes",
    ])("finds a gap after %s, and none with a new snapshot", async (text) => {
      const { feed, cursor } = await setup()
      await put("second")
      await put("last")
      const { cursor: latest } = await feed.snapshot()
      await run(text)
      expect(await feed.changes(cursor)).toEqual({ status: "gap" })
      const atTheEnd = await feed.changes(latest)
      expect(text.startsWith("delete") ? keysOf(atTheEnd) : atTheEnd).toEqual(
        text.startsWith("delete") ? [] : { status: "gap" },
      )
      const { cursor: fresh } = await feed.snapshot()
      expect(keysOf(await feed.changes(fresh))).toEqual([])
      await put("later")
      expect(keysOf(await feed.changes(fresh))).toEqual(["p:later"])
    })

    it("goes on where only what it has read was deleted", async () => {
      const { feed, cursor } = await setup()
      await put("second")
      const { cursor: read } = changesIn(await feed.changes(cursor))
      await run("delete from route_changes")
      expect(keysOf(await feed.changes(read))).toEqual([])
      await put("third")
      expect(keysOf(await feed.changes(read))).toEqual(["p:third"])
    })

    it("finds a gap with a cursor of another database, of the future or of nobody", async () => {
      const { feed, cursor } = await setup()
      const name = cursor.split(":")[0]!
      for (const wrong of [
        cursor.replace(name, "0".repeat(32)),
        `${name}:9000000000000000000:0`,
        `${name}:1`,
        `${name}:-1:0`,
        "",
        "x'; drop table projects",
      ]) {
        expect(await feed.changes(wrong)).toEqual({ status: "gap" })
      }
    })
  })

  it("is read in pages", async () => {
    const { feed, cursor } = await setup()
    for (const slug of ["a", "b", "c"]) await put(slug)
    const first = changesIn(await feed.changes(cursor, { limit: 2 }))
    expect([keysOf(first), first.more]).toEqual([["p:a", "p:b"], true])
    const second = changesIn(await feed.changes(first.cursor, { limit: 2 }))
    expect([keysOf(second), second.more]).toEqual([["p:c"], false])
    expect(await feed.changes(second.cursor)).toEqual({ ...second, changes: [] })
  })

  describe("a reader that waits", () => {
    it("is woken by a notification", async () => {
      const { feed, cursor } = await setup({ pollMs: 60_000, listen: server.driver.listen! })
      const reading = feed.changes(cursor, { waitMs: 60_000 })
      await put("second")
      expect(keysOf(await reading)).toEqual(["p:second"])
      await feed.dispose()
    })

    it("finds by polling where listening throws at once, as where it rejects", async () => {
      const listen = () => {
        throw new Error("no connection")
      }
      const { feed, cursor } = await setup({ pollMs: 10, listen })
      const reading = feed.changes(cursor, { waitMs: 60_000 })
      await put("second")
      expect(keysOf(await reading)).toEqual(["p:second"])
    })

    it("finds by polling what no notification tells: a transaction that ends, or a connection that is lost", async () => {
      const { feed, cursor } = await setup({ pollMs: 10, listen: () => Promise.reject(new Error("no connection")) })
      const foreign = await session()
      try {
        await foreign.query("begin")
        await foreign.query("select pg_current_xact_id()")
        await put("second")
        const reading = feed.changes(cursor, { waitMs: 60_000 })
        expect(keysOf(await feed.changes(cursor))).toEqual([])
        await foreign.query("rollback")
        expect(keysOf(await reading)).toEqual(["p:second"])
      } finally {
        await foreign.end()
      }
    })

    it("ends with its signal", async () => {
      const { feed, cursor } = await setup()
      const controller = new AbortController()
      const reading = feed.changes(cursor, { waitMs: 60_000, signal: controller.signal })
      controller.abort(new Error("enough"))
      await expect(reading).rejects.toThrow("enough")
      await expect(feed.snapshot({ signal: controller.signal })).rejects.toThrow("enough")
    })
  })

  it("refuses options that it does not have, and a query function that gives no rows", async () => {
    expect(() => postgresFeed({} as never)).toThrow("postgresFeed: query")
    expect(() => postgresFeed({ query, poll: 5 } as never)).toThrow("poll")
    const feed = postgresFeed({ query: async () => undefined })
    await expect(feed.snapshot()).rejects.toThrow("postgresFeed: query must return rows, or an object with rows")
    await setup()
    await run("delete from route_feed")
    await expect(postgresFeed({ query }).snapshot()).rejects.toThrow("postgresFeed: route_feed has no row")
  })
})

it("every driver reads it: PGlite", async () => {
  const database = await PGlite.create()
  try {
    const query: PostgresFeedOptions["query"] = (text, values) => database.query(text, values)
    expect(await basics((text) => database.exec(text), { query })).toEqual(basic)
  } finally {
    await database.close()
  }
})
