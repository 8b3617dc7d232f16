import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { defineGrammar } from "@project-ingress/hostname"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { fileState } from "../../src/stores/file-state.ts"
import { memoryRegistry } from "../../src/stores/memory.ts"
import { openPacked } from "../../src/stores/packed.ts"
import { postgresRegistry } from "../../src/stores/postgres.ts"
import type { SqlRegistry } from "../../src/stores/postgres.ts"
import type { RouteKey } from "../../src/stores/record.ts"
import { tableStore } from "../../src/stores/table.ts"
import type { RouteFeed, RouteSourceEvent, TableStore } from "../../src/stores/table.ts"
import { setup, stamped } from "../fakes.ts"
import { openPg } from "../registry/pg-driver.ts"
import { noPostgres, startPostgres } from "../registry/postgres-server.ts"
import type { PostgresServer } from "../registry/postgres-server.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const machine = (id: string) => ({ id, type: "fake", externalId: `ext-${id}`, metadata: {} })

/** Where `p:misha` leads, as a visitor would find it. */
const leadsTo = async (store: TableStore, key: RouteKey): Promise<string> => {
  const found = await store.get(key)
  if (found.status !== "hit") return found.status
  return found.record.kind === "machine" ? found.record.machine.id : found.record.kind
}
const becomes = (store: TableStore, key: RouteKey, expected: string) =>
  expect.poll(() => leadsTo(store, key), { interval: 5 }).toBe(expected)

describe("a table of memoryRegistry", () => {
  const attached = async () => {
    const registry = memoryRegistry({ grammar })
    for (const id of ["mach_1", "mach_2"]) await registry.putMachine(machine(id))
    await registry.create({ name: "misha", machine: "mach_1", visibility: "public" })
    return registry
  }

  it("routes requests, and follows an attach", async () => {
    const registry = await attached()
    const store = tableStore(registry)
    await store.waitUntilLoaded()
    const { router, sent } = setup({ store })
    expect((await router.fetch(new Request("http://misha.iterate.app/")))!.status).toBe(200)
    await registry.attach("misha", "mach_2")
    await becomes(store, "p:misha", "mach_2")
    expect((await router.fetch(new Request("http://misha.iterate.app/")))!.status).toBe(200)
    expect((await router.fetch(new Request("http://none.iterate.app/")))!.status).toBe(404)
    expect(sent.map(({ origin }) => origin)).toEqual(["http://ext-mach-1.test", "http://ext-mach-2.test"])
    store.dispose()
  })

  it("situation 12: is 503 with Retry-After before it is loaded", async () => {
    const store = tableStore({ snapshot: never, changes: never })
    const { router } = setup({ store })
    const response = (await router.fetch(new Request("http://misha.iterate.app/")))!
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"])
    store.dispose()
  })

  it.each(["with", "without"])(
    "situation 1: %s an authority a 421 leads to the machine that nobody reported",
    async (how) => {
      const registry = await attached()
      // Notifications are lost.
      const feed: RouteFeed = {
        snapshot: (given) => registry.snapshot(given),
        changes: (since, given = {}) => ((given.waitMs ?? 0) > 0 ? never() : registry.changes(since, given)),
      }
      const store = tableStore(feed, how === "with" ? { authority: registry } : {})
      await store.waitUntilLoaded()
      const { router, sent } = setup({
        store,
        answer: ({ origin }) =>
          origin === "http://ext-mach-2.test"
            ? stamped()
            : stamped("{}", { status: 421, headers: { "x-iterate-proxy-error": "MACHINE_MISMATCH" } }),
      })
      await registry.attach("misha", "mach_2")
      const ask = async () => (await router.fetch(new Request("http://misha.iterate.app/")))!.status
      expect([await ask(), await ask()]).toEqual([200, 200])
      expect(sent.map(({ origin }) => origin)).toEqual([
        "http://ext-mach-1.test",
        "http://ext-mach-2.test",
        "http://ext-mach-2.test",
      ])
      store.dispose()
    },
  )
})

