/* oxlint-disable vitest/no-standalone-expect -- helpers assert and wait; they stand beside what they are for */
/**
 * For bodies too large to keep, and for what the kernel and the process know: exact octets held by a proxy, open
 * descriptors, and proxies, apps and clients as processes of their own that can be killed.
 */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { readFileSync, readdirSync, readlinkSync } from "node:fs"
import * as net from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { EngineEvent } from "@project-ingress/forward/sockets"
import { expect } from "vitest"
import { createMachineProxy } from "../../src/machine-proxy.ts"
import type { MachineProxy, MachineProxyOptions } from "../../src/machine-proxy.ts"
import { machine, ticketFor, verification } from "../harness.ts"
import { Watch, hexPort } from "./harness.ts"

export const KiB = 1_024
export const MiB = 1_024 * 1_024

/** The most that this runtime reads from a socket at once, in octets. */
export const READ = process.versions["bun"] === undefined ? 64 * KiB : 512 * KiB

/** A head for the app behind `port`: request line, fields, ticket and target. */
export const headTo = (port: number, line: string, ...fields: readonly string[]): string =>
  [
    line,
    "Host: app.example.com",
    ...fields,
    `x-iterate-proxy-ticket: ${ticketFor(`${port}__app.example.com`)}`,
    `x-iterate-proxy-target-host: ${port}__app.example.com`,
    "",
    "",
  ].join("\r\n")

/** A machine proxy of its own, for tests that end it. */
export interface OwnMachine extends AsyncDisposable {
  readonly port: number
  readonly proxy: MachineProxy
  readonly server: net.Server
  readonly events: EngineEvent[]
}

export const startMachine = async (options: Partial<MachineProxyOptions> = {}): Promise<OwnMachine> => {
  const events: EngineEvent[] = []
  const proxy = createMachineProxy({
    machine,
    keys: [verification],
    onEvent: (event) => events.push(event),
    ...options,
  })
  const server = net.createServer(proxy.connection)
  server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 })
  await once(server, "listening")
  return {
    port: (server.address() as AddressInfo).port,
    proxy,
    server,
    events,
    [Symbol.asyncDispose]: async () => {
      server.close()
      await proxy.drain({ deadlineMs: 0 })
    },
  }
}

/** A server whose connections are the test's to handle; what is left of them is destroyed at the end. */
export interface RawServer extends AsyncDisposable {
  readonly port: number
  readonly sockets: Set<Socket>
}

export const startServer = async (onSocket: (socket: Socket) => void, host = "127.0.0.1"): Promise<RawServer> => {
  const sockets = new Set<Socket>()
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on("error", () => undefined)
    socket.on("close", () => sockets.delete(socket))
    socket.on("end", () => socket.end())
    onSocket(socket)
  })
  server.listen({ port: 0, host, backlog: 4_096 })
  await once(server, "listening")
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    [Symbol.asyncDispose]: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, "close")
    },
  }
}

/** Runs once the head of the first request is there, with what came after it. */
export const afterHead = (socket: Socket, run: (head: string, rest: Buffer) => void): void => {
  let text = Buffer.alloc(0)
  const onData = (data: Buffer) => {
    text = Buffer.concat([text, data])
    const end = text.indexOf("\r\n\r\n")
    if (end < 0) return
    socket.off("data", onData)
    run(text.toString("latin1", 0, end + 4), text.subarray(end + 4))
  }
  socket.on("data", onData)
}

/** Resolves once the socket is closed, however. */
export const gone = (socket: Socket): Promise<void> =>
  socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once("close", () => resolve()))

export const connectTo = async (port: number): Promise<Socket> => {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true })
  socket.on("error", () => undefined)
  await once(socket, "connect")
  return socket
}

