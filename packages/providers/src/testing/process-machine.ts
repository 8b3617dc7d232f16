import { accept, checkOptions } from "@project-ingress/forward/internal"
import { conformanceApp } from "./app.ts"

/** A machine that is a part of this process: a machine proxy on one port, the conformance app on another. */
export interface ProcessMachine {
  /** The machine's id, which tickets name. */
  readonly id: string
  /** The port of 127.0.0.1 that its machine proxy listens on now. Changes with each start, unless `start` gets one. */
  readonly port: number
  /** The port that the app listens on. */
  readonly appPort: number
  /** Changes with each start: `mach_1-2`. */
  readonly bootId: string
  /** Closes the machine proxy's port and its connections. The app keeps running. */
  readonly stop: () => Promise<void>
  /**
   * Listens again, on a free port or on the given one; restarts a running machine. Calls are done one after the other. Rejects
   * when the port is in use.
   */
  readonly start: (port?: number) => Promise<void>
  /** Stops the machine and its app. */
  readonly close: () => Promise<void>
}

/** What {@link startMachine} takes. */
export interface ProcessMachineOptions {
  /** The machine's id, which tickets must name. */
  readonly id: string
  /**
   * Makes what handles the connections to the machine proxy's port, a `net.Socket` each, once for each start:
   * `createMachineProxy({ machine, loopback, keys }).connection` of `@project-ingress/machine-proxy`.
   */
  readonly serve: (machine: { readonly machine: string; readonly loopback: string }) => (socket: never) => void
  /** The loopback address that the app listens on: two machines with the same `appPort` need two. Default 127.0.0.1. */
  readonly loopback?: string
  /** The app's port. Default: any free one. */
  readonly appPort?: number
}

/**
 * Starts a machine in this process, on Node, Bun and Deno. Its listeners do not keep a process running. Rejects when `appPort`
 * is in use, and with a `TypeError` for unknown, missing or invalid options.
 */
export const startMachine = async (options: ProcessMachineOptions): Promise<ProcessMachine> => {
  checkOptions(
    "startMachine",
    options,
    { id: accept.string, serve: accept.function, loopback: accept.string, appPort: accept.integer(0, 65_535) },
    { required: ["id", "serve"] },
  )
  const { id, serve, loopback = "127.0.0.1" } = options
  const { http, net } = builtin()
  const app = conformanceApp(id)
  const appServer = http.createServer(app.request).on("upgrade", app.upgrade)
  const appSockets = socketsOf(appServer)
  const appPort = await listen(appServer, options.appPort ?? 0, loopback)

  const machine = { id, appPort, port: 0, bootId: "" }
  let boots = 0
  let running: (() => Promise<void>) | undefined
  const stopNow = async (): Promise<void> => {
    await running?.()
    running = undefined
  }
  const startNow = async (port: number): Promise<void> => {
    await stopNow()
    const server = net.createServer(serve({ machine: id, loopback }) as (socket: Socket) => void)
    const sockets = socketsOf(server)
    machine.port = await listen(server, port, "127.0.0.1")
    machine.bootId = `${id}-${++boots}`
    running = () => closeServer(server, sockets)
  }
  // Two starts at once would leave one listener that nothing closes.
  let queue: Promise<unknown> = Promise.resolve()
  const oneByOne = (work: () => Promise<void>): Promise<void> => {
    const done = queue.then(work)
    queue = done.catch(() => {})
    return done
  }
  await startNow(0)
  return Object.assign(machine, {
    stop: () => oneByOne(stopNow),
    start: (port = 0) => oneByOne(() => startNow(port)),
    close: () =>
      oneByOne(async () => {
        await stopNow()
        await closeServer(appServer, appSockets)
      }),
  })
}

// Not imported: this module is bundled for Workers together with the laws, and needs them only when a machine starts.
const builtin = () => ({
  http: globalThis.process.getBuiltinModule("node:http"),
  net: globalThis.process.getBuiltinModule("node:net"),
})
type Net = ReturnType<typeof builtin>["net"]
type Server = InstanceType<Net["Server"]>
type Socket = InstanceType<Net["Socket"]>

/** The open connections of a server, upgraded ones too, which the server itself does not close. */
const socketsOf = (server: Server): ReadonlySet<Socket> => {
  const open = new Set<Socket>()
  server.on("connection", (socket: Socket) => {
    open.add(socket)
    socket.once("close", () => open.delete(socket))
  })
  return open
}

const listen = (server: Server, port: number, host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, host, () => {
      server.off("error", reject).unref()
      resolve((server.address() as { readonly port: number }).port)
    })
  })

const closeServer = (server: Server, sockets: ReadonlySet<Socket>): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    for (const socket of sockets) socket.destroy()
  })
