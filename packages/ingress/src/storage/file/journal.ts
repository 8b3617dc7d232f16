import { link, lstat, copyFile, open, rename, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import { randomId } from "@project-ingress/router/internal"
import { isDocumentId, KINDS } from "../checked-commit.ts"
import type { CheckedCommit, DocumentName } from "../checked-commit.ts"
import { StorageUnusable } from "../storage-errors.ts"
import { WRITTEN } from "./document-files.ts"
import { backupOf, codeOf, fileOf, FOLDERS } from "./folders.ts"
import { textFile } from "./text-file.ts"
import { syncFolder } from "../../files/sync-folder.ts"

/**
 * A commit that is decided: from when this file is there, whoever has the lock finishes what it says, as often as it takes. What it
 * puts is on the disk before, in files that only have to be renamed.
 */
export interface Journal {
  readonly revision: number
  /** `written`: the name of the new file in the folder of its kind. */
  readonly put: readonly (DocumentName & { readonly written: string })[]
  readonly remove: readonly DocumentName[]
}

const journalFile = (root: string) => join(root, "journal.json")

/** Writes everything that a commit puts, and then the journal: the moment that decides. Leaves nothing where it fails. */
export const writeJournal = async (root: string, revision: number, commit: CheckedCommit): Promise<Journal> => {
  const put = commit.put.map(({ kind, id, text }) => ({ kind, id, text, written: `.${randomId(12)}.tmp` }))
  try {
    // A disk syncs many at once faster than one after the other.
    for (let at = 0; at < put.length; at += 16) {
      const some = put.slice(at, at + 16)
      await Promise.all(some.map(({ kind, text, written }) => writeNew(join(root, FOLDERS[kind], written), text)))
    }
    await syncFolders(root, put.map(fileOf))
    const journal = {
      revision,
      put: put.map(({ kind, id, written }) => ({ kind, id, written })),
      remove: commit.remove,
    }
    await textFile(journalFile(root)).save(JSON.stringify(journal))
    return journal
  } catch (cause) {
    // The journal first: with it, what it says is done.
    await rm(journalFile(root), { force: true })
    for (const { kind, written } of put) await rm(join(root, FOLDERS[kind], written), { force: true })
    throw cause
  }
}

const writeNew = async (path: string, text: string): Promise<void> => {
  const file = await open(path, "wx", 0o600)
  try {
    await file.writeFile(`${text}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** The journal of a commit that is not finished. @throws {StorageUnusable} (rejects) if it is not what {@link writeJournal} writes */
export const readJournal = async (root: string): Promise<Journal | undefined> => {
  const text = await textFile(journalFile(root)).load()
  if (text === undefined) return undefined
  try {
    const journal = JSON.parse(text) as Journal
    const isSound =
      Number.isSafeInteger(journal.revision) &&
      journal.put.every((put) => isName(put) && WRITTEN.test(put.written)) &&
      journal.remove.every(isName)
    if (isSound) return journal
  } catch {
    // Said below, without what is in it.
  }
  throw new StorageUnusable({ path: journalFile(root), reason: "is not a journal of this storage: move it away" })
}

const isName = ({ kind, id }: DocumentName): boolean => KINDS.includes(kind) && isDocumentId(id)

/** Does what a journal says, or what is left of it, and removes it. `backups`: how many former versions of a file are kept. */
export const finishJournal = async (
  root: string,
  { revision, put, remove }: Journal,
  backups: number,
): Promise<void> => {
  for (const each of put) {
    const written = join(root, FOLDERS[each.kind], each.written)
    // Renamed already by a process that was killed later.
    if (!(await isThere(written))) continue
    await keepBackup(root, each, backups)
    await rename(written, join(root, fileOf(each)))
  }
  for (const each of remove) {
    await keepBackup(root, each, backups)
    await rm(join(root, fileOf(each)), { force: true })
  }
  const names = [...put, ...remove]
  await syncFolders(root, [...names.map(fileOf), ...(backups > 0 ? names.map((name) => backupOf(name, 1)) : [])])
  if (((await readRevision(root)) ?? 0) < revision) await writeRevision(root, revision)
  await rm(journalFile(root))
  await syncFolder(root)
}

/** Keeps the file that is about to be replaced or removed. Done twice, it keeps it once. */
const keepBackup = async (root: string, name: DocumentName, backups: number): Promise<void> => {
  const current = join(root, fileOf(name))
  const [now, newest] = await Promise.all([statOf(current), statOf(join(root, backupOf(name, 1)))])
  if (backups === 0 || now === undefined || now.ino === newest?.ino) return
  // Only if there is a newest one: else a process was killed after it had moved them.
  for (let age = newest === undefined ? 0 : backups - 1; age > 0; age--) {
    await rename(join(root, backupOf(name, age)), join(root, backupOf(name, age + 1))).catch(unlessMissing)
  }
  const path = join(root, backupOf(name, 1))
  // A second name of the same file costs no copy. Not every file system has that, and not for every owner.
  await rm(path, { force: true })
  await link(current, path).catch(() => copyFile(current, path))
}

/** The revision that is stored. @throws {StorageUnusable} (rejects) if its file has no number */
export const readRevision = async (root: string): Promise<number | undefined> => {
  const path = join(root, "revision")
  const text = await textFile(path).load()
  if (text === undefined) return undefined
  const revision = Number(text)
  if (/^\d{1,16}\n?$/.test(text) && Number.isSafeInteger(revision)) return revision
  throw new StorageUnusable({ path, reason: "is not a number: remove it" })
}

export const writeRevision = async (root: string, revision: number): Promise<void> =>
  textFile(join(root, "revision")).save(`${revision}\n`)

const syncFolders = async (root: string, files: readonly string[]): Promise<void> => {
  for (const folder of new Set(files.map(dirname))) await syncFolder(join(root, folder))
}

const statOf = async (path: string) => lstat(path).catch(unlessMissing)

const isThere = async (path: string): Promise<boolean> => (await statOf(path)) !== undefined

const unlessMissing = (cause: unknown): undefined => {
  if (codeOf(cause) !== "ENOENT") throw cause
  return undefined
}