/** Writes that many octets, at the pace of the peer. Resolves when the kernel has them all; `false` when it never will. */
export const pour = async (socket: Socket, total: number, piece = Buffer.alloc(64 * KiB, "x")): Promise<boolean> => {
  for (let left = total; left > 0 && !socket.destroyed; left -= piece.length) {
    if (socket.write(left < piece.length ? piece.subarray(0, left) : piece)) continue
    // `once` would reject on an error; a close is an answer here.
    await new Promise<void>((resolve) => {
      const over = () => {
        socket.off("drain", over)
        socket.off("close", over)
        resolve()
      }
      socket.on("drain", over)
      socket.on("close", over)
    })
  }
  return !socket.destroyed
}

/** Counts what comes, keeping only the first octets of it. */
export class Sink extends Watch {
  octets = 0
  head = ""
  closed: "fin" | "reset" | undefined
  readonly socket: Socket

  constructor(socket: Socket) {
    super()
    this.socket = socket
    socket.on("data", (data: Buffer) => {
      if (this.head.length < 4_096) this.head += data.toString("latin1", 0, 4_096)
      this.octets += data.length
      this.poke()
    })
    for (const [event, closed] of [
      ["end", "fin"],
      ["error", "reset"],
      ["close", "reset"],
    ] as const) {
      socket.on(event, () => {
        this.closed ??= closed
        this.poke()
      })
    }
  }

  async close(deadlineMs = 5_000): Promise<"fin" | "reset"> {
    await this.until(
      () => this.closed !== undefined,
      () => `a close after ${this.octets} octets`,
      deadlineMs,
    )
    return this.closed!
  }

  async received(octets: number, deadlineMs = 10_000): Promise<void> {
    await this.until(
      () => this.octets >= octets || this.closed !== undefined,
      () => `${octets} octets, got ${this.octets}`,
      deadlineMs,
    )
    expect(this.octets).toBeGreaterThanOrEqual(octets)
  }
}

// ---- what the kernel knows ------------------------------------------------------------------------------------------

/** Octets in the kernel's queues of one side of a connection: sent but not yet taken by the peer, received but not read. */
const queues = (table: string, local: number, remote: number): number => {
  const line = table.split("\n").find((row) => {
    const [, from, to] = row.trim().split(/\s+/)
    return from?.endsWith(`:${hexPort(local)}`) === true && to?.endsWith(`:${hexPort(remote)}`) === true
  })
  const [tx, rx] = line?.trim().split(/\s+/)[4]?.split(":") ?? []
  return Number.parseInt(tx ?? "0", 16) + Number.parseInt(rx ?? "0", 16)
}

/**
 * What the kernel took from this socket: what was written less what still waits in libuv. Bun and Deno do not tell the latter;
 * there it is less what waits in the stream, too little by what the kernel took of one unfinished write.
 */
const given = (socket: Socket): number => {
  const { _handle: handle } = socket as unknown as {
    readonly _handle: { readonly bytesWritten?: number; readonly writeQueueSize?: number } | null
  }
  if (handle === null) throw new Error("the socket is closed")
  const { bytesWritten, writeQueueSize } = handle
  if (bytesWritten !== undefined && writeQueueSize !== undefined) return bytesWritten - writeQueueSize
  return socket.bytesWritten - socket.writableLength
}

/**
 * Octets on the way from one socket to another through a proxy that neither end nor any kernel queue has: what the proxy
 * itself holds. Waits until nothing moves, since only then the kernel's numbers belong together.
 */
export const heldBetween = async (
  from: Socket,
  to: Socket,
): Promise<{ readonly held: number; readonly sent: number }> => {
  const look = (): { held: number; sent: number } => {
    const table = readFileSync("/proc/net/tcp", "latin1")
    const inKernel =
      queues(table, from.localPort!, from.remotePort!) +
      queues(table, from.remotePort!, from.localPort!) +
      queues(table, to.localPort!, to.remotePort!) +
      queues(table, to.remotePort!, to.localPort!)
    return { held: given(from) - to.bytesRead - inKernel, sent: given(from) }
  }
  let [last, same] = ["", 0]
  await expect
    .poll(
      () => {
        const now = JSON.stringify(look())
        same = now === last ? same + 1 : 0
        last = now
        return same
      },
      { interval: 60, timeout: 20_000 },
    )
    .toBeGreaterThanOrEqual(3)
  return look()
}

