/** A table that is polled: what a row leads to, what a bad row costs, and what a source that fails, hangs or shrinks changes. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { defineGrammar } from "@project-ingress/hostname"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { edgeProxyRows, edgeProxySql, polledSql } from "../../src/stores/polled-sql.ts"
import type { InvalidRowsEvent, PolledSqlOptions, RouteSourceEvent } from "../../src/stores/polled-sql.ts"
import type { MachineRoute, RouteKey } from "../../src/stores/record.ts"
import type { Lookup, LookupOptions } from "../../src/stores/route-store.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "performance", "setTimeout", "clearTimeout"] })
})
afterEach(() => {
  vi.useRealTimers()
})

const region = "01234567-89ab-cdef-0123-456789abcdef"
const row = (name: unknown, more: Readonly<Record<string, unknown>> = {}) => ({
  domain_name: name,
  vm_private_ip: "10.0.0.5",
  vm_port: 3000,
  vm_region_id: region,
  region_public_ip: "192.0.2.7",
  ...more,
})
const rowsOf = (count: number) => Array.from({ length: count }, (_, at) => row(`app${at}.example.com`))
const signal = new AbortController().signal
const options: LookupOptions = { signal }

/** A store over a function that a test changes, and what it reported. */
const setup = (more: PolledSqlOptions = {}) => {
  const events: (RouteSourceEvent | InvalidRowsEvent)[] = []
  const query: (text: string) => PromiseLike<unknown> = () => Promise.resolve([row("app.example.com")])
  const source = { calls: 0, query }
  const store = polledSql(
    (text) => {
      source.calls += 1
      return source.query(text)
    },
    { onEvent: (event) => events.push(event), ...more },
  )
  const get = async (name: string, given: LookupOptions = options): Promise<Lookup> =>
    store.get(name.includes(":") ? (name as RouteKey) : `d:${name}`, given)
  const originOf = async (name: string): Promise<unknown> => {
    const found = await get(name)
    return found.status === "hit" ? (found.record as MachineRoute).machine?.metadata["origin"] : found.status
  }
  return { store, source, events, get, originOf, rows: (rows: unknown) => (source.query = () => Promise.resolve(rows)) }
}
const states = (events: readonly (RouteSourceEvent | InvalidRowsEvent)[]) =>
  events.flatMap((event) => (event.type === "route_source" ? [[event.state, event.reason]] : []))

describe("the default query", () => {
  it("is the one in EdgeProxy's README, byte for byte", () => {
    const readme = readFileSync(join(import.meta.dirname, "edgeproxy-readme.txt"), "utf8")
    const [, documented] = /```sql\n([\s\S]*?)\n```/.exec(readme)!
    expect(edgeProxySql).toBe(documented)
  })

  it("is the text that the query function gets", async () => {
    const { store, source } = setup()
    const texts: string[] = []
    source.query = (text) => Promise.resolve(texts.push(text) && [])
    await store.load()
    expect(texts).toEqual([edgeProxySql])
  })
})

describe("a row of EdgeProxy", () => {
  it("leads its domain to the machine's private address, with the region it is in", async () => {
    const { get } = setup()
    expect(await get("app.example.com")).toEqual({
      status: "hit",
      layer: "polled-sql",
      ageMs: 0,
      stale: false,
      record: {
        kind: "machine",
        version: 1,
        epoch: 1,
        machine: {
          id: "10.0.0.5:3000",
          type: "upstream",
          externalId: "10.0.0.5:3000",
          metadata: { origin: "http://10.0.0.5:3000" },
        },
        port: 3000,
        appOrigin: "public",
        visibility: "public",
        metadata: { region: { id: region, publicIp: "192.0.2.7" } },
      },
    })
  })

  it("leads to the other region's load balancer on port 80, if the router's own region is given", async () => {
    const { originOf, rows } = setup({ map: edgeProxyRows({ region: region.toUpperCase() }) })
    rows([row("here.example.com"), row("there.example.com", { vm_region_id: "eu-2", region_public_ip: "2001:db8::1" })])
    expect(await originOf("here.example.com")).toBe("http://10.0.0.5:3000")
    expect(await originOf("there.example.com")).toBe("http://[2001:db8::1]:80")
  })

  it.each([
    ["capital letters", row("APP.Example.com"), "app.example.com"],
    ["a root dot", row("app.example.com."), "app.example.com"],
    ["a label of 63 characters", row(`${"a".repeat(63)}.example.com`), `${"a".repeat(63)}.example.com`],
    ["a port as text, as drivers give a bigint", row("app.example.com", { vm_port: "3000" }), "app.example.com"],
    ["an internationalized domain", row("xn--e1afmkfd.xn--p1ai"), "xn--e1afmkfd.xn--p1ai"],
  ])("is found with %s", async (_, given, name) => {
    const { originOf, rows } = setup()
    rows([given])
    expect(await originOf(name)).toBe("http://10.0.0.5:3000")
  })
})

