import type { AddressInfo } from "node:net"
import { setFlagsFromString } from "node:v8"
import { defaultGraceMs, jsonLine } from "@project-ingress/forward/internal"
import type { Config } from "./config.ts"
import { reloadableKeys, UNPROVEN_HINT, unprovenReason } from "./keys.ts"
import type { ReloadableKeys } from "./keys.ts"
import { createListener, listenOptions } from "./listener.ts"
import { logLine } from "./log.ts"
import { createMachineProxy } from "./machine-proxy.ts"
import { loggedRelay } from "./relay/logged-relay.ts"
import { notifyReady } from "./ready.ts"
import { openTlsKeyFile } from "./tls-key-file.ts"

/** Runs the proxy until a signal ends the process. Owns the process: its signals, its exit code, its two streams. */
export const serve = (name: string, config: Config): void => {
  const { tlsKeyFile } = config
  const tls = tlsKeyFile === undefined ? undefined : openTlsKeyFile(tlsKeyFile)
  if (tls !== undefined && "problem" in tls) {
    process.stderr.write(`${name}: INGRESS_TLS_KEY_FILE: ${JSON.stringify(tlsKeyFile)} ${tls.problem}\n`)
    process.exitCode = 2
    return
  }
  keepNewSpaceSmall()
  const keys = keysOf(config)
  const { log: level, proxy: options } = config
  const proxy = createMachineProxy({
    ...options,
    ...(keys === undefined ? {} : { keys: keys.current }),
    onEvent: (event) => {
      const text = logLine(event, level, new Date())
      if (text !== undefined) process.stdout.write(`${text}\n`)
    },
  })

  const server = createListener(proxy, tls, (cause) => {
    if (level !== "off") log("warn", "tls", { cause })
  })
  server.listen(listenOptions(config.host, config.port))
  server.once("listening", () => {
    const { address: host, port } = server.address() as AddressInfo
    const insecure = options.keys === "insecure"
    const { pin } = tls ?? {}
    log("info", "ready", { host, port, machine: options.machine, insecure, ...(pin && { pin }), pid: process.pid })
    logUnproven(options.keys)
    if (config.readyFd === undefined) return
    const problem = notifyReady(config.readyFd)
    // The proxy serves nevertheless: the supervisor has a time-out of its own.
    if (problem !== undefined) log("error", "ready", { cause: `INGRESS_READY_FD ${problem}` })
  })
  server.on("error", (error: NodeJS.ErrnoException) => {
    // While it listens (EMFILE), the next connection may succeed; before, the address is the only possible reason.
    if (server.listening) {
      log("error", "listener", { cause: error.message })
    } else {
      const taken = "the port is in use: set PORT to another one, or to 0 for any free one"
      const why = error.code === "EADDRINUSE" ? taken : error.message
      process.stderr.write(`${name}: cannot listen on ${config.host} port ${config.port}: ${why}\n`)
      process.exitCode = 1
    }
  })

  const { relayUrl: url } = config
  const relay =
    url === undefined || options.keys === "insecure"
      ? undefined
      : loggedRelay({ url, machine: options.machine, keys: keys?.current ?? options.keys }, proxy, (...line) => {
          if (level !== "off") log(...line)
        })
  let stopping = false
  const stop = (signal: NodeJS.Signals): void => {
    // A second signal means: do not wait.
    if (stopping) process.exit(130)
    stopping = true
    log("info", "stopping", { signal })
    // An interrupt comes from a terminal: nobody's load balancer has to find out.
    const { drainMs, graceMs = defaultGraceMs(drainMs) } = config
    const drain = { deadlineMs: drainMs, graceMs: signal === "SIGINT" ? 0 : graceMs, listeners: [server] }
    const stopped = Promise.all([proxy.drain(drain), relay?.then((open) => open.close({ deadlineMs: drainMs }))])
    void stopped.then(() => process.exit(0))
  }
  process.on("SIGTERM", stop)
  process.on("SIGINT", stop)
  if (keys !== undefined) process.on("SIGHUP", () => reload(keys))
}

const keysOf = ({ keysFile, proxy: { keys } }: Config): ReloadableKeys | undefined =>
  keysFile === undefined || keys === "insecure" ? undefined : reloadableKeys(keysFile, keys)

const reload = (keys: ReloadableKeys): void => {
  const read = keys.reload()
  if ("keys" in read) {
    log("info", "keys", { count: read.keys.length, kids: read.keys.map(({ kid }) => kid).join(" ") })
    logUnproven(read.keys)
  } else {
    log("error", "keys", { cause: `INGRESS_TICKET_KEYS_FILE ${read.problem}; the current keys stay` })
  }
}

const logUnproven = (keys: Config["proxy"]["keys"]): void => {
  const reason = unprovenReason(keys)
  if (reason !== undefined) log("warn", "unproven", { cause: `${reason}: ${UNPROVEN_HINT}` })
}

/** Writes a line about the process: errors to stderr, everything else to stdout, as requests are. */
const log = (level: "info" | "warn" | "error", message: string, fields: Parameters<typeof jsonLine>[0]): void => {
  const stream = level === "error" ? process.stderr : process.stdout
  stream.write(`${jsonLine({ time: new Date().toISOString(), level, message, ...fields })}\n`)
}

/**
 * Keeps V8's new space as small as it is at the start, 1 to 4 MiB. Each read of a socket allocates 64 KiB outside of
 * the heap; while the new space grows to its default 16 MiB, so much of it accumulates between two scavenges that V8
 * starts full collections (measured in 3 s of 16 KiB posts: 1 or 2 with this, 2 to 19 without). By this flag, because
 * V8 sizes its heap before any script runs: from then on `--max-semi-space-size` changes nothing (`--trace-gc-nvp`,
 * Node 24). The whole process is this proxy, so no other code's heap is affected.
 */
const keepNewSpaceSmall = (): void => {
  if ("bun" in process.versions || "deno" in process.versions) return
  setFlagsFromString("--semi-space-growth-factor=1")
}
