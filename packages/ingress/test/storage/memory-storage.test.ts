import { describe, expect, it } from "vitest"
import { memoryStorage } from "../../src/storage/memory-storage.ts"
import { failure } from "../control/fakes.ts"

const grant = (id: string, to = "b") => ({
  kind: "grant" as const,
  id,
  owner: "a",
  to,
  target: { machine: "mach_1" },
  createdAt: 0,
})

describe("memoryStorage", () => {
  it("gives everything first, then what has changed", async () => {
    const storage = memoryStorage()
    expect(await storage.read(0)).toMatchObject({ revision: 0, whole: true, documents: [] })
    expect(await storage.commit({ ifRevision: 0, put: [grant("x"), grant("y")], remove: [] })).toBe(1)
    await storage.commit({ ifRevision: 1, put: [grant("x", "c")], remove: [{ kind: "grant", id: "y" }] })
    expect(await storage.read(1)).toEqual({
      revision: 2,
      whole: false,
      documents: [grant("x", "c")],
      removed: [{ kind: "grant", id: "y" }],
      unreadable: [],
    })
    expect(await storage.read(2)).toMatchObject({ documents: [], removed: [] })
    expect(await storage.read(99)).toMatchObject({ revision: 2, whole: true, documents: [grant("x", "c")] })
  })

  it("writes nothing on another revision", async () => {
    const storage = memoryStorage()
    await storage.commit({ ifRevision: 0, put: [grant("x")], remove: [] })
    const late = storage.commit({ ifRevision: 0, put: [grant("y")], remove: [{ kind: "grant", id: "x" }] })
    expect(await failure(late)).toMatchObject({ _tag: "RevisionConflict", revision: 1 })
    expect((await storage.read(0)).documents).toEqual([grant("x")])
  })

  it("is not changed by changing what was written", async () => {
    const storage = memoryStorage()
    const given = grant("x")
    await storage.commit({ ifRevision: 0, put: [given], remove: [] })
    given.to = "c"
    expect((await storage.read(0)).documents).toEqual([grant("x")])
  })

  it("keeps a note until it is erased", async () => {
    const storage = memoryStorage()
    await storage.mark("x")
    expect(await storage.marked()).toBe("x")
    await storage.mark(undefined)
    expect(await storage.marked()).toBeUndefined()
  })
})