describe("a row that cannot be used fails only its own hostname, and is reported by its field", () => {
  it.each<[string, object, string]>([
    ["no address", row("bad.example.com", { vm_private_ip: null }), "vm_private_ip"],
    ["an address with its prefix length", row("bad.example.com", { vm_private_ip: "10.0.0.5/32" }), "vm_private_ip"],
    ["an address with a leading zero", row("bad.example.com", { vm_private_ip: "010.0.0.1" }), "vm_private_ip"],
    ["a name for an address", row("bad.example.com", { vm_private_ip: "localhost" }), "vm_private_ip"],
    ["AWS's metadata service", row("bad.example.com", { vm_private_ip: "fd00:0ec2:0::254" }), "vm_private_ip"],
    ["Alibaba's", row("bad.example.com", { vm_private_ip: "::ffff:100.100.100.200" }), "vm_private_ip"],
    ["port 0", row("bad.example.com", { vm_port: 0 }), "vm_port"],
    ["port 65536", row("bad.example.com", { vm_port: 65_536 }), "vm_port"],
    ["no port", row("bad.example.com", { vm_port: null }), "vm_port"],
    ["a port that is a fraction", row("bad.example.com", { vm_port: 80.5 }), "vm_port"],
    ["a port with a sign", row("bad.example.com", { vm_port: "+80" }), "vm_port"],
    ["no region", row("bad.example.com", { vm_region_id: null }), "vm_region_id"],
  ])("with %s", async (_, bad, field) => {
    const { get, originOf, rows, events } = setup()
    rows([bad, row("good.example.com")])
    expect(await originOf("good.example.com")).toBe("http://10.0.0.5:3000")
    // Found, and no record: the router answers 500, not 404.
    expect(await get("bad.example.com")).toMatchObject({ status: "hit", record: { machine: null } })
    expect(events).toContainEqual({
      type: "invalid_rows",
      layer: "polled-sql",
      count: 1,
      rows: [{ key: "d:bad.example.com", field, accepted: expect.any(String) }],
    })
  })

  it.each<[string, unknown]>([
    ["of 60 000 characters", row(`${"a".repeat(60_000)}.example.com`)],
    ["that is null", row(null)],
    ["of one label", row("a")],
    ["that begins with a hyphen", row("-a.com")],
    ["with an empty label", row("a..com")],
    ["with a top-level domain of one letter", row("a.c")],
    ["with a label of 64 characters", row(`${"a".repeat(64)}.example.com`)],
    ["with a wildcard", row("*.example.com")],
    ["with a control character", row("a\u0000b.example.com")],
    ["that is an address", row("10.0.0.5")],
  ])("with a domain %s it counts for nothing", async (_, bad) => {
    const { originOf, rows, events, store } = setup()
    rows([bad, row("good.example.com")])
    expect(await originOf("good.example.com")).toBe("http://10.0.0.5:3000")
    expect(store.stats().layers[0]!.routes).toBe(1)
    expect(events.at(-1)).toMatchObject({ count: 1, rows: [{ field: "domain_name" }] })
    expect(JSON.stringify(events).length).toBeLessThan(500)
  })

  it("names 20 of 1 000 rows, once while they stay the same, and says when all are valid again", async () => {
    const { store, rows, events } = setup()
    rows([...rowsOf(10), ...Array.from({ length: 1_000 }, () => row(null))])
    await store.load()
    await store.load()
    rows(rowsOf(10))
    await store.load()
    const reported = events.filter(({ type }) => type === "invalid_rows") as InvalidRowsEvent[]
    expect(reported.map(({ count, rows }) => [count, rows.length])).toEqual([
      [1_000, 20],
      [0, 0],
    ])
  })

  it("of two rows for one domain the first counts, and later the one that was served before", async () => {
    const { store, originOf, rows, events } = setup()
    const first = row("app.example.com", { vm_private_ip: "10.0.0.1" })
    const second = row("APP.example.com.", { vm_private_ip: "10.0.0.2" })
    rows([first, second])
    await store.load()
    expect(await originOf("app.example.com")).toBe("http://10.0.0.1:3000")
    expect(events.at(-1)).toMatchObject({ rows: [{ key: "d:app.example.com", field: "key" }] })
    rows([second, first])
    await store.load()
    expect(await originOf("app.example.com")).toBe("http://10.0.0.1:3000")
  })

  it("a valid row counts beside an invalid one for the same domain, in either order", async () => {
    const { store, originOf, rows } = setup()
    const bad = row("app.example.com", { vm_port: 0 })
    for (const both of [
      [bad, row("app.example.com")],
      [row("app.example.com"), bad],
    ]) {
      rows(both)
      await store.load()
      expect(await originOf("app.example.com")).toBe("http://10.0.0.5:3000")
    }
  })

  it("a map that throws or gives nonsense costs its own row; undefined leaves a row out", async () => {
    const results: unknown[] = [
      () => {
        throw new Error("postgres://admin:hunter2@db")
      },
      () => "nonsense",
      () => ({ key: "p:Misha", route: {} }),
      () => ({ key: "p:a", route: { machine: { id: "m" } } }),
      () => undefined,
      () => ({ key: "p:good", route: { kind: "removed" } }),
    ]
    const map = (given: object) => (given as { run: () => never }).run()
    const { store, get, rows, events } = setup({ map })
    rows(results.map((run) => ({ run })))
    expect(await store.load()).toEqual({ status: "loaded", routes: 1 })
    expect(await get("p:good")).toMatchObject({ status: "hit", record: { kind: "removed" } })
    expect(await get("p:a")).toMatchObject({ status: "hit" })
    expect(events.at(-1)).toMatchObject({
      count: 4,
      rows: [{ field: "" }, { field: "key" }, { field: "key" }, { key: "p:a", field: "machine.type" }],
    })
    expect(JSON.stringify(events)).not.toContain("hunter2")
  })

  it("a name under the grammar's domains is refused: no hostname would lead to the row", async () => {
    const { store, rows, events } = setup({ grammar: defineGrammar({ domains: ["example.app"] }) })
    rows([row("misha.example.app"), row("www.example.com")])
    expect(await store.load()).toEqual({ status: "loaded", routes: 1 })
    expect(events.at(-1)).toMatchObject({ rows: [{ key: "d:misha.example.app", field: "key" }] })
  })
})

