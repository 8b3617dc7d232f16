/** The command as a process, apps for it on loopback, and requests whose `Host` a test chooses. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { REGION } from "./edgeproxy-tables.ts"

/** The command's sources, as arguments of Node. */
export const command: readonly string[] = [
  "--conditions=@project-ingress/source",
  "--no-warnings",
  join(import.meta.dirname, "../../src/edge-command.ts"),
]

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly [name: string]: unknown
}

export interface EdgeProcess {
  readonly child: ReturnType<typeof spawn>
  readonly out: () => string
  readonly err: () => string
  readonly log: () => readonly LogLine[]
  /** Exit code, or the signal that ended it. */
  readonly exited: Promise<number | string | null>
  /** Waits for a line of the log. */
  readonly logged: (message: string, fields?: object) => Promise<LogLine>
  /** The port, once it listens. */
  readonly port: () => Promise<number>
}

export const startEdge = (environment: Readonly<Record<string, string>>): EdgeProcess => {
  const child = spawn(process.execPath, command, {
    env: {
      PATH: process.env["PATH"] ?? "",
      EDGEPROXY_HTTP_ADDR: "127.0.0.1:0",
      EDGEPROXY_REGION_ID: REGION,
      EDGEPROXY_LOG_LEVEL: "debug",
      INGRESS_EDGE_ALLOW_CIDRS: "127.0.0.0/8",
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  })
  let out = ""
  let err = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text))
  const exited = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string | null)
  const log = (): readonly LogLine[] =>
    out
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LogLine)
  const logged = (message: string, fields: object = {}): Promise<LogLine> => {
    const find = () => log().findLast((line) => line.message === message && matches(line, fields))
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = find()
        if (found === undefined) return
        settle()
        resolve(found)
      }
      const fail = (why: string) => (): void => {
        settle()
        reject(new Error(`${why}, and had not logged ${message}:\n${out}\n${err}`))
      }
      const over = setTimeout(fail("60 s have passed"), 60_000)
      const ended = fail("the process has ended")
      const settle = (): void => {
        clearTimeout(over)
        child.stdout.off("data", look)
        child.off("close", ended)
      }
      child.stdout.on("data", look)
      child.once("close", ended)
      look()
    })
  }
  return {
    child,
    out: () => out,
    err: () => err,
    log,
    exited,
    logged,
    port: async () => (await logged("edgeproxy listening"))["port"] as number,
  }
}

const matches = (line: LogLine, fields: object): boolean =>
  Object.entries(fields).every(([name, value]) => line[name] === value)

export interface Received {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** A request to the edge for a hostname. */
export const ask = (port: number, host: string, options: http.RequestOptions = {}): Promise<Received> =>
  new Promise((resolve, reject) => {
    const headers = { host, ...(options.headers as http.OutgoingHttpHeaders | undefined) }
    const request = http.request({ host: "127.0.0.1", port, agent: false, ...options, headers }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (text: string) => (body += text))
      response.once("end", () => resolve({ status: response.statusCode!, headers: response.headers, body }))
      response.once("error", reject)
    })
    request.once("error", reject)
    request.end()
  })

export interface App {
  readonly port: number
  readonly requests: http.IncomingMessage[]
  readonly server: http.Server
  readonly close: () => Promise<void>
}

/** An app. `GET /` is its health check, and what is asked for besides is counted as well. */
export const startApp = async (handler: http.RequestListener, host = "127.0.0.1", port = 0): Promise<App> => {
  const requests: http.IncomingMessage[] = []
  const server = http.createServer((request, response) => {
    requests.push(request)
    handler(request, response)
  })
  server.listen(port, host)
  await once(server, "listening")
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    server,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
