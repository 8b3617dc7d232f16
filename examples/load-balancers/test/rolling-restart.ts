import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { Agent, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "../../../test/free-port.ts"
import { accepts } from "./balancers.ts"

/** Where a balancer listens and what it sends to, all on this computer. */
export interface Setting {
  readonly port: number
  readonly servers: readonly number[]
  /** Fields that it adds to requests. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  /** For its files. */
  readonly folder: string
}

/** A balancer as it comes: two servers, kept connections to them, and no option for restarts but HAProxy's health check. */
export interface RestartBalancer {
  readonly command: "nginx" | "haproxy"
  readonly configuration: (setting: Setting) => string
  readonly args: (file: string, folder: string) => readonly string[]
  /** How long it does without a server that is back, in ms: only then the next one may be restarted. */
  readonly returnMs: number
}

export const nginx: RestartBalancer = {
  command: "nginx",
  configuration: ({ port, servers, fields, folder }) => `
events {}
http {
  access_log off;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
  upstream servers {
    ${servers.map((server) => `server 127.0.0.1:${server};`).join(" ")}
    keepalive 32;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://servers;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      ${fields.map(([name, value]) => `proxy_set_header ${name} ${value};`).join(" ")}
    }
  }
}
`,
  args: (file, folder) => ["-c", file, "-p", folder, "-e", `${folder}/errors`, "-g", `daemon off; pid ${file}.pid;`],
  // Its `fail_timeout` is 10 s.
  returnMs: 10_500,
}

/** Without the check HAProxy tries the same server for 3 s, and a program may take longer to start. */
export const haproxy: RestartBalancer = {
  command: "haproxy",
  configuration: ({ port, servers, fields }) => `
defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m

listen http
  bind 127.0.0.1:${port}
  option httpchk GET /__ingress/health
  ${fields.map(([name, value]) => `http-request set-header ${name} ${value}`).join("\n  ")}
  ${servers.map((server, i) => `server s${i} 127.0.0.1:${server} check`).join("\n  ")}
`,
  args: (file) => ["-db", "-f", file],
  // Its `rise` is 2 and its `inter` 2 s.
  returnMs: 4_500,
}

/** What is restarted: a program that listens on `PORT` and then writes a line. */
export interface Program {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** What is sent, and meanwhile. */
export interface Load {
  readonly host: string
  readonly fields: Setting["fields"]
  readonly requests: number
  /** How many of the two servers are restarted. Default 2. */
  readonly restarts?: number
}

/** Clients at once. */
const CLIENTS = 16
/** Bytes of the body of every fourth request. */
const BODY_BYTES = 1_000

/**
 * Restarts two servers behind a balancer, one after the other, under load; there are at least as many requests as asked for. The
 * app behind them responds with the method and the length of the body. Every other response is a failure.
 */
export const rollingRestart = async (
  balancer: RestartBalancer,
  program: Program,
  { fields, requests, host, restarts = 2 }: Load,
): Promise<{ readonly done: number; readonly failures: readonly string[] }> => {
  const folder = mkdtempSync(join(tmpdir(), "rolling-restart-"))
  const children = new Set<ChildProcess>()
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })

  const run = (command: string, args: readonly string[], env: Program["env"]) => {
    const stdio = ["ignore", "pipe", "ignore"] as const
    const child = spawn(command, args, { env: { PATH: process.env["PATH"] ?? "", ...env }, stdio: [...stdio] })
    children.add(child)
    child.once("exit", () => children.delete(child))
    return child
  }
  const startServer = async (port: number): Promise<ChildProcess> => {
    const args = ["--conditions=@project-ingress/source", ...program.args]
    const child = run(process.execPath, args, { ...program.env, PORT: String(port) })
    await once(child.stdout, "data")
    child.stdout.resume()
    return child
  }
  const ask = (port: number, method: "GET" | "POST"): Promise<string> =>
    new Promise((resolve) => {
      const body = "x".repeat(method === "POST" ? BODY_BYTES : 0)
      const headers = { host, "content-length": body.length }
      const asked = request({ port, host: "127.0.0.1", method, agent, headers }, (response) => {
        let text = ""
        response.setEncoding("latin1").on("data", (data: string) => (text += data))
        response.on("end", () => resolve(response.statusCode === 200 ? text : `${response.statusCode}`))
        response.on("error", (error) => resolve(error.message))
      })
      asked.on("error", (error) => resolve(error.message))
      asked.end(body)
    })

  try {
    const servers = [await freePort(), await freePort()]
    const port = await freePort()
    const running = await Promise.all(servers.map(startServer))
    const file = join(folder, "configuration")
    writeFileSync(file, balancer.configuration({ port, servers, fields, folder }))
    const front = run(balancer.command, balancer.args(file, folder), {})
    while (!(await accepts(port))) {
      if (front.exitCode !== null) throw new Error(`${balancer.command} did not start`)
      await after(20)
    }

    const failures: string[] = []
    let done = 0
    const restarted = new AbortController()
    const load = Array.from({ length: CLIENTS }, async (_, client) => {
      for (let i = client; !restarted.signal.aborted || done < requests; i++) {
        const method = i % 4 === 0 ? "POST" : "GET"
        const response = await ask(port, method)
        done++
        if (response !== `${method} ${method === "POST" ? BODY_BYTES : 0}`) failures.push(`${method}: ${response}`)
      }
    })
    for (const [i, server] of running.slice(0, restarts).entries()) {
      if (i > 0) await after(balancer.returnMs)
      const exited = once(server, "exit")
      server.kill("SIGTERM")
      await exited
      await startServer(servers[i]!)
    }
    restarted.abort()
    await Promise.all(load)
    return { done, failures }
  } finally {
    agent.destroy()
    const exits = [...children].map((child) => once(child, "exit"))
    // Not SIGKILL for a balancer: the workers of nginx would stay.
    for (const child of children) child.kill(child.spawnfile === balancer.command ? "SIGTERM" : "SIGKILL")
    await Promise.all(exits)
    rmSync(folder, { recursive: true, force: true })
  }
}

const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