describe("until the first result", () => {
  it("nobody can tell, and nothing is missing", async () => {
    const { source, get, events } = setup()
    source.query = () => Promise.reject(Object.assign(new Error("postgres://admin:hunter2@db"), { code: "57P01" }))
    const found = await get("app.example.com")
    expect(found).toMatchObject({ status: "unknown", retryAfterMs: 1_000 })
    expect(states(events)).toEqual([["failing", "57P01"]])
    expect(JSON.stringify([events, found])).not.toContain("hunter2")
  })

  it("1 000 look-ups wait for one query", async () => {
    const { source, originOf } = setup()
    const found = await Promise.all(Array.from({ length: 1_000 }, () => originOf("app.example.com")))
    expect(new Set(found)).toEqual(new Set(["http://10.0.0.5:3000"]))
    expect(source.calls).toBe(1)
  })

  it("a source that fails is asked again after 1 s, 2 s, 4 s … and never more often than look-ups need", async () => {
    const { source, get, store, events } = setup()
    source.query = () => Promise.reject(new Error("down"))
    await store.load()
    for (const [ms, calls] of [
      [999, 1],
      [1, 2],
      [1_999, 2],
      [1, 3],
      [4_000, 4],
    ] as const) {
      await vi.advanceTimersByTimeAsync(ms)
      expect(await get("app.example.com")).toMatchObject({ status: "unknown" })
      expect(source.calls).toBe(calls)
    }
    source.query = () => Promise.resolve(rowsOf(1))
    await vi.advanceTimersByTimeAsync(8_000)
    expect(await get("app0.example.com")).toMatchObject({ status: "hit" })
    expect(states(events)).toEqual([
      ["failing", "the query failed"],
      ["recovered", undefined],
      ["loaded", undefined],
    ])
  })

  it("a result without routes is refused unless it is forced", async () => {
    const { store, get, rows } = setup()
    rows([])
    expect(await store.load()).toEqual({ status: "refused", reason: "no routes", routes: 0 })
    expect(await get("app.example.com")).toMatchObject({ status: "unknown" })
    expect(await store.load({ force: true })).toEqual({ status: "loaded", routes: 0 })
    expect(await get("app.example.com")).toMatchObject({ status: "miss" })
    // Nothing is lost then.
    expect(await store.load()).toEqual({ status: "loaded", routes: 0 })
  })
})

