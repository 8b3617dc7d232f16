import { makeSharedLoads, monotonicNow, within } from "@project-ingress/router/internal"
import type { IngressStorage, StorageCommit } from "../storage/ingress-storage.ts"
import { askStorage } from "./ask-storage.ts"
import { makeIngressTable } from "./ingress-table.ts"
import type { IngressTable } from "./ingress-table.ts"
import type { IngressEvent } from "./ingresses.ts"

/** How long a look-up waits for a read, in ms, where there is something to go on with. */
const MAX_WAIT_MS = 1_000

/** A table that follows a storage. */
export interface SyncedTable extends IngressTable {
  /** Reads what has changed. Rejects where that fails. */
  readonly refresh: () => Promise<void>
  /**
   * Sees to it that the table is no older than `pollMs`. False where nothing was read yet, and reading fails; where it was, the table
   * stays as it is. Undefined: it is fresh, and nothing has to be awaited.
   */
  readonly fresh: (waitUntil?: (work: Promise<unknown>) => void) => Promise<boolean> | undefined
  readonly commit: (commit: StorageCommit) => Promise<void>
  /** How long ago the storage was last read, in ms, and whether the last attempt failed. */
  readonly age: () => { readonly ageMs: number; readonly isFailing: boolean }
}

export const makeSyncedTable = (options: {
  readonly storage: IngressStorage
  readonly pollMs: number
  readonly timeoutMs: number
  readonly onEvent: (event: IngressEvent) => void
}): SyncedTable => {
  const { storage, pollMs, timeoutMs, onEvent } = options
  const table = makeIngressTable()
  const loads = makeSharedLoads<boolean>()
  let readAt: number | undefined
  let attemptedAt = -Infinity
  let isFailing = false
  let reported = new Set<string>()

  const read = async (): Promise<void> => {
    const began = monotonicNow()
    attemptedAt = began
    try {
      const since = table.revision()
      const changes = await askStorage(timeoutMs, () => storage.read(since))
      // Behind what it gave before: restored from a backup, or another storage altogether.
      if (changes.revision < since && table.revision() === since) {
        table.update(changes.whole ? changes : await askStorage(timeoutMs, () => storage.read(0)), true)
      } else table.update(changes)
      readAt = Math.max(readAt ?? -Infinity, began)
      isFailing = false
    } catch (cause) {
      isFailing = true
      throw cause
    }
    const seen = new Set<string>()
    for (const document of table.unreadable()) {
      const name = JSON.stringify([document.kind, document.id, document.reason])
      seen.add(name)
      if (!reported.has(name)) onEvent({ type: "unreadable", document })
    }
    reported = seen
  }

  /** Never rejects. */
  const attempt = (): Promise<boolean> =>
    read().then(
      () => true,
      (cause: unknown) => {
        onEvent({ type: "error", during: "read", cause })
        return readAt !== undefined
      },
    )

  return {
    ...table,
    refresh: read,
    fresh: (waitUntil) => {
      const now = monotonicNow()
      if (readAt === undefined) return loads.join("", attempt, waitUntil)
      // Half-way through, so that where there is traffic nobody waits.
      if (now - Math.max(attemptedAt, readAt) <= pollMs / 2) return undefined
      const load = loads.join("", attempt, waitUntil)
      // A storage that is down holds up nobody.
      if (isFailing || now - readAt <= pollMs) return undefined
      return within(MAX_WAIT_MS, () => load).catch(() => {
        isFailing = true
        return true
      })
    },
    commit: async (commit) => {
      const revision = await askStorage(timeoutMs, () => storage.commit(commit))
      table.committed(commit, revision)
    },
    age: () => ({ ageMs: readAt === undefined ? Infinity : Math.max(0, monotonicNow() - readAt), isFailing }),
  }
}
