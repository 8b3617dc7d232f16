import { readFileSync, statSync } from "node:fs"

// Room for about ten thousand keys; a larger file is not a file of keys.
const MAX_FILE_BYTES = 1_048_576

/** The text of a file of keys, or what is wrong with the file: the end of a sentence, and the code of the system's error. */
export const readSmallFile = (
  path: string,
): { readonly text: string } | { readonly problem: string; readonly code?: string } => {
  try {
    const stat = statSync(path)
    // To read a pipe would wait for its writer, and every request would wait with it.
    if (!stat.isFile()) return { problem: "is not a file" }
    if (stat.size > MAX_FILE_BYTES) return { problem: `is larger than ${MAX_FILE_BYTES} bytes` }
    return { text: readFileSync(path, "utf8") }
  } catch (error) {
    const { code = "unknown reason" } = error as NodeJS.ErrnoException
    return { problem: `cannot be read (${code})`, code }
  }
}
