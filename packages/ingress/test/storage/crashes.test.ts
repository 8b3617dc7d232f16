/** A process is killed at every step of a commit, and the next one finds all of it or nothing. */
import { execFileSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { everything } from "../../../../test/requirements.ts"
import { fileStorage } from "../../src/storage/file/file-storage.ts"
import { aGrant, anIngress, aRecord } from "../../src/testing/storage/sample-documents.ts"
import { commit, follower, stored } from "../../src/testing/storage/storage-law.ts"
import { startOther } from "./other-process.ts"

const api = await anIngress("api")
const changed = await anIngress("api", { name: "changed" }, { version: 2 })
const before = [aGrant("g"), api, aRecord("gone")]
const change = { put: [changed, aRecord("new")], remove: [{ kind: "record", id: "gone" } as const] }
const after = [aGrant("g"), changed, aRecord("new")]

let root: string
/** What was there before the commit. */
let old: string
/** A copy for each call of the commit that changes files. */
let snapshots: string
let calls: readonly string[]
/** The steps at which one is killed whose successor is killed, too. */
let repaired: readonly number[]

const copyOf = (folder: string): string => {
  const copy = mkdtempSync(join(root, "copy-"))
  cpSync(folder, copy, { recursive: true })
  return copy
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "ingress-crashes-"))
  old = join(root, "old")
  await commit(fileStorage(old), before)
  snapshots = join(root, "snapshots")
  mkdirSync(snapshots)
  const { code, output } = await startOther(copyOf(old), change, { FS_SNAPSHOTS: snapshots }).ended
  if (code !== 0 || output !== "") throw new Error(output)
  calls = JSON.parse(readFileSync(join(snapshots, "calls.json"), "utf8")) as readonly string[]
  const decided = calls.indexOf("rename journal.json") + 1
  repaired = everything ? [decided, calls.indexOf("rename new.json")] : [calls.indexOf("rename new.json")]
  // With hard links as they are.
  for (const step of repaired) execFileSync("cp", ["-a", join(snapshots, `${step}`), join(root, `begun-${step}`)])
})
afterAll(() => rmSync(root, { recursive: true }))

/** Reads as a new process, commits again, and looks whether anything was left behind. */
const whatIsLeft = async (folder: string): Promise<"before" | "after"> => {
  const storage = fileStorage(folder)
  const reader = follower(storage)
  const documents = await reader.next()
  const isAfter = JSON.stringify(documents) === JSON.stringify(after)
  expect(documents).toEqual(isAfter ? after : before)
  expect(reader.revision()).toBe(isAfter ? 2 : 1)
  await storage.commit({ ifRevision: reader.revision(), put: [aGrant("next")], remove: [] })
  expect(await stored(fileStorage(folder))).toEqual([aGrant("g"), aGrant("next"), ...documents.slice(1)])
  const files = ["ingresses", "grants", "records"].flatMap((each) => readdirSync(join(folder, each)))
  expect(files.filter((name) => !name.endsWith(".json"))).toEqual([])
  expect(existsSync(join(folder, "journal.json"))).toBe(false)
  const backup = (name: string) => JSON.parse(readFileSync(join(folder, "backups", name), "utf8")) as unknown
  if (isAfter) {
    expect(backup("ingresses/api~1.json")).toMatchObject({ name: "my-api" })
    expect(backup("records/gone~1.json")).toMatchObject({ id: "gone" })
    expect(readdirSync(join(folder, "backups/ingresses"))).toEqual(["api~1.json"])
  }
  return isAfter ? "after" : "before"
}

