import { rm } from "node:fs/promises"
import { join, resolve } from "node:path"
import { accept, checkOptions, turns } from "@project-ingress/router/internal"
import { checkedCommit } from "../checked-commit.ts"
import type { Decoded } from "../decode-document.ts"
import { documentTable } from "../document-table.ts"
import { RevisionConflict } from "../ingress-storage.ts"
import type { NotedStorage } from "../memory-storage.ts"
import { oneByOne } from "../one-by-one.ts"
import { checkNote } from "../check-note.ts"
import { DocumentRefused, StorageUnusable } from "../storage-errors.ts"
import { decodeFile, documentFiles } from "./document-files.ts"
import type { ChangedFile } from "./document-files.ts"
import { makeFolders } from "./folders.ts"
import { finishJournal, readJournal, readRevision, writeJournal, writeRevision } from "./journal.ts"
import { withLock } from "./lock.ts"
import { textFile } from "./text-file.ts"
import { syncFolder } from "../../files/sync-folder.ts"

export type { NotedStorage }

/** Options of {@link fileStorage}. */
export interface FileStorageOptions {
  /** How many former versions of each file are kept in `backups/`, 0 to 100. Default 3. */
  readonly backups?: number
  /** How long a call waits while another process writes, in ms, 0 to 600 000. Default 10 000. */
  readonly lockTimeoutMs?: number
}

/**
 * A storage in a folder: `ingresses/{id}.json`, `grants/{id}.json` and `records/{id}.json`, which only this user may read and write.
 * Several processes may use one folder, and people may edit its files.
 *
 * ```ts
 * const storage = fileStorage("/var/lib/my-platform")
 * ```
 *
 * A commit is written whole or not at all, however the process ends. A file that cannot be read is reported, and never overwritten.
 * Calls reject with {@link RevisionConflict}, the errors of `StorageError`, and those of `node:fs`.
 *
 * @throws {TypeError} for a folder that is no path, and an option that is unknown or not valid
 */
export const fileStorage = (folder: string, options: FileStorageOptions = {}): NotedStorage => {
  if (typeof folder !== "string" || folder === "" || folder.includes("\0")) {
    throw new TypeError("fileStorage: folder must be a path")
  }
  checkOptions("fileStorage", options, { backups: accept.integer(0, 100), lockTimeoutMs: accept.integer(0, 600_000) })
  const { backups = 3, lockTimeoutMs = 10_000 } = options
  // Now: the process may change its folder later.
  const root = resolve(folder)
  const files = documentFiles(root)
  const table = documentTable()
  const inTurn = oneByOne()
  const note = textFile(join(root, "applying"))
  let isLoaded = false
  let hasRead = false

  /** Alone, with everything finished that was begun, and known. */
  const alone = async <A>(isPatient: boolean, run: () => Promise<A>): Promise<A> => {
    // Once: a folder that is gone later is a disk that is gone, and not the end of all ingresses.
    if (!isLoaded) await makeFolders(root)
    return withLock(join(root, "lock"), lockTimeoutMs, async () => {
      const begun = await readJournal(root)
      if (begun !== undefined) await finishJournal(root, begun, backups)
      await refresh(isPatient)
      return run()
    })
  }

  /** `isPatient`: what somebody seems to be writing just now counts as it was, until it is ready. */
  const refresh = async (isPatient: boolean): Promise<void> => {
    const stored = await readRevision(root)
    if (isLoaded && stored === undefined && table.revision() > 0) {
      throw new StorageUnusable({ path: join(root, "revision"), reason: "is gone, and perhaps the whole folder" })
    }
    const changed: (ChangedFile & { readonly decoded: Decoded | undefined })[] = []
    const turn = turns()
    for (const each of await files.look(true)) {
      if (turn.isOver()) await turn.next()
      const decoded = await decodeFile(each)
      const isHalf = each.content !== undefined && each.content.stamp === undefined && decoded?.reason !== undefined
      if (isPatient && isHalf && table.get(each)?.document !== undefined) continue
      changed.push({ ...each, decoded })
    }
    // Another process has raised the revision for what it has changed, or seen changed. What has changed without is somebody's edit.
    const isEdited = isLoaded
      ? (stored ?? 0) < table.revision() || (stored === table.revision() && changed.length > 0)
      : stored === undefined && changed.length > 0
    const revision = isEdited ? Math.max(stored ?? 0, table.revision()) + 1 : (stored ?? 0)
    if (isEdited) await writeRevision(root, revision)
    if (!isLoaded) table.begin(revision)
    table.apply(revision, changed)
    for (const each of changed) files.know(each, each.content)
    isLoaded = true
  }

  /** Whether there is nothing new, without the lock: a commit that is under way meanwhile comes afterwards. */
  const isUnchanged = async (): Promise<boolean> =>
    isLoaded &&
    (await readJournal(root)) === undefined &&
    (await readRevision(root)) === table.revision() &&
    (await files.look(false)).length === 0

  return {
    read: (since) =>
      inTurn(async () => {
        if (!(await isUnchanged())) await alone(true, async () => undefined)
        // The first one is of everything: nobody has raised the revision for edits while there was no process to see them.
        const begin = hasRead ? since : 0
        hasRead = true
        return table.since(begin)
      }),

    commit: async (commit) => {
      const checked = await checkedCommit(commit, 2)
      return inTurn(() =>
        alone(false, async () => {
          if (table.revision() !== commit.ifRevision) throw new RevisionConflict({ revision: table.revision() })
          for (const { kind, id } of [...checked.put, ...checked.remove]) {
            const reason = table.get({ kind, id })?.reason
            if (reason === undefined) continue
            throw new DocumentRefused({ kind, id, reason: `is stored and cannot be read, so it is left: ${reason}` })
          }
          const revision = table.revision() + 1
          const journal = await writeJournal(root, revision, checked)
          // Looked at once more at the next read: somebody may have edited them since they were written.
          for (const { kind, id, text } of checked.put)
            files.know({ kind, id }, { text: `${text}\n`, stamp: undefined })
          for (const name of checked.remove) files.know(name, undefined)
          table.apply(revision, [
            ...checked.put.map(({ kind, id, document }) => ({ kind, id, decoded: { document } })),
            ...checked.remove.map(({ kind, id }) => ({ kind, id, decoded: undefined })),
          ])
          // It is decided, and on the disk. What could not be finished now is by whoever comes next, or they fail.
          await finishJournal(root, journal, backups).catch(() => undefined)
          return revision
        }),
      )
    },

    mark: async (next) => {
      if (next !== undefined) checkNote(next)
      await inTurn(async () => {
        await makeFolders(root)
        if (next !== undefined) return note.save(next)
        await rm(join(root, "applying"), { force: true })
        await syncFolder(root)
      })
    },
    marked: () => inTurn(note.load),
  }
}
