import { randomBytes } from "node:crypto"
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import type { ProcessIdentity } from "./running-process.ts"

/**
 * A PID file: the number in the first line, as everything that reads such a file expects it, and in the second when the process started.
 * `undefined`: there is none, or it is not readable as one.
 */
export const readPidFile = async (path: string): Promise<ProcessIdentity | undefined> => {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    if ((cause as { readonly code?: unknown }).code === "ENOENT") return ""
    throw cause
  })
  const [number = "", startedAt = ""] = text.split("\n")
  // 1 is the system's first process, and 0 or less would be a group for `kill`.
  return /^[1-9]\d{0,9}$/.test(number) && number !== "1" ? { pid: Number(number), startedAt } : undefined
}

export const writePidFile = async (path: string, { pid, startedAt }: ProcessIdentity): Promise<void> => {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`
  await writeFile(temporary, `${pid}\n${startedAt}\n`, { mode: 0o644, flag: "wx" })
  await rename(temporary, path)
}

export const removePidFile = (path: string): Promise<void> => rm(path, { force: true })
