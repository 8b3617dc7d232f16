import type { VerificationKey } from "@project-ingress/forward"
import type { EngineEvent } from "@project-ingress/forward/sockets"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { get, startApp, startProxy, verification } from "./harness.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] })
})
afterEach(() => {
  vi.useRealTimers()
})

const bad = { ...verification, x: "A".repeat(43) }

describe("keys that a function returns and that are invalid", () => {
  it("are an event that names the key and shows nothing of it, once a minute at most", async () => {
    await using app = await startApp()
    const events: EngineEvent[] = []
    let keys: readonly VerificationKey[] = [verification]
    await using proxy = await startProxy({ keys: () => keys, onEvent: (event) => events.push(event) })
    const reasons = () => events.flatMap((event) => (event.type === "error" ? [event.reason] : []))
    expect((await get(proxy.port, app.port)).status).toBe(200)
    expect(reasons()).toEqual([])
    for (const wrong of [[bad], [bad], [verification, verification]]) {
      keys = wrong
      await get(proxy.port, app.port)
    }
    expect(reasons()).toEqual([
      expect.stringMatching(/^keys\(\)\[0\]: x of an EdDSA key must be a public key.*\(kid "k1"\)$/),
    ])
    vi.advanceTimersByTime(60_000)
    keys = [verification, verification]
    expect((await get(proxy.port, app.port)).status).toBe(200)
    expect(reasons()[1]).toBe(`keys()[1]: an earlier key has the same kid (kid "k1")`)
    expect(JSON.stringify(events)).not.toContain(bad.x)
  })
})
