/** A local port that leads to a port of a machine, opened by `project-ingress forward` as a process of its own. */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"

const command = join(import.meta.dirname, "../../src/command.ts")

export interface Forwarded {
  /** The local port. */
  readonly port: number
  /** All that it has written to standard error. */
  readonly problems: () => string
  /** Ends it as Ctrl-C does; gives its exit code. */
  readonly stop: () => Promise<number | null>
  /** Resolves with its exit code. */
  readonly exit: Promise<number | null>
}

const started = new Set<ChildProcess>()

/** Ends all that a test has left. */
export const stopForwards = (): void => {
  for (const child of started) child.kill("SIGKILL")
  started.clear()
}

/** Runs the command, and gives what it did if it ended without listening. */
export const runForward = async (
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Forwarded | { readonly code: number | null; readonly err: string }> => {
  const flags = ["--conditions=@project-ingress/source", "--no-warnings", command, "forward", ...args]
  const { INGRESS_TOKEN: _, INGRESS_DOMAIN: __, ...inherited } = process.env
  const child = spawn(process.execPath, flags, { env: { ...inherited, ...env } })
  started.add(child)
  let out = ""
  let err = ""
  child.stderr.on("data", (data: Buffer) => (err += data.toString()))
  const exit = once(child, "close").then(([code]) => {
    started.delete(child)
    return code as number | null
  })
  const listening = new Promise<number>((resolve) => {
    child.stdout.on("data", (data: Buffer) => {
      out += data.toString()
      const port = /:(\d+) leads to /.exec(out)?.[1]
      if (port !== undefined) resolve(Number(port))
    })
  })
  const port = await Promise.race([listening, exit.then(() => undefined)])
  if (port === undefined) return { code: await exit, err }
  return {
    port,
    problems: () => err,
    exit,
    stop: () => {
      child.kill("SIGINT")
      return exit
    },
  }
}

/** The same where it has to listen. */
export const forwardTo = async (port: number, routerPort: number, ...more: readonly string[]): Promise<Forwarded> => {
  const url = `http://${port}__misha.iterate.app:${routerPort}/`
  const found = await runForward([String(port), url, "--address", "127.0.0.1", "--listen", "0", ...more])
  if ("err" in found) throw new Error(`forward ended with ${found.code}: ${found.err}`)
  return found
}
