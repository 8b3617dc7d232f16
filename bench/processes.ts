// Children of a run: started with a raised limit of open files and an end in time, measured through /proc, and killed with it.
import { execFileSync, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { readFileSync } from "node:fs"
import { connect } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { searchPath } from "./peers.ts"
import type { Command } from "./peer.ts"

const running = new Set<ChildProcess>()
const RAISE = "ulimit -n 65536 2>/dev/null || ulimit -n $(ulimit -Hn)"

/** What a child may open: more than 65 536 is not asked for, a hard limit below it stays. */
export const openFiles = (): number => Number(execFileSync("sh", ["-c", `${RAISE}; ulimit -n`], { encoding: "utf8" }))

export interface Child {
  readonly process: ChildProcess
  /** The end of what it wrote to standard error. */
  readonly complaint: () => string
}

/** Starts a command in a process group of its own. `timeout` ends it even if this process is killed first. */
export const start = ({ file, args, env }: Command, lifeSeconds: number): Child => {
  const child = spawn("sh", ["-c", `${RAISE}; exec timeout -s KILL ${lifeSeconds} "$0" "$@"`, file, ...args], {
    env: { ...process.env, PATH: searchPath, ...env },
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  })
  running.add(child)
  child.once("exit", () => running.delete(child))
  child.on("error", () => running.delete(child))
  let complaint = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-2_000)
  })
  child.stdin.on("error", () => {})
  return { process: child, complaint: () => complaint.trim() }
}

export const stop = async ({ process: child }: Child): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once("exit", resolve))
  // Asked to end, `timeout` waits for what it started, whose time then counts as ours and not as other work.
  kill(child, "SIGTERM")
  const force = setTimeout(() => kill(child, "SIGKILL"), 1_000)
  await gone
  clearTimeout(force)
}

const kill = (child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): void => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal)
  } catch {
    // It ended by itself.
  }
}

/** Nothing outlives a run: not on its end, a failure, nor a signal. */
export const stopAllAtExit = (alsoAtExit: () => void): void => {
  process.once("exit", () => {
    for (const child of running) kill(child, "SIGKILL")
    alsoAtExit()
  })
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    process.once(signal, () => process.exit(code))
  }
}

/** Resolves once the port takes connections; false when the child ends or `limitMs` passes first. */
export const listening = async (child: Child, port: number, limitMs: number): Promise<boolean> => {
  for (const until = Date.now() + limitMs; Date.now() < until; await sleep(50)) {
    if (child.process.exitCode !== null || child.process.signalCode !== null) return false
    if (await accepts(port)) return true
  }
  return false
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    const end = (accepted: boolean): void => {
      socket.destroy()
      resolve(accepted)
    }
    socket.once("connect", () => end(true)).once("error", () => end(false))
  })

// A tick of /proc is 10 ms on every Linux that Debian builds (USER_HZ).
const TICK_US = 10_000

/** User and system time of a child's processes so far, in µs. Linux only. */
export const cpuMicroseconds = (child: Pick<Child, "process">): number =>
  total(child, (pid) => {
    // proc(5): the name may hold blanks, so fields are counted from the last parenthesis.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return (Number(fields[11]) + Number(fields[12])) * TICK_US
  })

/** Memory that a child's processes have in RAM, in KiB. Linux only. */
export const residentKiB = (child: Child): number =>
  total(child, (pid) => Number(/^VmRSS:\s+([0-9]+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0))

/** What the machine has worked so far for anybody but this process and its children, and could have worked, in µs. */
export const otherWork = (): { readonly done: number; readonly possible: number } => {
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softIrq = 0] = readFileSync("/proc/stat", "utf8")
    .split("\n", 1)[0]!
    .split(/\s+/)
    .slice(1)
    .map((ticks) => Number(ticks) * TICK_US)
  const busy = user + nice + system + irq + softIrq
  // Of this process and of children that have ended, as wrk has after each round.
  const stat = readFileSync("/proc/self/stat", "utf8")
  const self = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const own = self.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * TICK_US, 0)
  const children = [...running].reduce((sum, child) => sum + cpuMicroseconds({ process: child }), 0)
  return { done: busy - own - children, possible: busy + idle + wait }
}

// `timeout` stands at the root and is no part of the peer.
const total = (child: Pick<Child, "process">, measure: (pid: number) => number): number =>
  descendants(child.process.pid ?? 0).reduce((sum, pid) => {
    try {
      return sum + measure(pid)
    } catch {
      return sum
    }
  }, 0)

const descendants = (pid: number): number[] => {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number)
    return children.concat(...children.map(descendants))
  } catch {
    return []
  }
}
