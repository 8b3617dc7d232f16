/** A storage's folder, and what somebody does there by hand. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { vi } from "vitest"

export const makeFolder = () => {
  const root = mkdtempSync(join(tmpdir(), "ingress-storage-"))
  const path = (name: string) => join(root, name)
  return {
    root,
    path,
    read: (name: string) => readFileSync(path(name), "utf8"),
    json: (name: string) => JSON.parse(readFileSync(path(name), "utf8")) as Record<string, unknown>,
    list: (name: string) => readdirSync(path(name)).toSorted(),
    mode: (name: string) => (statSync(path(name)).mode & 0o777).toString(8),
    write: (name: string, content: string | Uint8Array) => {
      mkdirSync(dirname(path(name)), { recursive: true, mode: 0o755 })
      writeFileSync(path(name), content)
    },
    /** As an editor does that writes in place and keeps the time. */
    edit: (name: string, change: (text: string) => string) => {
      const { atime, mtime } = statSync(path(name))
      writeFileSync(path(name), change(readFileSync(path(name), "utf8")))
      utimesSync(path(name), atime, mtime)
    },
    /** From now on a file was written just now, whatever the clock says. */
    isYoung: (name: string) => setClock(statSync(path(name)).ctimeMs),
    /** From now on nothing was written just now. */
    settle: () => setClock(Date.now() + 3_600_000),
    remove: () => {
      vi.useRealTimers()
      rmSync(root, { recursive: true, force: true })
    },
  }
}

const setClock = (now: number): void => void vi.useFakeTimers({ toFake: ["Date"], now })
