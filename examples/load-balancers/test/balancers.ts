import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { freePort } from "../../../test/free-port.ts"

/** A balancer: its command, and how its configuration of this folder is made to listen and to send elsewhere. */
export interface Balancer {
  readonly command: "nginx" | "haproxy" | "caddy"
  readonly file: string
  /** Where it has its own text for what the tests choose. `{port}` and `{folder}` are filled in. */
  readonly listens: readonly [from: string, to: string]
  readonly more?: readonly (readonly [from: string, to: string])[]
  readonly args: (file: string, folder: string) => readonly string[]
}

/** Why there is none on this computer; `undefined` when there is. */
export const missing = (command: string): string | undefined => {
  const { error } = spawnSync(command, [command === "caddy" ? "version" : "-v"], { stdio: "ignore" })
  return error === undefined ? undefined : `no ${command} on this computer`
}

export interface Running {
  readonly port: number
  readonly stop: () => Promise<void>
}

/** Starts a balancer in front of a port, with the certificate `ingress.crt`, `.key` and `.pem` of a folder. */
export const startBalancer = async (balancer: Balancer, routerPort: number, folder: string): Promise<Running> => {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const started = await tryStart(balancer, routerPort, folder, port)
    if (typeof started !== "string") return started
    // Somebody else may have taken the port meanwhile.
    if (attempt === 3) throw new Error(`${balancer.command} did not start:\n${started}`)
  }
}

const tryStart = async (
  { command, file, listens: [from, to], more = [], args }: Balancer,
  routerPort: number,
  folder: string,
  port: number,
): Promise<Running | string> => {
  const source = readFileSync(new URL(`../${file}`, import.meta.url), "utf8")
  const changes = [[from, to], ...more, ["127.0.0.1:8787", `127.0.0.1:${routerPort}`]] as const
  const text = changes.reduce(
    (text, [from, to]) => {
      if (!text.includes(from)) throw new Error(`${file} has no ${JSON.stringify(from)}`)
      return text.replaceAll(from, to.replaceAll("{port}", String(port)).replaceAll("{folder}", folder))
    },
    source.replaceAll("/etc/ssl", folder),
  )
  const path = join(folder, `${port}-${file}`)
  writeFileSync(path, text)
  const child = spawn(command, args(path, folder), {
    stdio: ["ignore", "pipe", "pipe"],
    // Where Caddy keeps its own.
    env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
  })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()))
  const exited = once(child, "exit")
  const stop = async () => {
    child.kill("SIGTERM")
    await exited
  }
  while (child.exitCode === null && child.signalCode === null) {
    if (await accepts(port)) return { port, stop }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return output
}

/** Whether anybody listens. */
export const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy()
      resolve(true)
    })
    socket.on("error", () => resolve(false))
  })
