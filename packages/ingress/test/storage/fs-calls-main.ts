/**
 * Imported before a program (`node --import`): counts its calls that change files, and at each of them does what the environment
 * says. A call that writes counts twice: before it, and with half of it written.
 *
 * - `FS_KILL_AT=7`: ends the process by SIGKILL there. `FS_STOP_AT=7`: stops it, by SIGSTOP.
 * - `FS_SNAPSHOTS=/tmp/x`: copies the folder `FS_FOLDER` to `/tmp/x/7`: what a process that is killed there leaves.
 * - At the end, `FS_SNAPSHOTS/calls.json` has all of them.
 */
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import type * as promises from "node:fs/promises"
import { createRequire, syncBuiltinESMExports } from "node:module"
import { basename } from "node:path"

type Call = (this: unknown, ...args: unknown[]) => unknown
const fs = createRequire(import.meta.url)("node:fs/promises") as Record<string, Call> & typeof promises
const { FS_KILL_AT, FS_STOP_AT, FS_SNAPSHOTS, FS_FOLDER = "" } = process.env

const calls: string[] = []
const count = (call: string, path: unknown): void => {
  if (!String(path).startsWith(FS_FOLDER)) return
  const at = String(calls.length)
  calls.push(`${call} ${String(path) === FS_FOLDER ? "." : basename(String(path))}`)
  if (at === FS_KILL_AT) process.kill(process.pid, "SIGKILL")
  if (at === FS_STOP_AT) process.kill(process.pid, "SIGSTOP")
  if (FS_SNAPSHOTS === undefined) return
  // With hard links as they are.
  execFileSync("cp", ["-a", FS_FOLDER, `${FS_SNAPSHOTS}/${at}`])
  writeFileSync(`${FS_SNAPSHOTS}/calls.json`, JSON.stringify(calls))
}

const paths = new WeakMap<object, unknown>()
const probe = await fs.open("/dev/null")
const handle = Object.getPrototypeOf(probe) as Record<string, Call>
await probe.close()

for (const name of ["mkdir", "rename", "rm", "link", "copyFile"]) {
  const call = fs[name]!
  fs[name] = function (...args) {
    // The new name says more.
    count(name, name === "rename" || name === "link" ? args[1] : args[0])
    return call.apply(this, args)
  }
}
const open = fs.open as unknown as (...args: unknown[]) => Promise<promises.FileHandle>
;(fs as Record<string, Call>)["open"] = async (...args) => {
  if (args[1] !== "r") count("open", args[0])
  const opened = await open(...args)
  paths.set(opened, args[0])
  return opened
}
const { writeFile, sync } = handle as { readonly writeFile: Call; readonly sync: Call }
handle["writeFile"] = async function (data) {
  const path = paths.get(this as object)
  count("write", path)
  const bytes = Buffer.from(data as string)
  const half = Math.floor(bytes.length / 2)
  await writeFile.call(this, bytes.subarray(0, half))
  count("half", path)
  await writeFile.call(this, bytes.subarray(half))
}
handle["sync"] = function () {
  count("sync", paths.get(this as object))
  return sync.call(this)
}
syncBuiltinESMExports()
