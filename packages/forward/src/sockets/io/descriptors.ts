import { readFileSync } from "node:fs"

/** Kept free for files, listeners, look-ups of names and calls to providers: this many descriptors, or a sixteenth of all. */
const OTHERS = 32

let limit: number | undefined

/**
 * How many connections of one side, clients or upstream, the process has descriptors for: half of what the others leave. Clients
 * that wait for a response can then never hold what is needed to give them one.
 */
export const descriptorShare = (): number => {
  limit ??= openFilesLimit()
  return Math.max(1, Math.floor((limit - Math.max(OTHERS, limit / 16)) / 2))
}

/** The soft limit of this process (`ulimit -n`); `Infinity` where the system does not say it in a file, as outside of Linux. */
const openFilesLimit = (): number => {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? []
    return soft === undefined ? Infinity : Number(soft)
  } catch {
    return Infinity
  }
}
