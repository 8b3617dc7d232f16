import { closeSync, fstatSync, writeSync } from "node:fs"

/**
 * Tells a supervisor that connections are accepted: writes a newline to its file descriptor and closes it, as s6
 * expects of its `notification-fd`. Returns what is wrong with the descriptor, if it was not written to. Node has
 * descriptors of its own from 3 up, so one that cannot be a supervisor's is left alone.
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
