import { lstatSync, readdirSync } from "node:fs"
import { rm } from "node:fs/promises"
import { join } from "node:path"
import { turns } from "@project-ingress/router/internal"
import { isDocumentId, keyOf, KINDS } from "../checked-commit.ts"
import type { DocumentName } from "../checked-commit.ts"
import { decodeDocument } from "../decode-document.ts"
import type { Decoded } from "../decode-document.ts"
import { printable } from "../storage-errors.ts"
import { FOLDERS } from "./folders.ts"
import { readDocumentFile, stampOf } from "./read-file.ts"
import type { FileContent } from "./read-file.ts"

/** A file that is not what it was at the last look; `content` is `undefined` where it is gone. */
export interface ChangedFile extends DocumentName {
  readonly content: FileContent | undefined
}

/** A file as it was read last. */
interface KnownFile extends DocumentName {
  readonly text: string | undefined
  readonly reason: string | undefined
  stamp: string | undefined
}

/** A new file before it has its name: an id never begins with a dot. */
export const WRITTEN = /^\.[\da-z]{12}\.tmp$/

/** The files of documents in a folder, and what was in them when they were looked at last. */
export interface DocumentFiles {
  /** What differs. With `isAlone`, which says that no other process writes: what killed processes left is removed. */
  readonly look: (isAlone: boolean) => Promise<readonly ChangedFile[]>
  /** Takes a file's content as known. `stamp` is left out where it is looked at once more. */
  readonly know: (name: DocumentName, content: FileContent | undefined) => void
}

export const documentFiles = (root: string): DocumentFiles => {
  const known = new Map<string, KnownFile>()
  return {
    know: ({ kind, id }, content) => {
      const key = keyOf({ kind, id })
      if (content === undefined) known.delete(key)
      else known.set(key, { kind, id, text: content.text, reason: content.reason, stamp: content.stamp })
    },
    look: async (isAlone) => {
      const turn = turns()
      const changed: ChangedFile[] = []
      const seen = new Set<string>()
      for (const kind of KINDS) {
        const folder = join(root, FOLDERS[kind])
        for (const name of readdirSync(folder)) {
          if (turn.isOver()) await turn.next()
          if (isAlone && WRITTEN.test(name)) await rm(join(folder, name), { force: true })
          if (!name.endsWith(".json") || name.startsWith(".")) continue
          const id = name.slice(0, -".json".length)
          const key = keyOf({ kind, id })
          // Not `join`, which takes as long as to look at the file.
          const path = `${folder}/${name}`
          const found = lstatSync(path, { bigint: true, throwIfNoEntry: false })
          if (found === undefined) continue
          const before = known.get(key)
          if (before?.stamp !== undefined && before.stamp === stampOf(found)) {
            seen.add(key)
            continue
          }
          const content = isDocumentId(id)
            ? readDocumentFile(path)
            : { reason: "has a name that is not an id", stamp: stampOf(found) }
          if (content === undefined) continue
          seen.add(key)
          const isSame = before !== undefined && before.text === content.text && before.reason === content.reason
          if (isSame) before.stamp = content.stamp
          else changed.push({ kind, id, content })
        }
      }
      for (const [key, { kind, id }] of known) if (!seen.has(key)) changed.push({ kind, id, content: undefined })
      return changed
    },
  }
}

/** What a file's content comes to. */
export const decodeFile = async ({ kind, id, content }: ChangedFile): Promise<Decoded | undefined> => {
  if (content === undefined) return undefined
  if (content.text === undefined) return { reason: `${printable(`${id}.json`)} ${content.reason}` }
  const { document, reason } = await decodeDocument(kind, id, content.text)
  return document === undefined ? { reason: `${id}.json: ${reason}` } : { document }
}
