import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "../../../../test/free-port.ts"

/** The installed Caddy; `undefined`: there is none, and what needs it is skipped. */
export const caddyBinary: string | undefined =
  spawnSync("caddy", ["version"], { stdio: "ignore" }).status === 0 ? "caddy" : undefined

export const NO_CADDY = "no caddy is installed"

export interface RealCaddy {
  /** `http://127.0.0.1:PORT` */
  readonly admin: string
  readonly process: ChildProcess
  /** The whole running configuration. */
  readonly config: () => Promise<unknown>
  /** Has it run a configuration, past everything that guards one. */
  readonly load: (config: unknown) => Promise<Response>
  /** Kills it, and starts it again with nothing but the same admin port. */
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** Starts a Caddy that has nothing but an admin port, with folders of its own. */
export const startCaddy = async (): Promise<RealCaddy> => {
  const folder = mkdtempSync(join(tmpdir(), "caddy-"))
  const port = await freePort()
  const admin = `http://127.0.0.1:${port}`
  const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
  const start = async (): Promise<ChildProcess> => {
    const child = spawn("caddy", ["run", "--config", "-"], { env, stdio: ["pipe", "ignore", "ignore"] })
    child.stdin.end(JSON.stringify({ admin: { listen: `127.0.0.1:${port}` } }))
    const isUp = () =>
      fetch(`${admin}/config/`).then(
        () => true,
        () => false,
      )
    while (!(await isUp())) {
      if (child.exitCode !== null) throw new Error("caddy ended")
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return child
  }
  const end = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill("SIGKILL")
    await once(child, "exit")
  }
  let child = await start()
  return {
    admin,
    get process() {
      return child
    },
    config: async () => (await fetch(`${admin}/config/`)).json(),
    load: (config) =>
      fetch(`${admin}/load`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(config),
      }),
    restart: async () => {
      await end(child)
      child = await start()
    },
    stop: async () => {
      await end(child)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Runs `caddy adapt` on a Caddyfile; the JSON that it means. */
export const adaptCaddyfile = (text: string): unknown => {
  const folder = mkdtempSync(join(tmpdir(), "caddy-adapt-"))
  const file = join(folder, "Caddyfile")
  writeFileSync(file, text)
  const command = ["adapt", "--config", file, "--adapter", "caddyfile"]
  const { status, stdout, stderr } = spawnSync("caddy", command, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 })
  rmSync(folder, { recursive: true, force: true })
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as unknown
}

/** Runs `caddy validate` on JSON; what it complains of, empty if nothing. */
export const validateConfig = (config: unknown): string => {
  const storage = mkdtempSync(join(tmpdir(), "caddy-validate-"))
  const document = { ...(config as object), storage: { module: "file_system", root: storage } }
  const { status, stderr } = spawnSync("caddy", ["validate", "--config", "-"], {
    input: JSON.stringify(document),
    encoding: "utf8",
  })
  rmSync(storage, { recursive: true, force: true })
  return status === 0 ? "" : (stderr.trim().split("\n").at(-1) ?? "failed")
}
