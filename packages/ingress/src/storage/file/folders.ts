import { lstat, mkdir } from "node:fs/promises"
import { join } from "node:path"
import { KINDS } from "../checked-commit.ts"
import type { DocumentName } from "../checked-commit.ts"
import type { DocumentKind } from "../ingress-storage.ts"
import { StorageUnusable } from "../storage-errors.ts"

/** The folder of each kind. */
export const FOLDERS: Readonly<Record<DocumentKind, string>> = {
  ingress: "ingresses",
  grant: "grants",
  record: "records",
}

/** `ingresses/abc.json` */
export const fileOf = ({ kind, id }: DocumentName): string => join(FOLDERS[kind], `${id}.json`)

/** `backups/ingresses/abc~1.json`: 1 is the newest. No id has a `~`. */
export const backupOf = ({ kind, id }: DocumentName, age: number): string =>
  join("backups", FOLDERS[kind], `${id}~${age}.json`)

/**
 * Makes what is missing, for this user alone, and looks at what is there.
 *
 * @throws {StorageUnusable} (rejects) for a folder that others may write to
 */
export const makeFolders = async (root: string): Promise<void> => {
  await mkdir(root, { recursive: true, mode: 0o700 })
  const inside = KINDS.flatMap((kind) => [FOLDERS[kind], join("backups", FOLDERS[kind])])
  for (const each of inside) await mkdir(join(root, each), { recursive: true, mode: 0o700 }).catch(unlessThere)
  for (const each of ["", "backups", ...inside]) {
    const path = join(root, each)
    const found = await lstat(path)
    // The root may be a link of the operator's; what is in it may not lead elsewhere.
    const isFolder = found.isDirectory() || (each === "" && found.isSymbolicLink())
    if (!isFolder) throw new StorageUnusable({ path, reason: "is not a folder" })
    if (found.isDirectory() && !isOurs(found.uid))
      throw new StorageUnusable({ path, reason: "belongs to another user" })
    if (found.isDirectory() && (found.mode & 0o002) !== 0) {
      throw new StorageUnusable({ path, reason: "may be written to by everybody" })
    }
  }
}

/** Whether a file's owner is this user or root. Windows has no such numbers. */
export const isOurs = (uid: number): boolean => process.geteuid === undefined || uid === process.geteuid() || uid === 0

/** What is there and no folder is found below. */
const unlessThere = (cause: unknown): void => {
  if (codeOf(cause) !== "EEXIST" && codeOf(cause) !== "ENOTDIR") throw cause
}

/** The code of an error of the file system: `ENOENT`. */
export const codeOf = (cause: unknown): unknown => (cause as { readonly code?: unknown } | null)?.code
