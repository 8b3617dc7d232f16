/** Another process that reads and commits, and ends when and where a test wants. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { StorageCommit } from "../../src/ingress.ts"

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** `at`: the environment of `fs-calls-main.ts`. Without `commit` it reads. */
export const startOther = (
  folder: string,
  commit?: Omit<StorageCommit, "ifRevision">,
  at: Readonly<Record<string, string>> = {},
) => {
  const main = [file("commit-main.ts"), folder, ...(commit === undefined ? [] : [JSON.stringify(commit)])]
  const child = spawn(
    process.execPath,
    ["--conditions=@project-ingress/source", "--import", file("fs-calls-main.ts"), ...main],
    { env: { ...process.env, FS_FOLDER: folder, ...at }, stdio: ["ignore", "ignore", "pipe"] },
  )
  let output = ""
  child.stderr.on("data", (data: Buffer) => (output += data.toString()))
  const ended = once(child, "close").then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as string | null,
    output,
  }))
  return { child, ended }
}
