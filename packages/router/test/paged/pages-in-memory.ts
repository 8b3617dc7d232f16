import type { PageStorage } from "../../src/stores/paged.ts"

/** Pages in this process, of which each call can be made to fail. */
export interface MemoryPages extends PageStorage {
  readonly stored: Map<string, Uint8Array>
  /** Names in the order of their reads and writes. */
  readonly reads: string[]
  readonly writes: string[]
  /** What happens instead of the next calls; `undefined`: nothing. */
  fault: ((call: "read" | "write" | "remove", name: string) => Promise<void> | void) | undefined
}

export const memoryPages = (): MemoryPages => {
  const stored = new Map<string, Uint8Array>()
  const pages: MemoryPages = {
    stored,
    reads: [],
    writes: [],
    fault: undefined,
    read: async (name) => {
      pages.reads.push(name)
      await pages.fault?.("read", name)
      return stored.get(name)
    },
    write: async (name, bytes) => {
      pages.writes.push(name)
      await pages.fault?.("write", name)
      stored.set(name, bytes)
    },
    remove: async (name) => {
      await pages.fault?.("remove", name)
      stored.delete(name)
    },
  }
  return pages
}
