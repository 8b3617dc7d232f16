import { open } from "node:fs/promises"

/** Makes new and removed names in a folder last. Not every system can; there they are lost no later than by its own rules. */
export const syncFolder = async (path: string): Promise<void> => {
  try {
    const handle = await open(path, "r")
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch {
    // The content of a file is on the disk in any case: whoever wrote it synced it.
  }
}
