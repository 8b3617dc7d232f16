/** One sink hears of requests, stores, providers and background work. */
import type { MachineProvider } from "@project-ingress/providers"
import { afterEach, describe, expect, it, vi } from "vitest"
import type { RouterEvent } from "../src/router.ts"
import { fake, setup } from "./fakes.ts"

afterEach(() => {
  vi.useRealTimers()
})

const listening = (options: Parameters<typeof setup>[0] = {}) => {
  const events: RouterEvent[] = []
  const made = setup({ ...options, onEvent: (event) => events.push(event) })
  const ask = (host = "misha.iterate.app") => made.router.fetch(new Request(`http://${host}/`))
  const of = (type: RouterEvent["type"]) => events.filter((event) => event.type === type)
  return { ...made, events, ask, of }
}

describe("a request's event", () => {
  it("has the steps that explain shows", async () => {
    const { ask, router, of } = listening()
    await ask()
    const { trace } = await router.explain("misha.iterate.app")
    const [event] = of("request")
    expect(event).toMatchObject({ trace: trace.filter(({ step }) => step !== "provider") })
  })

  it("has the layer and the age of what the store knew", async () => {
    const record = {
      kind: "machine",
      machine: { id: "m", type: "fake", externalId: "m", metadata: {} },
      version: 1,
      epoch: 1,
    } as const
    const store = { get: () => ({ status: "hit", record, layer: "kv", ageMs: 1_200, stale: true }) as const }
    const { ask, of } = listening({ store })
    await ask()
    expect(of("request")[0]).toMatchObject({
      trace: expect.arrayContaining([
        { step: "lookup", outcome: "hit", key: "p:misha", layer: "kv", ageMs: 1_200, stale: true },
      ]),
    })
  })
})

describe("a store that fails", () => {
  it("is an event when it begins to fail and when it works again, not one a request", async () => {
    vi.useFakeTimers({ toFake: ["performance"] })
    let down = true
    const cause = Object.assign(new Error("no database"), { code: "ECONNREFUSED" })
    const get = () => (down ? ({ status: "unknown", cause } as const) : ({ status: "miss" } as const))
    const record = {
      kind: "machine",
      machine: { id: "m", type: "fake", externalId: "m", metadata: {} },
      version: 1,
      epoch: 1,
    } as const
    const store = { get: (key: string) => (key === "p:misha" && !down ? ({ status: "hit", record } as const) : get()) }
    const { ask, of } = listening({ store })
    for (let i = 0; i < 3; i++) await ask()
    expect(of("store")).toEqual([{ type: "store", state: "failing", reason: "ECONNREFUSED" }])
    down = false
    await ask()
    expect(of("store")).toHaveLength(1)
    vi.advanceTimersByTime(5_001)
    await ask()
    await ask()
    expect(of("store").slice(1)).toEqual([{ type: "store", state: "recovered" }])
  })
})

describe("background work", () => {
  it("that fails is an event once per change of state, and so is its recovery", async () => {
    vi.useFakeTimers({ toFake: ["Date"] })
    let failing = true
    const keepAlive: MachineProvider["keepAlive"] = async () => {
      if (failing) throw new Error("no quota")
    }
    const { ask, of } = listening({ providers: [fake({ keepAlive })] })
    const turn = async () => {
      await ask()
      await new Promise((resolve) => setImmediate(resolve))
      vi.setSystemTime(Date.now() + 60_000)
    }
    await turn()
    await turn()
    expect(of("provider")).toMatchObject([{ operation: "keepAlive", state: "failing", provider: "fake" }])
    failing = false
    await turn()
    await turn()
    expect(of("provider").slice(1)).toMatchObject([{ operation: "keepAlive", state: "recovered" }])
  })
})