/** Open sockets of a process. */
export const socketsOf = (pid: number | "self" = "self"): number =>
  readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith("socket:")
    } catch {
      return false
    }
  }).length

/** Resident memory of a process, in octets. */
export const residentOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))![1]) * KiB

// ---- processes ------------------------------------------------------------------------------------------------------

export interface Running extends AsyncDisposable {
  readonly child: ChildProcess
  readonly port: number
  readonly pid: number
  /** Everything on its standard error. */
  readonly complaints: () => string
  readonly exited: Promise<unknown>
}

const running = async (
  [command, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
  portIn: (line: string) => number | undefined,
): Promise<Running> => {
  const child = spawn(command, args, {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  })
  let complaints = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text))
  const exited = once(child, "close")
  let port: number | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    port = portIn(line)
    if (port !== undefined) break
  }
  child.stdout.resume()
  if (port === undefined) throw new Error(`no port: ${complaints}`)
  const made: Running = {
    child,
    port,
    pid: child.pid!,
    complaints: () => complaints,
    exited,
    [Symbol.asyncDispose]: async () => {
      signal(made, "SIGKILL")
      await exited
    },
  }
  return made
}

/** Sends a signal. Not by `child.kill`: Deno's sends no second one. */
export const signal = ({ child, pid }: Running, name: NodeJS.Signals): void => {
  if (child.exitCode === null && child.signalCode === null) process.kill(pid, name)
}

/** Octets that a command of {@link startCommand} still reaches after a collection. */
export const heapOf = async (command: Running): Promise<number> => {
  const { child } = command
  let text = ""
  const told = new Promise<number>((resolve) => {
    const onData = (data: Buffer) => {
      text += data.toString("latin1")
      const found = /heap (\d+)\n/.exec(text)
      if (found === null) return
      child.stdout!.off("data", onData)
      resolve(Number(found[1]))
    }
    child.stdout!.on("data", onData)
  })
  signal(command, "SIGUSR2")
  return told
}

const besides = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/** How this runtime runs a TypeScript file from the sources, complains of everything, and has `tell-heap.ts` run first. */
const commandLine = (): string[] => {
  const [tellHeap, bin] = [besides("tell-heap.ts"), besides("../../src/bin.ts")]
  const conditions = "--conditions=@project-ingress/source"
  if (process.versions["bun"] !== undefined) return [conditions, "--preload", tellHeap, bin]
  if (process.versions["deno"] !== undefined) {
    return ["run", "--allow-all", "--v8-flags=--expose-gc", conditions, "--preload", tellHeap, bin]
  }
  return ["--unhandled-rejections=strict", "--trace-warnings", "--expose-gc", conditions, "--import", tellHeap, bin]
}

/** The command, in a process of its own, with so many descriptors. */
export const startCommand = (
  env: Readonly<Record<string, string>> = {},
  descriptors: number | "as usual" = "as usual",
): Promise<Running> =>
  running(
    descriptors === "as usual"
      ? [process.execPath, ...commandLine()]
      : ["sh", "-c", `ulimit -n ${descriptors}; exec "$0" "$@"`, process.execPath, ...commandLine()],
    {
      HOST: "127.0.0.1",
      PORT: "0",
      INGRESS_LOG: "off",
      INGRESS_MACHINE: machine,
      INGRESS_TICKET_KEYS: JSON.stringify({ keys: [verification] }),
      ...env,
    },
    (line) => (line.includes('"ready"') ? (JSON.parse(line) as { port: number }).port : undefined),
  )

/** A script for `node -e` that prints the port it listens on, or 0 when it does not listen. */
export const startScript = (script: string, env: Readonly<Record<string, string>> = {}): Promise<Running> =>
  running([process.execPath, "-e", script], env, (line) => (/^\d+$/.test(line) ? Number(line) : undefined))
