import { open, readdir, rename, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { randomId } from "@project-ingress/router/internal"
import { syncFolder } from "../../files/sync-folder.ts"

/** No server takes a file of this name for a zone: CoreDNS's `auto` looks for names with `db.` in them. */
const PREFIX = ".project-ingress-"

/** What a process leaves behind that is killed while it writes is removed when it is as old as this, in ms. */
const LEFTOVER_MS = 600_000

/** Writes a file beside the one that it shall replace, with the same owner and permissions. On the disk when it resolves. */
export const writeBeside = async (path: string, folder: string, text: string): Promise<string> => {
  await removeLeftovers(folder)
  const { mode, uid, gid } = await stat(path)
  const written = join(folder, `${PREFIX}${randomId(8)}.tmp`)
  const file = await open(written, "wx", mode & 0o777)
  try {
    await file.writeFile(text)
    await file.chmod(mode & 0o777)
    // Only root may give files away; for others it is theirs already.
    if (process.getuid?.() === 0) await file.chown(uid, gid)
    await file.sync()
  } catch (cause) {
    await rm(written, { force: true })
    throw cause
  } finally {
    await file.close()
  }
  return written
}

/** Gives a written file its name, so that it lasts. */
export const replaceFile = async (written: string, path: string, folder: string): Promise<void> => {
  await rename(written, path)
  await syncFolder(folder)
}

const removeLeftovers = async (folder: string): Promise<void> => {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(PREFIX) || !name.endsWith(".tmp")) continue
    const leftover = join(folder, name)
    try {
      if (Date.now() - (await stat(leftover)).mtimeMs > LEFTOVER_MS) await rm(leftover, { force: true })
    } catch {
      // Another process has finished with it.
    }
  }
}
