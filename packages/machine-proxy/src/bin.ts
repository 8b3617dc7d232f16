#!/usr/bin/env node
import { readFileSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { parseArgs } from "node:util"
import { setFlagsFromString } from "node:v8"
import { readConfig, variables } from "./config.ts"
import type { Config } from "./config.ts"
import { reloadableKeys } from "./keys.ts"
import { line, logLine } from "./log.ts"
import { createMachineProxy } from "./machine-proxy.ts"
import { notifyReady } from "./ready.ts"

const NAME = "project-ingress-machine-proxy"

const help = (): string => `${NAME} [--insecure] [--help] [--version]

The proxy inside a machine: listens on one port, sends each request that bears a ticket on to the local port it names.
--insecure takes requests without a ticket: whoever reaches the port reaches every app.

${Object.entries(variables)
  .map(([name, accepted]) => `${name.padEnd(37)}${accepted}`)
  .join("\n")}
`

const version = (): string => {
  const file = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }
  return file.version
}

const out = (text: string): boolean => process.stdout.write(`${text}\n`)
const err = (text: string): boolean => process.stderr.write(`${text}\n`)

const now = (): string => new Date().toISOString()

/**
 * Keeps V8's new space as small as it is at the start, 1 to 4 MiB. Each read of a socket allocates 64 KiB outside of the
 * heap; while the new space grows to its default 16 MiB, so much of it gathers between two scavenges that V8 starts full
 * collections (measured in 3 s of 16 KiB posts: 1 or 2 with this, 2 to 19 without). By this flag, because V8 sizes its heap
 * before any script runs: from then on `--max-semi-space-size` changes nothing (`--trace-gc-nvp`, Node 24). The whole
 * process is this proxy, so nobody else's heap is touched.
 */
const keepNewSpaceSmall = (): void => {
  if ("bun" in process.versions || "deno" in process.versions) return
  setFlagsFromString("--semi-space-growth-factor=1")
}

const run = (config: Config): void => {
  const { keysFile, log, readyFd, proxy: options } = config
  const keys =
    keysFile === undefined || options.keys === "insecure" ? undefined : reloadableKeys(keysFile, options.keys)
  const proxy = createMachineProxy({
    ...options,
    ...(keys === undefined ? {} : { keys: keys.current }),
    onEvent: (event) => {
      const text = logLine(event, log, new Date())
      if (text !== undefined) out(text)
    },
  })
  const server = createServer({ noDelay: true }, proxy.connection)
  // More than Node's 511: a burst of connections is normal for a proxy.
  server.listen({ host: config.host, port: config.port, backlog: 4_096 })
  server.once("listening", () => {
    const { address, port } = server.address() as AddressInfo
    out(
      line({
        time: now(),
        level: "info",
        message: "ready",
        host: address,
        port,
        machine: options.machine,
        insecure: options.keys === "insecure",
        pid: process.pid,
      }),
    )
    if (readyFd !== undefined) {
      const problem = notifyReady(readyFd)
      // Serving is worth more than the notice of it: the supervisor's own time-out decides.
      if (problem !== undefined)
        err(line({ time: now(), level: "error", message: "ready", cause: `INGRESS_READY_FD ${problem}` }))
    }
  })
  server.on("error", (error: NodeJS.ErrnoException) => {
    // Before it listens nothing else can be wrong; later (EMFILE) the next connection may succeed.
    if (server.listening) {
      err(line({ time: now(), level: "error", message: "listener", cause: error.message }))
    } else {
      const why = error.code === "EADDRINUSE" ? "the port is in use" : error.message
      err(`${NAME}: cannot listen on ${config.host} port ${config.port}: ${why}`)
      process.exitCode = 1
    }
  })

  let stopping = false
  const stop = (signal: NodeJS.Signals): void => {
    // Whoever asks twice does not want to wait.
    if (stopping) process.exit(130)
    stopping = true
    out(line({ time: now(), level: "info", message: "stopping", signal }))
    server.close()
    void proxy.drain({ deadlineMs: config.drainMs }).then(() => process.exit(0))
  }
  if (keys !== undefined) {
    process.on("SIGHUP", () => {
      const read = keys.reload()
      if ("keys" in read) {
        const kids = read.keys.map(({ kid }) => kid).join(" ")
        out(line({ time: now(), level: "info", message: "keys", count: read.keys.length, kids }))
      } else {
        const cause = `INGRESS_TICKET_KEYS_FILE ${read.problem}; the keys stay as they were`
        err(line({ time: now(), level: "error", message: "keys", cause }))
      }
    })
  }
  process.on("SIGTERM", stop)
  process.on("SIGINT", stop)
}

const main = (): void => {
  keepNewSpaceSmall()
  // Whoever read the log has left: no reason to stop serving.
  process.stdout.on("error", () => {})
  process.stderr.on("error", () => {})
  let flags: { readonly insecure?: boolean; readonly help?: boolean; readonly version?: boolean }
  try {
    flags = parseArgs({
      options: { insecure: { type: "boolean" }, help: { type: "boolean" }, version: { type: "boolean" } },
    }).values
  } catch (error) {
    err(`${NAME}: ${(error as Error).message}`)
    process.exitCode = 2
    return
  }
  if (flags.help === true) return void process.stdout.write(help())
  if (flags.version === true) return void out(version())
  const read = readConfig(process.env, { insecure: flags.insecure === true })
  for (const warning of read.warnings) err(`${NAME}: warning: ${warning}`)
  if ("problems" in read) {
    for (const problem of read.problems) err(`${NAME}: ${problem}`)
    process.exitCode = 2
    return
  }
  if (flags.insecure === true) err(`${NAME}: warning: --insecure: every app is open to whoever reaches this port`)
  run(read.config)
}

main()
