import { closeSync, fstatSync, writeSync } from "node:fs"

/**
 * Tells a supervisor that connections are taken: a newline, then the end, as s6 reads from its `notification-fd`. Returns
 * what is wrong with the descriptor; then nothing was written. Node has descriptors of its own from 3 up, so what cannot be
 * a supervisor's is left alone.
 */
export const notifyReady = (fd: number): string | undefined => {
  try {
    const stat = fstatSync(fd)
    if (!(stat.isFIFO() || stat.isSocket() || stat.isFile())) return "is not a pipe, socket or file"
    writeSync(fd, "\n")
    closeSync(fd)
    return undefined
  } catch (error) {
    return `cannot be written (${(error as NodeJS.ErrnoException).code ?? "unknown reason"})`
  }
}
