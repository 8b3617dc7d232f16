import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdir, open } from "node:fs/promises"
import { dirname } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { accept, checkOptions } from "@project-ingress/router/internal"
import { AdminInUse, FrontNotReady } from "./errors.ts"
import { readPidFile, removePidFile, writePidFile } from "./pid-file.ts"
import { runningProcess } from "./running-process.ts"
import type { ProcessIdentity } from "./running-process.ts"

/** A front's admin API. */
export interface FrontAdmin {
  /** `http://127.0.0.1:9901` */
  readonly url: string
  /** GET: 2xx when the front is ready. `/ready` */
  readonly readyPath: string
  /** POST: ends the front. `/quitquitquit` */
  readonly stopPath: string
}

/** How a front's process is kept. */
export interface SuperviseOptions {
  /** A program: a path, or a name that is looked for in `PATH`. */
  readonly command: string
  readonly args?: readonly string[]
  /** The environment of the process, whole. Default: ours. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** The number and the start of the process. The folder is made if it is not there. */
  readonly pidFile: string
  /** What the process writes is added to it. Default: it is thrown away. */
  readonly logFile?: string
  readonly admin: FrontAdmin
  /** How long it may take to become ready, in ms, 100 to 600 000. Default 10 000. */
  readonly readyMs?: number
  /** How long it may take to end after the call of the admin API, in ms, 0 to 600 000, before SIGTERM. Default 5 000. */
  readonly adminMs?: number
  /** How long it may take to end after SIGTERM, in ms, 0 to 600 000, before SIGKILL. Default 2 000. */
  readonly termMs?: number
  /** Called when a running process was taken over, which may have the configuration of another time: loads the current one. */
  readonly load?: (signal: AbortSignal) => Promise<void>
  /** True: `dispose` stops the process. Default false: it goes on without us. */
  readonly stopOnShutdown?: boolean
  /** True: a process that ends by itself is started again, after 1 s, and after up to 30 s if it ends again and again. Default false. */
  readonly restarts?: boolean
  /** Called with what happens. Must not throw. */
  readonly onEvent?: (event: SupervisionEvent) => void
}

/** What became of the process. */
export type SupervisionEvent =
  | { readonly type: "started" | "adopted" | "ended"; readonly pid: number }
  | { readonly type: "stopped"; readonly pid: number; readonly by: StopOutcome }
  | { readonly type: "error"; readonly during: "restart"; readonly cause: unknown }

/** What a process was stopped by. */
export type StopOutcome = "admin" | "SIGTERM" | "SIGKILL" | "not running"

/** A front's process. Call one method at a time. */
export interface SupervisedFront {
  /**
   * Takes a running process over, if the PID file is of it and its admin API responds; starts one otherwise. Resolves when it is ready.
   *
   * @throws {FrontNotReady} (rejects) if it ends, or is not ready in time: it is killed then
   * @throws {AdminInUse} (rejects) if something else responds at the admin API's address
   */
  start(): Promise<"started" | "adopted">
  /** By the admin API, then SIGTERM, then SIGKILL. Resolves when it runs no more. */
  stop(): Promise<StopOutcome>
  restart(): Promise<void>
  /** The process now; `undefined`: there is none. */
  pid(): Promise<number | undefined>
  /** Ends our part, and the process too with `stopOnShutdown`. */
  dispose(): Promise<void>
}

const POLL_MS = 100
/** How long one look at the admin API may take. */
const PROBE_MS = 1_000
/** The kernel ends it; what takes longer waits for a disk that does not respond. */
const KILL_MS = 10_000
const WATCH_MS = 1_000
const BACK_OFF = { firstMs: 1_000, maxMs: 30_000, steadyMs: 60_000 }

/**
 * Keeps the process of a front: starts it, finds it again, stops it.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid
 */
