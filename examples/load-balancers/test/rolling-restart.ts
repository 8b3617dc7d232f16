import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { Agent, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { accepts, freePort } from "./balancers.ts"

/** A balancer's configuration for two servers on this computer: nothing in it is about restarts but HAProxy's health check. */
export interface Configuration {
  readonly command: "nginx" | "haproxy"
  readonly text: (port: number, servers: readonly number[], fields: readonly (readonly [string, string])[]) => string
  readonly args: (file: string, folder: string) => readonly string[]
  /** How long the balancer does without a server that is back, in ms: only then the next one may be restarted. */
  readonly returnMs: number
}

export const nginx: Configuration = {
  command: "nginx",
  text: (port, servers, fields) => `
    events {}
    http {
      access_log off;
      upstream servers {
        ${servers.map((server) => `server 127.0.0.1:${server};`).join("\n")}
        keepalive 32;
      }
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://servers;
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_set_header Host $http_host;
          ${fields.map(([name, value]) => `proxy_set_header ${name} ${value};`).join("\n")}
        }
      }
    }
  `,
  args: (file, folder) => {
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`)
    void temporary
    return ["-c", file, "-p", folder, "-e", "stderr", "-g", `daemon off; pid ${file}.pid;`]
  },
  // `fail_timeout`
  returnMs: 10_000,
}

export const haproxy: Configuration = {
  command: "haproxy",
  text: (port, servers, fields) => `
defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m

listen http
  bind 127.0.0.1:${port}
  option httpchk GET /__ingress/health
${fields.map(([name, value]) => `  http-request set-header ${name} ${value}`).join("\n")}
${servers.map((server, i) => `  server s${i} 127.0.0.1:${server} check`).join("\n")}
`,
  args: (file) => ["-db", "-f", file],
  // `rise 2`, `inter 2s`
  returnMs: 4_000,
}

/** What is restarted: a program that listens on `PORT` and reports it in its first line. */
export interface Program {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export interface RollingRestart {
  readonly balancer: Configuration
  readonly program: Program
  readonly host: string
  /** Fields that the balancer adds. */
  readonly fields: readonly (readonly [string, string])[]
  /** At least so many; there are as many more as fit into the restarts. */
  readonly requests: number
}

/** Restarts two servers behind a balancer, one after the other, under load. What became of the requests. */
export const rollingRestart = async ({ balancer, program, host, fields, requests }: RollingRestart) => {
  const folder = mkdtempSync(join(tmpdir(), "rolling-restart-"))
  const children = new Set<ChildProcess>()
  const run = (command: string, args: readonly string[], env: Readonly<Record<string, string>>) => {
    const child = spawn(command, args, { env: { PATH: process.env["PATH"] ?? "", ...env }, stdio: ["ignore", "pipe", "inherit"] })
    children.add(child)
    child.once("exit", () => children.delete(child))
    return child
  }
  const startServer = async (port: number) => {
    const child = run(process.execPath, ["--conditions=@project-ingress/source", ...program.args], { ...program.env, PORT: String(port) })
    await once(child.stdout!, "data")
    child.stdout!.resume()
    return child
  }
  const seconds = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })
  try {
    const ports = [await freePort(), await freePort()]
    const port = await freePort()
    const servers = await Promise.all(ports.map(startServer))
    const file = join(folder, "balancer.cfg")
    writeFileSync(file, balancer.text(port, ports, fields))
    run(balancer.command, balancer.args(file, folder), {})
    while (!(await accepts(port))) await seconds(20)

    const failures: string[] = []
    let done = 0
    let restarting = true
    const began = performance.now()
    const at = () => Math.round(performance.now() - began)
    const ask = (method: "GET" | "POST") =>
      new Promise<string>((resolve) => {
        const body = method === "POST" ? "x".repeat(1_000) : ""
        const asked = request({ port, host: "127.0.0.1", path: "/", method, agent, headers: { host, "content-length": body.length } })
        asked.on("error", (error) => resolve(error.message))
        asked.on("response", (response) => {
          let text = ""
          response.setEncoding("latin1").on("data", (data: string) => (text += data))
          response.on("end", () => resolve(response.statusCode === 200 ? text : `${response.statusCode} ${text}`))
          response.on("error", (error) => resolve(error.message))
        })
        asked.end(body)
      })
    const load = Promise.all(
      Array.from({ length: 16 }, async (_, client) => {
        for (let i = client; restarting || done < requests; i++) {
          const method = i % 4 === 0 ? "POST" : "GET"
          const said = await ask(method)
          done++
          if (said !== `${method} ${method === "POST" ? 1_000 : 0}`) failures.push(`${at()} ms: ${method}: ${said}`)
        }
      }),
    )
    const log: string[] = []
    for (const [i, server] of servers.entries()) {
      if (i > 0) await seconds(balancer.returnMs)
      const exited = once(server, "exit")
      log.push(`${at()} stop`)
      server.kill("SIGTERM")
      await exited
      log.push(`${at()} exited`)
      servers[i] = await startServer(ports[i]!)
      log.push(`${at()} back`)
    }
    await seconds(1_000)
    restarting = false
    await load
    return { done, failures, log, ms: at() }
  } finally {
    agent.destroy()
    const exits = [...children].map((child) => once(child, "exit"))
    for (const child of children) child.kill("SIGKILL")
    await Promise.all(exits)
    rmSync(folder, { recursive: true, force: true })
  }
}
