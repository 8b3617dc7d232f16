import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs"
import { MAX_DOCUMENT_BYTES } from "../checked-commit.ts"
import { codeOf, isOurs } from "./folders.ts"

/** What a file holds, or why it does not count. */
export type FileContent =
  | { readonly text: string; readonly reason?: undefined; readonly stamp: string | undefined }
  | { readonly text?: undefined; readonly reason: string; readonly stamp: string | undefined }

/** What is younger than this, in ms, may be changed once more within one tick of the file system's clock. */
const TICK_MS = 100

/** Of a file that is to be opened again at the next look. */
const UNOPENED = "unopened"

interface FileStat {
  readonly ino: bigint
  readonly size: bigint
  readonly ctimeNs: bigint
}

/** Changes whenever the file does: any write, and any change of its mode or owner, sets `ctime`, which nobody can set back. */
export const stampOf = ({ ino, size, ctimeNs }: FileStat): string => `${ino}:${size}:${ctimeNs}`

/**
 * Reads a document's file, of at most 1 MiB. Links are not followed. `undefined`: there is no such file. Its stamp is `undefined`
 * while the file is so young that it may be about to change, and could have the same stamp then.
 */
export const readDocumentFile = (path: string): FileContent | undefined => {
  let file: number
  try {
    // Not blocking: a pipe would wait for a writer.
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    const code = codeOf(cause)
    if (code === "ENOENT") return undefined
    // Of another code in BSDs.
    const isLink = code === "ELOOP" || code === "EMLINK"
    return { reason: isLink ? "is a symbolic link" : `cannot be opened (${String(code)})`, stamp: UNOPENED }
  }
  try {
    const found = fstatSync(file, { bigint: true })
    const stamp = Math.abs(Date.now() - Number(found.ctimeMs)) < TICK_MS ? undefined : stampOf(found)
    const refused = (reason: string): FileContent => ({ reason, stamp })
    if (!found.isFile()) return refused("is not a file")
    if (!isOurs(Number(found.uid))) return refused("belongs to another user")
    if ((found.mode & 0o002n) !== 0n) return refused("may be written by everybody")
    if (found.size > MAX_DOCUMENT_BYTES) return refused("is larger than 1 MiB")
    const bytes = Buffer.alloc(Number(found.size) + 1)
    let length = 0
    for (let read = 1; read > 0 && length < bytes.length; length += read) {
      read = readSync(file, bytes, length, bytes.length - length, null)
    }
    if (length !== Number(found.size)) return { reason: "is being written", stamp: undefined }
    try {
      return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length)), stamp }
    } catch {
      return refused("is not UTF-8")
    }
  } catch (cause) {
    return { reason: `cannot be read (${String(codeOf(cause))})`, stamp: UNOPENED }
  } finally {
    closeSync(file)
  }
}