export const superviseFront = (options: SuperviseOptions): SupervisedFront => {
  checkOptions("superviseFront", options, CHECKS, { required: ["command", "pidFile", "admin"] })
  checkOptions("superviseFront", options.admin, ADMIN_CHECKS, { at: "admin", required: Object.keys(ADMIN_CHECKS) })
  const { pidFile, admin, readyMs = 10_000, onEvent } = options
  const ending = new AbortController()
  let watch = new AbortController()

  /** The process of the PID file, if it is still that one. */
  const running = async (): Promise<ProcessIdentity | undefined> => {
    const noted = await readPidFile(pidFile)
    const found = noted === undefined ? undefined : await runningProcess(noted.pid)
    return found !== undefined && found.startedAt === noted?.startedAt ? found : undefined
  }

  const stop = async (): Promise<StopOutcome> => {
    watch.abort()
    const found = await running()
    const by = found === undefined ? "not running" : await stopProcess(found, options)
    await removePidFile(pidFile)
    if (found !== undefined) onEvent?.({ type: "stopped", pid: found.pid, by })
    return by
  }

  const launch = async (): Promise<ProcessIdentity> => {
    if (await isReady(admin, PROBE_MS)) throw new AdminInUse({ url: admin.url })
    const child = await spawnDetached(options)
    const identity = await runningProcess(child.pid!)
    const notReady = (reason: string): FrontNotReady => new FrontNotReady({ command: options.command, reason })
    try {
      if (identity === undefined) throw notReady("ended at once")
      await writePidFile(pidFile, identity)
      const outcome = await untilReady(identity, admin, readyMs, ending.signal)
      if (outcome !== "ready") {
        const how = child.exitCode === null ? "" : ` with code ${child.exitCode}`
        throw notReady(outcome === "ended" ? `ended${how} before it was ready` : `was not ready within ${readyMs} ms`)
      }
      onEvent?.({ type: "started", pid: identity.pid })
      return identity
    } catch (cause) {
      if (identity !== undefined) await kill(identity)
      await removePidFile(pidFile)
      throw cause
    }
  }

  const keep = async (first: ProcessIdentity, signal: AbortSignal): Promise<void> => {
    let identity: ProcessIdentity | undefined = first
    let waitMs = BACK_OFF.firstMs
    let since = performance.now()
    while (!signal.aborted) {
      if (identity !== undefined) {
        if (await isSame(identity)) {
          await pause(WATCH_MS, undefined, { signal, ref: false }).catch(() => undefined)
          continue
        }
        onEvent?.({ type: "ended", pid: identity.pid })
        if (performance.now() - since > BACK_OFF.steadyMs) waitMs = BACK_OFF.firstMs
      }
      await pause(waitMs, undefined, { signal, ref: false }).catch(() => undefined)
      if (signal.aborted) return
      waitMs = Math.min(waitMs * 2, BACK_OFF.maxMs)
      identity = await launch().catch((cause: unknown) => {
        onEvent?.({ type: "error", during: "restart", cause })
        return undefined
      })
      since = performance.now()
    }
  }

  const start = async (): Promise<"started" | "adopted"> => {
    watch.abort()
    ending.signal.throwIfAborted()
    const found = await running()
    let identity = found
    if (found !== undefined && (await untilReady(found, admin, readyMs, ending.signal)) === "ready") {
      onEvent?.({ type: "adopted", pid: found.pid })
      await options.load?.(ending.signal)
    } else {
      // One that is ours and does not respond keeps ports that the next one needs.
      if (found !== undefined) await stop()
      await removePidFile(pidFile)
      identity = await launch()
    }
    watch = new AbortController()
    if (options.restarts === true) void keep(identity!, AbortSignal.any([watch.signal, ending.signal]))
    return identity === found ? "adopted" : "started"
  }

  return {
    start,
    stop,
    restart: async () => {
      await stop()
      await start()
    },
    pid: async () => (await running())?.pid,
    dispose: async () => {
      ending.abort()
      watch.abort()
      if (options.stopOnShutdown === true) await stop()
    },
  }
}

