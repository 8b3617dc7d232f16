import { describe, expect, it } from "vitest"
import { FaultyKv } from "../../src/testing/faulty-kv.ts"

const start = () => {
  const clock = { ms: 0 }
  const kv = new FaultyKv(() => clock.ms)
  return { clock, kv, here: kv.place(), there: kv.place() }
}

describe("the model of KV", () => {
  it("shows a write at once where it was made, and elsewhere after a minute", async () => {
    const { clock, here, there } = start()
    await here.put("a", "1")
    expect([await here.get("a"), await there.get("a")]).toEqual(["1", null])
    clock.ms = 60_000
    expect(await there.get("a")).toBe("1")
  })

  it("keeps for a minute that something was not there", async () => {
    const { clock, kv, here, there } = start()
    kv.delayMs = 1_000
    expect(await there.get("a")).toBe(null)
    await here.put("a", "1")
    clock.ms = 59_999
    expect(await there.get("a")).toBe(null)
    clock.ms = 60_000
    expect(await there.get("a")).toBe("1")
  })

  it("keeps what was read for at least 30 s, and refuses less", async () => {
    const { clock, kv, here, there } = start()
    kv.delayMs = 0
    await here.put("a", "1")
    await there.get("a", { cacheTtl: 30 })
    clock.ms = 1_000
    await here.put("a", "2")
    clock.ms = 29_999
    expect(await there.get("a")).toBe("1")
    clock.ms = 30_000
    expect(await there.get("a")).toBe("2")
    await expect(there.get("a", { cacheTtl: 29 })).rejects.toThrow("400")
  })

  it("takes one write a second for a key, and an expiry of a minute or more", async () => {
    const { clock, here, there } = start()
    await here.put("a", "1")
    await expect(there.put("a", "2")).rejects.toThrow("429")
    await there.put("b", "1", { expirationTtl: 60 })
    clock.ms = 1_000
    await there.delete("a")
    await expect(here.put("c", "1", { expirationTtl: 59 })).rejects.toThrow("400")
    clock.ms = 60_000
    expect([await here.get("a"), await there.get("b")]).toEqual(["1", null])
  })

  it("fails as its fault says", async () => {
    const { clock, kv, here } = start()
    await here.put("a", '{"v":1}')
    for (const [fault, seen] of [
      ["corrupt", "{'v':1}"],
      ["truncated", '{"v'],
    ] as const) {
      kv.fault = fault
      expect(await here.get("a")).toBe(seen)
    }
    kv.fault = "error"
    clock.ms = 2_000
    await expect(here.get("a")).rejects.toThrow("500")
    await expect(here.put("a", "2")).rejects.toThrow("500")
    kv.fault = "hang"
    expect(await Promise.race([here.get("a"), Promise.resolve("no result")])).toBe("no result")
    expect(kv.settled("a")).toBe('{"v":1}')
  })
})
