/** A store's health is known by its look-ups alone, and an event about it shows nothing that the store said. */
import * as Effect from "effect/Effect"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { Lookup, RouteKey, RouteStore, RouterEvent, StoreEvent } from "../src/router.ts"
import { fromStore } from "../src/stores/routes.ts"
import { machine, setup } from "./fakes.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "performance"] })
})
afterEach(() => {
  vi.useRealTimers()
})

const later = (ms: number) => vi.advanceTimersByTime(ms)
const hit: Lookup = {
  status: "hit",
  record: { kind: "machine", machine: machine("mach_1"), version: 1, epoch: 1 },
}
const novel = { status: "hit", record: { kind: "tunnel", version: 1, epoch: 1 } } as unknown as Lookup
const reasonOf = async (get: RouteStore["get"]) => {
  const events: StoreEvent[] = []
  const routes = fromStore({ get }, { onEvent: (event) => events.push(event) })
  await Effect.runPromiseExit(routes.lookup(["p:a"]))
  return events.map(({ state, reason }) => [state, reason])
}
const rejecting = (cause: unknown) => () => Promise.reject(cause)

describe("a store counts as failing", () => {
  it.each<[string, RouteStore["get"], string]>([
    ["an error with a code", rejecting(Object.assign(new Error("x"), { code: "57P01" })), "57P01"],
    [
      "an error caused by one with a code",
      rejecting(new TypeError("fetch failed", { cause: { code: "ECONNREFUSED" } })),
      "ECONNREFUSED",
    ],
    ["an error without a code", rejecting(new Error("postgres://admin:hunter2@db")), "the store failed"],
    ["a code that is a text", rejecting({ code: "password hunter2 is wrong" }), "the store failed"],
    [
      "an error whose getter throws",
      rejecting({
        get code() {
          throw new Error("hunter2")
        },
      }),
      "the store failed",
    ],
    ["a string", rejecting("hunter2"), "the store failed"],
    ["an unknown without a cause", () => ({ status: "unknown" }), "the store cannot tell"],
    ["an unknown with a cause", () => ({ status: "unknown", cause: new Error("hunter2") }), "the store failed"],
    ["no look-up", () => undefined as unknown as Lookup, "the store gave no look-up"],
    ["no record", () => ({ status: "hit", record: {} }) as unknown as Lookup, "the store gave no record"],
  ])("for %s, and the event shows a code or a sentence of ours", async (_, get, reason) => {
    expect(await reasonOf(get)).toEqual([["failing", reason]])
  })

  it("when it gives no result in time", async () => {
    vi.useFakeTimers()
    const pending = reasonOf(() => new Promise(() => {}))
    await vi.advanceTimersByTimeAsync(5_001)
    expect(await pending).toEqual([["failing", "no result within 5000 ms"]])
  })

  it.each<[string, Lookup]>([
    ["a record of a kind that nobody knows yet", novel],
    ["a record with a wrong field", { status: "hit", record: { ...hit.record, port: 0 } } as unknown as Lookup],
    ["a miss", { status: "miss" }],
  ])("not for %s", async (_, lookup) => {
    expect(await reasonOf(() => lookup)).toEqual([])
  })
})

it("a record of a kind that nobody knows fails its own hostnames alone, with a 500 that names the field", async () => {
  const events: RouterEvent[] = []
  const get = (key: RouteKey) => (key === "p:novel" ? novel : hit)
  const { router } = setup({ store: { get }, onEvent: (event) => events.push(event) })
  const ask = async (name: string) => (await router.fetch(new Request(`http://${name}.iterate.app/`)))?.status
  expect([await ask("novel"), await ask("misha")]).toEqual([500, 200])
  expect(events).toMatchObject([
    { type: "request", error: "RouteInvalid", reason: expect.stringContaining("kind must be") },
    { type: "request", status: 200 },
  ])
})

describe("a store that failed counts as working again", () => {
  let down = true
  const setupDown = () => {
    down = true
    const events: RouterEvent[] = []
    const get = () => (down ? ({ status: "unknown" } as const) : hit)
    const respond = { status: 204, headers: [] }
    const { router } = setup({
      store: { get },
      policies: [{ name: "no admins", onRequest: ({ path }) => (path === "/admin" ? { respond } : undefined) }],
      onEvent: (event) => events.push(event),
    })
    const ask = (url: string, headers: Record<string, string> = {}) => router.fetch(new Request(url, { headers }))
    return { ask, router, states: () => events.flatMap((event) => (event.type === "store" ? [event.state] : [])) }
  }

  it("only after a look-up: not by requests that end before one", async () => {
    const { ask, states } = setupDown()
    await ask("http://misha.iterate.app/")
    later(5_001)
    expect((await ask("http://misha.iterate.app/admin"))?.status).toBe(204)
    expect((await ask("http://4096__.iterate.app/"))?.status).toBe(400)
    expect(await ask("http://www.iterate.app/")).toBeUndefined()
    const via = Array.from({ length: 20 }, () => "1.1 ingress-router").join(", ")
    expect((await ask("http://misha.iterate.app/", { via }))?.status).toBe(508)
    expect(states()).toEqual(["failing"])
    down = false
    await ask("http://misha.iterate.app/")
    expect(states()).toEqual(["failing", "recovered"])
  })

  it("by the look-up of explain, too", async () => {
    const { ask, router, states } = setupDown()
    await ask("http://misha.iterate.app/")
    later(5_001)
    down = false
    await router.explain("misha.iterate.app")
    expect(states()).toEqual(["failing", "recovered"])
  })

  it("not by a look-up whose client has left", async () => {
    const events: StoreEvent[] = []
    let lookup: Lookup | Promise<Lookup> = { status: "unknown" }
    const routes = fromStore({ get: () => lookup }, { onEvent: (event) => events.push(event) })
    await Effect.runPromiseExit(routes.lookup(["p:a"]))
    later(5_001)
    lookup = new Promise(() => {})
    const client = new AbortController()
    const pending = Effect.runPromiseExit(routes.lookup(["p:a"]), { signal: client.signal })
    client.abort()
    await pending
    expect(events.map(({ state }) => state)).toEqual(["failing"])
  })
})