describe.skipIf(noPostgres !== "")(`a table of postgresRegistry${noPostgres}`, () => {
  let server: PostgresServer
  let folder: string
  beforeAll(async () => {
    server = await startPostgres()
    folder = await mkdtemp(join(tmpdir(), "ingress-table-"))
  })
  afterAll(async () => {
    await server?.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** A registry as one process has it. */
  const open = (): SqlRegistry & { readonly end: () => Promise<void> } => {
    const { pool, driver } = openPg(server, 5)
    const registry = postgresRegistry({
      grammar,
      // Far longer than a test: what is seen sooner was notified.
      pollMs: 60_000,
      ...driver,
    })
    const end = async () => {
      await registry.dispose?.()
      await pool.end()
    }
    return { ...registry, end }
  }

  it("situations 11, 12, 19: follows it, serves on when the database is killed, starts without it from its file, and heals", async () => {
    const state = fileState(join(folder, "routes.packed"))
    const control = open()
    await control.migrate()
    for (const id of ["mach_1", "mach_2"]) await control.putMachine(machine(id))
    await control.create({ name: "misha", machine: "mach_1" })
    await control.create({ name: "anna" })

    const events: RouteSourceEvent[] = []
    const follow = (registry: SqlRegistry) =>
      tableStore(registry, {
        state,
        authority: registry,
        saveMs: 1_000,
        random: () => 0,
        onEvent: (event) => events.push(event),
      })
    const registry = open()
    const store = follow(registry)
    expect(await leadsTo(store, "p:misha")).toBe("unknown")
    await store.waitUntilLoaded()
    expect(await leadsTo(store, "p:misha")).toBe("mach_1")
    expect(await leadsTo(store, "p:none")).toBe("miss")

    await control.create({ name: "later" })
    await becomes(store, "p:later", "detached")
    await control.attach("misha", "mach_2")
    await becomes(store, "p:misha", "mach_2")
    await expect.poll(async () => savedMachine((await state.load()) as Uint8Array | undefined)).toBe("mach_2")

    await server.kill()
    await expect.poll(() => events.at(-1)?.state, { interval: 5 }).toBe("stale")
    expect(await store.get("p:misha")).toMatchObject({ status: "hit", stale: true })
    expect(await store.get("p:misha", { refresh: true })).toMatchObject({ status: "hit", stale: true })
    expect(JSON.stringify(events)).not.toContain(server.host)

    // A router that starts now.
    const before = events.length
    const second = open()
    const restarted = follow(second)
    await restarted.waitUntilLoaded()
    expect(events.slice(before).map((event) => event.state)).toEqual(["stale"])
    expect(await restarted.get("p:misha")).toMatchObject({ status: "hit", stale: true })
    expect(await leadsTo(restarted, "p:anna")).toBe("detached")
    // And one that has no file.
    const third = open()
    const empty = tableStore(third)
    expect(await empty.get("p:misha")).toMatchObject({ status: "unknown", retryAfterMs: 1_000 })

    await server.start()
    await control.attach("misha", "mach_1")
    for (const each of [store, restarted, empty]) await becomes(each, "p:misha", "mach_1")
    expect(await store.get("p:misha")).not.toHaveProperty("stale")
    // Notified again: the connections that listened had died with the server.
    await control.create({ name: "healed" })
    for (const each of [store, restarted, empty]) await becomes(each, "p:healed", "detached")
    for (const each of [store, restarted, empty]) each.dispose()
    for (const each of [registry, second, third, control]) await each.end()
  })
})

const never = () => new Promise<never>(() => undefined)
/** Where `p:misha` leads in the image that was saved. */
const savedMachine = async (bytes: Uint8Array | undefined): Promise<string | undefined> => {
  if (bytes === undefined) return undefined
  const image = await openPacked(bytes)
  const record = image.recordOf(image.find("p:misha"), "p:misha")
  return record.kind === "machine" ? record.machine.id : record.kind
}
