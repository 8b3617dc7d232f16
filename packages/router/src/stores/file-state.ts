import { open, readdir, readFile, rename, rm, stat } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { randomId } from "./registry/random-id.ts"
import type { TableState } from "./table/table-state.ts"

export type { TableState }

/** What a process leaves behind that is killed while it saves is removed when it is as old as this, in ms. */
const LEFTOVER_MS = 600_000

/**
 * Keeps a table's image in a file, which only this user may read and write. A process that is killed at any time leaves the image
 * before or the new one, never a part. Several processes may save to one file: the last one counts.
 *
 * ```ts
 * const store = tableStore(registry, { state: fileState("/var/lib/router/routes.packed") })
 * ```
 *
 * The folder must exist. Whoever may write there decides where hostnames lead. `load` and `save` reject with the errors of
 * `node:fs`.
 *
 * @throws {TypeError} for a path that is no string
 */
export const fileState = (path: string): Required<TableState> => {
  if (typeof path !== "string" || path === "") throw new TypeError("fileState: path must be a non-empty string")
  const folder = dirname(path)
  return {
    load: async () => {
      try {
        return await readFile(path)
      } catch (cause) {
        if ((cause as { readonly code?: unknown }).code === "ENOENT") return undefined
        throw cause
      }
    },
    save: async (bytes) => {
      await removeLeftovers(path)
      const written = `${path}.${randomId(8)}.tmp`
      const file = await open(written, "wx", 0o600)
      try {
        await file.writeFile(bytes)
        // Before the name is there: after a crash of the machine an empty file could have it otherwise.
        await file.sync()
        await file.close()
        await rename(written, path)
      } catch (cause) {
        await file.close().catch(() => undefined)
        await rm(written, { force: true })
        throw cause
      }
      await syncFolder(folder)
    },
  }
}

const removeLeftovers = async (path: string): Promise<void> => {
  const folder = dirname(path)
  const begin = `${basename(path)}.`
  for (const name of await readdir(folder)) {
    if (!name.startsWith(begin) || !/^[\da-z]{8,}\.tmp$/.test(name.slice(begin.length))) continue
    const leftover = join(folder, name)
    try {
      if (Date.now() - (await stat(leftover)).mtimeMs > LEFTOVER_MS) await rm(leftover, { force: true })
    } catch {
      // Another process has finished with it.
    }
  }
}

/** Makes the new name itself last. Not every system can. */
const syncFolder = async (folder: string): Promise<void> => {
  try {
    const handle = await open(folder, "r")
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch {
    // The content is on the disk in any case.
  }
}
