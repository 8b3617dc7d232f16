import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"

/** Memory of a process in RAM, in KiB. */
export interface Resident {
  readonly now: number
  readonly peak: number
}

/** What a process says of its heap after a collection, in bytes. */
export interface HeapReport {
  readonly heap: number
}

/** One process of the chain. It says where it listens by its first message, and ends with this process. */
export interface ChainProcess<Ready> extends AsyncDisposable {
  readonly name: string
  readonly child: ChildProcess
  readonly ready: Ready
  /** Sends a message and resolves with the next one that comes back. */
  readonly ask: <A>(message: unknown) => Promise<A>
  readonly resident: () => Resident
  /** What it was when the process was ready. */
  readonly started: Resident
  /** True until it has ended, by whatever. */
  readonly alive: () => boolean
}

// More than 65 536 is not asked for; a hard limit below it stays.
const RAISE = "ulimit -n 65536 2>/dev/null || ulimit -n $(ulimit -Hn)"

/** Starts a file beside this one with all the descriptors that it may have. Rejects if it ends before it is ready. */
export const startProcess = async <Ready>(name: string, setup: unknown): Promise<ChainProcess<Ready>> => {
  const file = join(import.meta.dirname, `${name}.ts`)
  const node = ["--expose-gc", "--max-semi-space-size=1", "--conditions=@project-ingress/source", file]
  const child = spawn("sh", ["-c", `${RAISE}; exec "$0" "$@"`, process.execPath, ...node], {
    env: { ...process.env, SETUP: JSON.stringify(setup), NODE_ENV: "production" },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  })
  const exited = once(child, "exit")
  const next = async <A>(): Promise<A> => {
    const [message] = (await Promise.race([
      once(child, "message"),
      exited.then(([code, signal]) => {
        throw new Error(`the process ${name} ended with ${String(code ?? signal)}`)
      }),
    ])) as [A]
    return message
  }
  const ready = await next<Ready>()
  const resident = (): Resident => {
    const status = readFileSync(`/proc/${child.pid}/status`, "latin1")
    const read = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0)
    return { now: read("VmRSS"), peak: read("VmHWM") }
  }
  return {
    name,
    child,
    ready,
    ask: (message) => {
      child.send(message as object)
      return next()
    },
    resident,
    started: resident(),
    alive: () => child.exitCode === null && child.signalCode === null,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL")
      await exited
    },
  }
}

/** In such a process: what it was given. */
export const givenSetup = (): unknown => JSON.parse(process.env["SETUP"] ?? "{}")

/** In such a process: says that it is ready, and ends when its parent does. `"heap"` is responded to here, other messages by `respond`. */
export const serveParent = (ready: unknown, respond: (message: unknown) => unknown = () => null): void => {
  process.on("disconnect", () => process.exit())
  process.on("message", (message) => process.send!(message === "heap" ? heapReport() : respond(message)))
  process.send!(ready)
}

const heapReport = (): HeapReport => {
  for (let i = 0; i < 2; i++) (globalThis as { readonly gc?: () => void }).gc!()
  const { heapUsed, external } = process.memoryUsage()
  return { heap: heapUsed + external }
}
