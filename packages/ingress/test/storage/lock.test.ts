import { spawnSync } from "node:child_process"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { withLock } from "../../src/storage/file/lock.ts"
import { makeFolder } from "./folder.ts"

let folder: ReturnType<typeof makeFolder>
beforeEach(() => void (folder = makeFolder()))
afterEach(() => folder.remove())

/** Whether another process can have the lock now. */
const isFreeElsewhere = (path: string): boolean => {
  const program = `
    const { DatabaseSync } = require("node:sqlite")
    try { new DatabaseSync(${JSON.stringify(path)}, { timeout: 0 }).exec("begin immediate") }
    catch (cause) { process.exitCode = cause.errcode }`
  const { status } = spawnSync(process.execPath, ["--no-warnings", "--eval", program])
  if (status !== 0 && status !== 5) throw new Error(`ended with ${status}`)
  return status === 0
}

describe("a lock", () => {
  it("is kept from other processes while others of its own process ask for it in vain", async () => {
    const path = folder.path("lock")
    await withLock(path, 0, async () => {
      for (let at = 0; at < 2; at++) {
        await expect(withLock(path, 0, async () => undefined)).rejects.toMatchObject({
          _tag: "StorageLocked",
          waitedMs: 0,
        })
        expect(isFreeElsewhere(path)).toBe(false)
      }
    })
    expect(isFreeElsewhere(path)).toBe(true)
    expect(folder.list(".")).toEqual(["lock"])
    expect(folder.mode("lock")).toBe("600")
  })

  it("is made once by several that are the first", async () => {
    let holders = 0
    await Promise.all(
      Array.from({ length: 5 }, () =>
        withLock(folder.path("lock"), 60_000, async () => {
          holders += 1
          await new Promise((resolve) => setTimeout(resolve, 1))
          expect(holders).toBe(1)
          holders -= 1
        }),
      ),
    )
    expect(folder.list(".")).toEqual(["lock"])
  })

  it("is free after a failure, which is the caller's", async () => {
    const fails = withLock(folder.path("lock"), 0, async () => Promise.reject(new Error("mine")))
    await expect(fails).rejects.toThrow("mine")
    expect(await withLock(folder.path("lock"), 0, async () => "next")).toBe("next")
  })

  it("that is no lock file fails as what it is", async () => {
    folder.write("lock", "x".repeat(1_000))
    await expect(withLock(folder.path("lock"), 0, async () => undefined)).rejects.toThrow("not a database")
  })
})