const httpUrl = (value: unknown): string | undefined =>
  typeof value === "string" && /^https?:\/\/[^/?#@]+\/?$/.test(value) && URL.canParse(value)
    ? undefined
    : "an http(s) URL without a path"

const path = (value: unknown): string | undefined =>
  typeof value === "string" && value.startsWith("/") ? undefined : "a path that begins with /"

const ADMIN_CHECKS = { url: httpUrl, readyPath: path, stopPath: path }

const CHECKS = {
  command: accept.string,
  args: accept.array((value) => (typeof value === "string" ? undefined : "a string")),
  env: accept.object,
  cwd: accept.string,
  pidFile: accept.string,
  logFile: accept.string,
  admin: accept.object,
  readyMs: accept.integer(100, 600_000),
  adminMs: accept.integer(0, 600_000),
  termMs: accept.integer(0, 600_000),
  load: accept.function,
  stopOnShutdown: accept.boolean,
  restarts: accept.boolean,
  onEvent: accept.function,
}

/** In a session of its own, so that neither a signal to our group nor our end reaches it. */
const spawnDetached = async (options: SuperviseOptions): Promise<ChildProcess> => {
  const { command, args = [], env = process.env, cwd, logFile } = options
  if (logFile !== undefined) await mkdir(dirname(logFile), { recursive: true })
  const log = logFile === undefined ? undefined : await open(logFile, "a", 0o640)
  try {
    const output = log?.fd ?? "ignore"
    const child = spawn(command, args, { detached: true, stdio: ["ignore", output, output], env, cwd })
    try {
      await once(child, "spawn")
    } catch (cause) {
      throw new FrontNotReady({ command, reason: "could not be started", cause })
    }
    child.unref()
    return child
  } finally {
    await log?.close()
  }
}

const isReady = async ({ url, readyPath }: FrontAdmin, timeoutMs: number): Promise<boolean> => {
  try {
    const signal = AbortSignal.timeout(timeoutMs)
    const response = await fetch(new URL(readyPath, url), { signal, redirect: "manual" })
    await response.body?.cancel()
    return response.ok
  } catch {
    return false
  }
}

/** Whether a process still runs, and is the same one. */
const isSame = async ({ pid, startedAt }: ProcessIdentity): Promise<boolean> =>
  (await runningProcess(pid))?.startedAt === startedAt

const untilReady = async (
  identity: ProcessIdentity,
  admin: FrontAdmin,
  readyMs: number,
  signal: AbortSignal,
): Promise<"ready" | "ended" | "late"> => {
  const deadline = performance.now() + readyMs
  for (;;) {
    // In this order: whatever responds when the process has ended is another one.
    const isThere = await isReady(admin, PROBE_MS)
    if (!(await isSame(identity))) return "ended"
    if (isThere) return "ready"
    if (performance.now() >= deadline) return "late"
    await pause(POLL_MS, undefined, { signal })
  }
}

const stopProcess = async (
  identity: ProcessIdentity,
  { admin, adminMs = 5_000, termMs = 2_000 }: SuperviseOptions,
): Promise<StopOutcome> => {
  const signal = AbortSignal.timeout(adminMs)
  const deadline = performance.now() + adminMs
  const isStopping = await fetch(new URL(admin.stopPath, admin.url), {
    method: "POST",
    signal,
    redirect: "manual",
  }).then(
    async (response) => {
      await response.body?.cancel()
      return response.ok
    },
    // A front may close the connection before it has responded.
    (error: { readonly cause?: { readonly code?: unknown } }) => error.cause?.code !== "ECONNREFUSED",
  )
  if (isStopping && (await hasEnded(identity, deadline))) return "admin"
  if (await signalled(identity, "SIGTERM", termMs)) return "SIGTERM"
  await kill(identity)
  return "SIGKILL"
}

const kill = async (identity: ProcessIdentity): Promise<void> => {
  if (await signalled(identity, "SIGKILL", KILL_MS)) return
  throw new Error(`process ${identity.pid} does not end`)
}

const signalled = async (identity: ProcessIdentity, name: "SIGTERM" | "SIGKILL", waitMs: number): Promise<boolean> => {
  // The number may be another one's by now.
  if (!(await isSame(identity))) return true
  try {
    process.kill(identity.pid, name)
  } catch (cause) {
    if ((cause as { readonly code?: unknown }).code === "ESRCH") return true
    throw cause
  }
  return hasEnded(identity, performance.now() + waitMs)
}

const hasEnded = async (identity: ProcessIdentity, deadline: number): Promise<boolean> => {
  while (await isSame(identity)) {
    if (performance.now() >= deadline) return false
    await pause(20)
  }
  return true
}
