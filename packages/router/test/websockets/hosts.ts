/** The router under Bun.serve and Deno.serve, each in a process of its own. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { programs } from "../../../providers/test/runtimes.ts"
import type { Setup } from "./router.ts"

export interface ServedHost {
  readonly port: number
  /** `router.fetch` under the same server without our entry. */
  readonly bare: number
  /** Stops the process. */
  readonly close: () => Promise<void>
}

/** Starts `bun-main.ts` or `deno-main.ts`, and resolves once it listens. */
export const startServed = async (runtime: "bun" | "deno", setup: Setup): Promise<ServedHost> => {
  const [command, ...args] = programs[runtime]
  const child = spawn(command, [...args, fileURLToPath(new URL(`${runtime}-main.ts`, import.meta.url))], {
    // A group of its own: what npm installs as `deno` is a script that starts the program.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, SETUP: JSON.stringify(setup), NO_COLOR: "1", VITEST: undefined, NODE_OPTIONS: undefined },
  })
  const ended = once(child, "exit")
  let said = ""
  const listening = await new Promise<{ readonly port: number; readonly bare: number }>((resolve, reject) => {
    child.stdout.on("data", (data: Buffer) => {
      said += data.toString()
      const line = /^\{.*\}$/m.exec(said)?.[0]
      if (line !== undefined) resolve(JSON.parse(line) as { readonly port: number; readonly bare: number })
    })
    child.stderr.on("data", (data: Buffer) => (said += data.toString()))
    child.once("error", reject)
    child.once("exit", (code) => reject(new Error(`${runtime} ended with ${code}: ${said}`)))
  })
  return {
    ...listening,
    close: async () => {
      process.kill(-child.pid!, "SIGKILL")
      await ended
    },
  }
}
