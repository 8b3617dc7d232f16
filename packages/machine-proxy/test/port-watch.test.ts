import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { portWatch } from "../src/port-watch.ts"
import type { PortQuery } from "../src/port-watch.ts"

const app = { port: 5173, process: "node" }
const waitMs = (ms: number): PortQuery => ({ waitMs: ms, since: undefined, onLeft: () => undefined })

/** A watch over a list that a test changes, and when it was looked at. */
const start = (ports: (typeof app)[] = []) => {
  const at: number[] = []
  const watch = portWatch(async () => {
    at.push(performance.now())
    await sleep(1)
    return [...ports]
  })
  return { watch, at, ports }
}

describe("a port watch", () => {
  it("looks once for all who ask at a time", async () => {
    const { watch, at } = start()
    await Promise.all(Array.from({ length: 500 }, () => watch.list(waitMs(0))))
    await watch.list(waitMs(0))
    expect(at).toHaveLength(1)
  })

  it("looks once a second for all who wait, and then no more", async () => {
    const { watch, at } = start()
    await Promise.all(Array.from({ length: 50 }, () => watch.list(waitMs(2_500))))
    const seen = at.length
    expect(seen).toBeLessThanOrEqual(3)
    for (let i = 1; i < seen; i++) expect(at[i]! - at[i - 1]!).toBeGreaterThan(990)
    await sleep(1_500)
    expect(at).toHaveLength(seen)
  })

  it("tells those who wait of a change, under another version", async () => {
    const { watch, ports } = start()
    const before = await watch.list(waitMs(0))
    const waiting = watch.list(waitMs(30_000))
    ports.push(app)
    const after = await waiting
    expect([before.ports, after.ports]).toEqual([[], [app]])
    expect(after.version).not.toBe(before.version)
    // Whoever knows another version waits no longer.
    expect(await watch.list({ ...waitMs(30_000), since: before.version })).toBe(after)
  })

  it("lets 64 wait, and gives whoever comes then the list at once", async () => {
    const { watch } = start()
    await watch.list(waitMs(0))
    let waiting = 0
    for (let i = 0; i < 64; i++) {
      waiting++
      void watch.list(waitMs(30_000)).then(() => waiting--)
    }
    await sleep(10)
    await watch.list(waitMs(30_000))
    expect(waiting).toBe(64)
    watch.end()
    await expect.poll(() => waiting).toBe(0)
    // It has ended.
    await watch.list(waitMs(30_000))
  })

  it("forgets whoever leaves", async () => {
    const { watch, at } = start()
    let leave = () => {}
    const left = watch.list({ waitMs: 30_000, since: undefined, onLeft: (listener) => (leave = listener) })
    await sleep(20)
    leave()
    await left
    await sleep(1_200)
    expect(at).toHaveLength(1)
  })

  it("tells of a scan that fails, and looks again", async () => {
    let fails = true
    const watch = portWatch(async () => {
      if (fails) throw new Error("unreadable")
      return [app]
    })
    await expect(watch.list(waitMs(0))).rejects.toThrow("unreadable")
    fails = false
    expect((await watch.list(waitMs(0))).ports).toEqual([app])
  })
})
