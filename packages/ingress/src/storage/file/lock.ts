import { open } from "node:fs/promises"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as pause } from "node:timers/promises"
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
  // Made here for its mode; what is in it is never written.
  await (await open(path, "a", 0o600)).close()
  const held = await locked(path, timeoutMs)
  try {
    return await run()
  } finally {
    held.close()
  }
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