describe("the last good routes stay", () => {
  it("while the source fails, marked as stale, for a day; then nobody can tell", async () => {
    const { source, get, events, store } = setup()
    await get("app.example.com")
    source.query = () => Promise.reject(new Error("down"))
    await vi.advanceTimersByTimeAsync(20_000)
    expect(await get("app.example.com")).toMatchObject({ status: "hit", stale: true, ageMs: 20_000 })
    expect(await get("nobody.example.com")).toMatchObject({ status: "miss", stale: true })
    await vi.advanceTimersByTimeAsync(86_400_000 - 20_000)
    expect(await get("app.example.com")).toMatchObject({ status: "hit" })
    await vi.advanceTimersByTimeAsync(1)
    expect(await get("app.example.com")).toMatchObject({ status: "unknown" })
    expect(states(events)).toEqual([
      ["loaded", undefined],
      ["stale", "the query failed"],
    ])
    store.dispose()
  })

  it("while a query hangs; after its time-out its rows are ignored", async () => {
    const { source, originOf, store, events } = setup({ timeoutMs: 3_000 })
    await originOf("app.example.com")
    const late = Promise.withResolvers<unknown>()
    source.query = () => late.promise
    const result = store.load()
    await vi.advanceTimersByTimeAsync(3_001)
    expect(await result).toMatchObject({ status: "failed", reason: "no result within 3000 ms" })
    late.resolve([row("app.example.com", { vm_private_ip: "10.9.9.9" })])
    await vi.advanceTimersByTimeAsync(1)
    expect(await originOf("app.example.com")).toBe("http://10.0.0.5:3000")
    expect(states(events).at(-1)).toEqual(["stale", "no result within 3000 ms"])
  })

  it("and a database that hangs has at most four queries", async () => {
    const { source, store } = setup({ timeoutMs: 3_000 })
    source.query = () => new Promise(() => {})
    void store.load()
    await vi.advanceTimersByTimeAsync(25_000)
    expect(source.calls).toBe(4)
    expect(await store.load()).toMatchObject({ status: "failed", reason: "4 queries have not ended" })
  })

  it.each<[string, unknown, string]>([
    ["is empty", [], "no routes"],
    ["is 20 % smaller", rowsOf(80), "80 routes, of 100 before"],
    [
      "has only rows that cannot be used",
      rowsOf(100).map((each) => ({ ...each, vm_private_ip: "10.0.0.5/32" })),
      "no routes",
    ],
    ["has too many rows", rowsOf(201), "more than 200 rows"],
  ])("when a result %s, unless it is forced", async (_, next, reason) => {
    const { store, get, rows, events } = setup({ maxRows: 200 })
    rows(rowsOf(100))
    await store.load()
    rows(next)
    expect(await store.load()).toEqual({ status: "refused", reason, routes: 100 })
    expect(await get("app99.example.com")).toMatchObject({ status: "hit", stale: true })
    expect(states(events).at(-1)).toEqual(["refused", reason])
    const forced = await store.load({ force: true })
    expect(forced.status).toBe(reason.startsWith("more") ? "refused" : "loaded")
  })

  it("but 15 % may go, and as many as mayLose says", async () => {
    const { store, rows } = setup()
    rows(rowsOf(100))
    await store.load()
    rows(rowsOf(85))
    expect(await store.load()).toEqual({ status: "loaded", routes: 85 })
    const small = setup({ mayLose: 4 })
    small.rows(rowsOf(5))
    await small.store.load()
    small.rows(rowsOf(1))
    expect(await small.store.load()).toEqual({ status: "loaded", routes: 1 })
    small.rows([])
    expect(await small.store.load()).toMatchObject({ status: "refused" })
  })

  it("when the query gives no rows at all", async () => {
    const { store, rows } = setup()
    await store.load()
    rows({ error: "x" })
    expect(await store.load()).toEqual({ status: "failed", reason: "the query gave no rows", routes: 1 })
  })
})

