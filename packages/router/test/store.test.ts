import { describe, expect, it, vi } from "vitest"
import type { Lookup, RouteStore } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { machine, setup } from "./fakes.ts"

describe("routes in memory", () => {
  it("counts versions and epochs up, over detaching too", () => {
    const routes = memoryStore({ "p:a": { machine: machine("mach_1") } })
    const first = routes.get("p:a")
    expect(routes.detach("p:a")).toBe(true)
    expect(routes.detach("p:a")).toBe(false)
    expect(routes.get("p:a")).toEqual({ status: "miss" })
    const again = routes.attach("p:a", { machine: machine("mach_1") })
    expect(first.status === "hit" && first.record.epoch < again.epoch && first.record.version < again.version).toBe(
      true,
    )
  })

  it("knows nothing by names that every object has", () => {
    const routes = memoryStore()
    for (const key of ["p:constructor", "p:__proto__", "p:toString"] as const) {
      expect(routes.get(key)).toEqual({ status: "miss" })
    }
  })
})

describe("a store that cannot tell", () => {
  const broken: readonly [string, RouteStore["get"]][] = [
    [
      "throws",
      () => {
        throw new Error("down")
      },
    ],
    ["rejects", () => Promise.reject(new Error("down"))],
    ["says unknown", () => ({ status: "unknown" })],
    ["gives undefined", () => undefined as unknown as Lookup],
    ["gives undefined later", async () => undefined as unknown as Lookup],
    ["gives another shape", () => ({ status: "found", record: {} }) as unknown as Lookup],
    ["gives a record without a machine", () => ({ status: "hit", record: {} }) as unknown as Lookup],
    [
      "gives a machine without an id",
      () => ({ status: "hit", record: { machine: { type: "fake", id: "" } } }) as unknown as Lookup,
    ],
  ]
  it.each(broken)("is a 503, never a 404, when it %s", async (_, get) => {
    const { router, sent } = setup({ store: { get } })
    const response = await router.fetch(new Request("http://misha.iterate.app/"))
    expect(response?.status).toBe(503)
    expect(response?.headers.has("retry-after")).toBe(true)
    expect(sent).toEqual([])
  })

  it("is a 503 when it has not answered after 5 s", async () => {
    vi.useFakeTimers()
    try {
      const { router } = setup({ store: { get: () => new Promise(() => {}) } })
      const pending = router.fetch(new Request("http://misha.iterate.app/"))
      await vi.advanceTimersByTimeAsync(5_000)
      expect((await pending)?.status).toBe(503)
    } finally {
      vi.useRealTimers()
    }
  })

  it("sees its signal aborted when the client has left", async () => {
    let aborted = false
    const client = new AbortController()
    const { router } = setup({
      store: {
        get: (_, { signal }) => {
          signal.addEventListener("abort", () => (aborted = true))
          return new Promise(() => {})
        },
      },
    })
    const pending = router.fetch(new Request("http://misha.iterate.app/", { signal: client.signal }))
    client.abort()
    expect((await pending)?.status).toBe(499)
    expect(aborted).toBe(true)
  })
})
