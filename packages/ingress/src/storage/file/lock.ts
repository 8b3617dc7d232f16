import { link, lstat, open, rm } from "node:fs/promises"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as pause } from "node:timers/promises"
import { randomId } from "@project-ingress/router/internal"
import { StorageLocked } from "../storage-errors.ts"

/** SQLITE_BUSY, the lower byte of a code. */
const BUSY = 5

/**
 * Runs something while no other process, and nothing else in this one, holds the lock of that file.
 *
 * It is the operating system's lock, taken by SQLite on an empty database: Node has no other way to one. It ends with the process
 * that has it, however that ends, and is nobody else's to take: no process ids, which mean something else in another container, and
 * no guesses by age.
 *
 * @throws {StorageLocked} (rejects) if it is not free within `timeoutMs`
 */
export const withLock = async <A>(path: string, timeoutMs: number, run: () => Promise<A>): Promise<A> => {
  await makeFile(path)
  const held = await locked(path, timeoutMs)
  try {
    return await run()
  } finally {
    held.close()
  }
}

/**
 * Makes the file for this user alone; nothing is ever written to it. Under another name first: a process that closes any descriptor of
 * a file ends all of its locks of it (POSIX), so that none but SQLite may have one of this file.
 */
const makeFile = async (path: string): Promise<void> => {
  if ((await lstat(path).catch(() => undefined)) !== undefined) return
  const made = `${path}.${randomId(12)}.tmp`
  await (await open(made, "wx", 0o600)).close()
  // It may be there by now. Where there are no links, SQLite makes it.
  await link(made, path).catch(() => undefined)
  await rm(made)
}

const locked = async (path: string, timeoutMs: number): Promise<DatabaseSync> => {
  const end = performance.now() + timeoutMs
  for (;;) {
    // 0: SQLite would hold up the event loop while it waits.
    const database = new DatabaseSync(path, { timeout: 0 })
    try {
      database.exec("begin immediate")
      return database
    } catch (cause) {
      database.close()
      if ((Number((cause as { readonly errcode?: unknown }).errcode) & 0xff) !== BUSY) throw cause
    }
    if (performance.now() >= end) throw new StorageLocked({ waitedMs: timeoutMs })
    await pause(2 + Math.random() * 10)
  }
}
