import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { promisify } from "node:util"

/** What tells a process from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number
  /** When it started, in whatever unit the system has; equal for one process whenever it is asked. */
  readonly startedAt: string
}

/**
 * The process that has a number now; `undefined` if there is none, or if it has ended and only its parent has not asked yet how (a zombie).
 */
export const runningProcess = async (
  pid: number,
  { platform = process.platform }: { readonly platform?: NodeJS.Platform } = {},
): Promise<ProcessIdentity | undefined> => {
  const found = platform === "linux" ? await byProc(pid) : await byPs(pid)
  return found === undefined || found.state === "Z" || found.state === "X"
    ? undefined
    : { pid, startedAt: found.startedAt }
}

interface Found {
  readonly state: string
  readonly startedAt: string
}

const byProc = async (pid: number): Promise<Found | undefined> => {
  try {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      // Ticks since the start of the system: the same number after another start is another time.
      readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => ""),
    ])
    // proc_pid_stat(5): the name stands in parentheses, and may have any of these characters itself.
    const [state = "", ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return { state, startedAt: `${rest[18]!}@${boot.trim()}` }
  } catch {
    return undefined
  }
}

const byPs = async (pid: number): Promise<Found | undefined> => {
  try {
    const env = { ...process.env, LC_ALL: "C", TZ: "UTC" }
    const { stdout } = await promisify(execFile)("ps", ["-o", "stat=", "-o", "lstart=", "-p", String(pid)], { env })
    const [state = "", ...startedAt] = stdout.trim().split(/\s+/)
    return state === "" ? undefined : { state: state[0]!, startedAt: startedAt.join(" ") }
  } catch {
    return undefined
  }
}
