import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "../free-port.ts"

/** A program that listens on a port of localhost. */
export interface RunningProcess {
  readonly port: number
  /** All that it has written so far, for whoever wants to know why something failed. */
  readonly output: () => string
  /** Ends it and what it started. */
  readonly stop: () => Promise<void>
}

export interface Command {
  /** The program and its arguments, for the port that it is to listen on. */
  readonly command: (port: number) => readonly [program: string, ...args: string[]]
  /** Where it runs. Its HOME is an empty folder elsewhere. */
  readonly cwd: string
  readonly env?: (port: number) => Readonly<Record<string, string>>
  /** Default: one that is free. */
  readonly port?: number
  /** What it is asked until it responds, whatever the status. Default `/`. */
  readonly path?: string
  /** Whether it serves. Default: whether it responds by HTTP. */
  readonly isUp?: (port: number) => Promise<boolean>
}

/** Starts a server and waits until it responds. Rejects with its output when it ends before. */
export const startProcess = async (options: Command): Promise<RunningProcess> => {
  const { command, cwd, env, port = await freePort(), path = "/", isUp = (port) => responds(port, path) } = options
  const [program, ...args] = command(port)
  const home = await mkdtemp(join(tmpdir(), "real-app-"))
  // A group of its own: what it starts ends with it.
  const child = spawn(program, args, {
    cwd,
    env: environment(home, env?.(port)),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text))
  let ended: string | undefined
  child.on("error", (error) => (ended ??= error.message))
  const exited = once(child, "exit").then(([code, signal]) => (ended ??= `ended with ${code ?? signal}`))
  exited.catch(() => {})

  const kill = (signal: NodeJS.Signals): void => {
    try {
      process.kill(-child.pid!, signal)
    } catch {
      // It is gone.
    }
  }
  const atExit = (): void => kill("SIGKILL")
  process.once("exit", atExit)
  const stop = async (): Promise<void> => {
    if (child.pid === undefined) return
    kill("SIGTERM")
    const late = setTimeout(() => kill("SIGKILL"), 5_000)
    await exited.catch(() => {})
    clearTimeout(late)
    kill("SIGKILL")
    process.off("exit", atExit)
    await rm(home, { recursive: true, force: true, maxRetries: 5 })
  }

  while (!(await isUp(port))) {
    if (ended === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      continue
    }
    await stop()
    throw new Error(`${program} ${args.join(" ")}: ${ended}\n${output}`)
  }
  return { port, output: () => output, stop }
}

/** Starts `server.js` of a folder, which takes its port from `PORT`. */
export const startServer = (cwd: string, env: Readonly<Record<string, string>> = {}): Promise<RunningProcess> =>
  startProcess({
    cwd,
    command: () => [process.execPath, "server.js"],
    env: (port) => ({ ...env, PORT: String(port) }),
  })

const responds = (port: number, path: string): Promise<boolean> =>
  new Promise((resolve) => {
    // One that came too early may never get a response.
    const probe = request({ host: "localhost", port, path, agent: false, timeout: 3_000 }, (response) => {
      response.resume()
      resolve(true)
    })
    probe.on("timeout", () => probe.destroy(new Error("no response")))
    probe.on("error", () => resolve(false)).end()
  })

/** What a developer's shell has, without what the test runner set, and with nobody to report to. */
export const environment = (home: string, own: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => {
  const { PATH, LANG, TMPDIR, USER } = process.env
  return {
    PATH,
    LANG,
    TMPDIR,
    USER,
    HOME: home,
    NO_COLOR: "1",
    BROWSER: "none",
    NEXT_TELEMETRY_DISABLED: "1",
    ASTRO_TELEMETRY_DISABLED: "1",
    ...own,
  }
}