describe("a process that is killed", () => {
  it("at any call of a commit leaves what was there, or all of the commit", async () => {
    const found: string[] = []
    for (const at of calls.keys()) found.push(await whatIsLeft(join(snapshots, `${at}`)))
    // Decided once: from the moment that the journal has its name.
    const decided = calls.indexOf("rename journal.json") + 1
    expect(found).toEqual(calls.map((_, at) => (at < decided ? "before" : "after")))
    expect(calls.length).toBeGreaterThan(30)
  })

  it("while it repairs what another has left, leaves it to be repaired", async () => {
    // When half of it is done; with pnpm test:all, when nothing is, too.
    for (const step of repaired) {
      const again = join(root, `again-${step}`)
      mkdirSync(again)
      const { code, output } = await startOther(join(root, `begun-${step}`), undefined, { FS_SNAPSHOTS: again }).ended
      expect([code, output]).toEqual([0, ""])
      const repairs = JSON.parse(readFileSync(join(again, "calls.json"), "utf8")) as readonly string[]
      for (const at of repairs.keys()) expect(await whatIsLeft(join(again, `${at}`))).toBe("after")
    }
  })

  it("in earnest, leaves its lock to the next one", async () => {
    // Each costs a process: all of them with pnpm test:all.
    const some = [...calls.keys()].filter((at) => everything || at % 16 === 5)
    for (const at of some) {
      const folder = copyOf(old)
      const { signal, output } = await startOther(folder, change, { FS_KILL_AT: `${at}` }).ended
      expect([signal, output]).toEqual(["SIGKILL", ""])
      await whatIsLeft(folder)
    }
  })
})

describe("a commit", () => {
  it("syncs each new file before it has its name, all before the journal, and the folders before the journal goes", () => {
    const at = (call: string) => calls.indexOf(call)
    const renamed = calls.filter((call) => call.startsWith("rename ") && !call.includes("~"))
    expect(renamed.toSorted()).toEqual(["rename api.json", "rename journal.json", "rename new.json", "rename revision"])
    const isTemporary = (call: string, verb: string) => call.startsWith(`${verb} .`) && call.endsWith(".tmp")
    const written = calls.filter((call) => isTemporary(call, "write")).map((call) => call.slice("write ".length))
    expect(written).toHaveLength(2)
    for (const name of written) {
      expect(at(`sync ${name}`)).toBeGreaterThan(at(`half ${name}`))
      expect(at(`sync ${name}`)).toBeLessThan(at("rename journal.json"))
    }
    for (const folder of ["ingresses", "records"]) {
      expect(at(`sync ${folder}`)).toBeLessThan(at("rename journal.json"))
      expect(calls.lastIndexOf(`sync ${folder}`)).toBeGreaterThan(at("rename new.json"))
      expect(calls.lastIndexOf(`sync ${folder}`)).toBeLessThan(calls.lastIndexOf("rm journal.json"))
    }
    const journal = calls.findIndex((call) => /^sync journal\.json\.\w+\.tmp$/.test(call))
    expect(journal).toBeGreaterThan(-1)
    expect(journal).toBeLessThan(at("rename journal.json"))
    expect(at("sync .")).toBeLessThan(at("rename api.json"))
  })

  it("waits for a process that has the lock and does nothing, and has its turn when that is killed", async () => {
    const folder = copyOf(old)
    const stopAt = calls.indexOf("rename journal.json")
    const { child, ended } = startOther(folder, change, { FS_STOP_AT: `${stopAt}` })
    await expect.poll(() => readFileSync(`/proc/${child.pid}/stat`, "latin1")).toMatch(/\) T /)
    const impatient = fileStorage(folder, { lockTimeoutMs: 50 })
    await expect(impatient.read(0)).rejects.toMatchObject({ _tag: "StorageLocked", waitedMs: 50 })
    await expect(commit(impatient, [])).rejects.toMatchObject({ _tag: "StorageLocked" })
    const patient = stored(fileStorage(folder, { lockTimeoutMs: 60_000 }))
    await pause(50)
    child.kill("SIGKILL")
    expect(await patient).toEqual(before)
    expect((await ended).signal).toBe("SIGKILL")
    expect(await whatIsLeft(folder)).toBe("before")
  })

  it("of a process that goes on is seen by one that has waited", async () => {
    const folder = copyOf(old)
    const { child, ended } = startOther(folder, change, { FS_STOP_AT: `${calls.indexOf("rename api.json")}` })
    await expect.poll(() => readFileSync(`/proc/${child.pid}/stat`, "latin1")).toMatch(/\) T /)
    const waiting = stored(fileStorage(folder, { lockTimeoutMs: 60_000 }))
    child.kill("SIGCONT")
    expect(await waiting).toEqual(after)
    expect(await ended).toMatchObject({ code: 0, output: "" })
  })
})