describe("polls", () => {
  it("1-12: begin every 10 s, so that a new row is seen within that time", async () => {
    const { source, originOf, rows } = setup()
    await originOf("app.example.com")
    rows([row("app.example.com"), row("new.example.com")])
    await vi.advanceTimersByTimeAsync(9_999)
    expect(await originOf("new.example.com")).toBe("miss")
    await vi.advanceTimersByTimeAsync(1)
    expect(await originOf("new.example.com")).toBe("http://10.0.0.5:3000")
    expect(source.calls).toBe(2)
  })

  it("situation 10: of two at once the older result is thrown away", async () => {
    const { source, store, originOf } = setup()
    const [older, newer] = [Promise.withResolvers<unknown>(), Promise.withResolvers<unknown>()]
    const answers = [older.promise, newer.promise]
    source.query = () => answers.shift()!
    const [first, second] = [store.load(), store.load()]
    newer.resolve([row("app.example.com", { vm_private_ip: "10.0.0.2" })])
    expect(await second).toMatchObject({ status: "loaded" })
    older.resolve([row("app.example.com", { vm_private_ip: "10.0.0.1" })])
    expect(await first).toMatchObject({ status: "superseded" })
    expect(await originOf("app.example.com")).toBe("http://10.0.0.2:3000")
  })

  it("raise a record's version when its row changes, also when the row was gone, and never otherwise", async () => {
    const { store, get, rows } = setup({ mayLose: 10 })
    const versionOf = async () => {
      const found = await get("app.example.com")
      return found.status === "hit" ? found.record.version : found.status
    }
    const to = (ip: string) => [row("other.example.com"), row("app.example.com", { vm_private_ip: ip })]
    const seen: unknown[] = []
    for (const next of [to("10.0.0.1"), to("10.0.0.1"), to("10.0.0.2"), to("10.0.0.1"), rowsOf(1), to("10.0.0.1")]) {
      rows(next)
      await store.load()
      seen.push(await versionOf())
    }
    expect(seen[0]).toBe(seen[1])
    expect(seen[4]).toBe("miss")
    const versions = [seen[1], seen[2], seen[3], seen[5]] as number[]
    expect(versions).toEqual(versions.toSorted((a, b) => a - b))
    expect(new Set(versions).size).toBe(4)
  })

  it("give the same record object while a row stays the same, so that the router decodes it once", async () => {
    const { store, get } = setup()
    const recordOf = async () => (await get("app.example.com")) as { record?: unknown }
    await store.load()
    const { record } = await recordOf()
    await store.load()
    expect((await recordOf()).record).toBe(record)
  })

  it("never go back to an older version where the table keeps one", async () => {
    const map = (given: Readonly<Record<string, unknown>>) => ({
      key: "p:a" as const,
      route: {
        kind: "redirect" as const,
        to: String(given["to"]),
        status: 302 as const,
        version: Number(given["version"]),
      },
    })
    const { store, get, rows, events } = setup({ map })
    const load = async (version: number, to: string) => {
      rows([{ version, to }])
      await store.load()
      const found = await get("p:a")
      return found.status === "hit" && found.record.kind === "redirect" ? found.record.to : found.status
    }
    expect(await load(6, "https://six.example")).toBe("https://six.example")
    expect(await load(5, "https://five.example")).toBe("https://six.example")
    expect(events.at(-1)).toMatchObject({ rows: [{ key: "p:a", field: "version", accepted: "at least 6" }] })
    expect(await load(7, "https://seven.example")).toBe("https://seven.example")
  })

  it("read the source again for a look-up that asks past caches, at most once a second", async () => {
    const { source, get, rows } = setup()
    await get("app.example.com")
    rows([row("app.example.com"), row("new.example.com")])
    const refresh = { signal, refresh: true }
    expect(await get("new.example.com", refresh)).toMatchObject({ status: "miss" })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await get("new.example.com", refresh)).toMatchObject({ status: "hit" })
    await Promise.all(Array.from({ length: 100 }, () => get("nobody.example.com", refresh)))
    expect(source.calls).toBe(2)
  })

  it("end with dispose", async () => {
    const { source, store, get } = setup()
    await get("app.example.com")
    store.dispose()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(source.calls).toBe(1)
  })

  it("in a Worker are begun by requests and handed to waitUntil; no timer is left behind", async () => {
    const { source, get, rows } = setup()
    const works: Promise<unknown>[] = []
    const given = { signal, waitUntil: (work: Promise<unknown>) => void works.push(work) }
    expect(await get("app.example.com", given)).toMatchObject({ status: "hit" })
    expect([works.length, vi.getTimerCount()]).toEqual([1, 0])
    rows([row("app.example.com"), row("new.example.com")])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(source.calls).toBe(1)
    expect(await get("new.example.com", given)).toMatchObject({ status: "miss" })
    expect(works.length).toBe(2)
    await works[1]
    expect(await get("new.example.com", given)).toMatchObject({ status: "hit" })
  })

  it("in a Worker a follower whose leader's request is over loads by itself after 250 ms", async () => {
    const { source, get } = setup()
    const given = { signal, waitUntil: () => {} }
    const { query } = source
    source.query = () => new Promise(() => {})
    void get("app.example.com", given)
    await vi.advanceTimersByTimeAsync(0)
    source.query = query
    const follower = get("app.example.com", given)
    await vi.advanceTimersByTimeAsync(249)
    expect(source.calls).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(await follower).toMatchObject({ status: "hit" })
  })

  it("report a state once, and routes that changed", async () => {
    const { store, rows, events } = setup()
    rows(rowsOf(10))
    await store.load()
    await store.load()
    rows(rowsOf(11))
    await store.load()
    expect(events).toEqual([
      { type: "route_source", layer: "polled-sql", state: "loaded", routes: 10, ageMs: 0 },
      { type: "route_source", layer: "polled-sql", state: "loaded", routes: 11, ageMs: 0 },
    ])
    expect(store.stats()).toEqual({ layers: [{ layer: "polled-sql", routes: 11, ageMs: 0 }] })
  })

  it("survive a wall clock that jumps", async () => {
    const { get, store } = setup()
    await get("app.example.com")
    vi.setSystemTime(Date.now() + 10 * 86_400_000)
    expect(await get("app.example.com")).toMatchObject({ status: "hit", ageMs: 0 })
    vi.setSystemTime(0)
    expect(await get("app.example.com")).toMatchObject({ status: "hit", ageMs: 0 })
    store.dispose()
  })
})

describe("options", () => {
  it.each<[unknown, RegExp]>([
    [{ poll: 1 }, /poll is not an option.*pollMs/],
    [{ pollMs: 0 }, /pollMs must be a number from 10/],
    [{ map: "x" }, /map must be a function/],
    [{ sql: "" }, /sql must be a non-empty string/],
    [{ grammar: {} }, /grammar must be what defineGrammar returns/],
  ])("%j is refused by name", (given, message) => {
    expect(() => polledSql(() => Promise.resolve([]), given as PolledSqlOptions)).toThrow(message)
    expect(() => polledSql(undefined as never)).toThrow(TypeError)
  })
})
