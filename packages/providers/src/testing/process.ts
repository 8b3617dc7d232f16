import { conformanceApp } from "./app.ts"

/** A machine that is no more than this process: a proxy on one port, the conformance app on another. */
export interface ProcessMachine {
  readonly id: string
  /** Where its proxy listens now. Another one after each start, unless one was asked for. */
  readonly port: number
  /** Where the app listens. */
  readonly appPort: number
  /** Another one after each start. */
  readonly bootId: string
  /** Nobody listens at its port any more, and whoever was connected is cut off. */
  readonly stop: () => Promise<void>
  /** Listens anew; starts anew when it runs. */
  readonly start: (port?: number) => Promise<void>
  /** Stops, the app too. */
  readonly close: () => Promise<void>
}

export interface ProcessMachineOptions {
  /** The machine's id, which tickets must name. */
  readonly id: string
  /**
   * Takes the connections of the proxy's port: `createMachineProxy({ machine, loopback, keys }).connection` of
   * `@project-ingress/machine-proxy`.
   */
  readonly serve: (machine: { readonly machine: string; readonly loopback: string }) => (socket: never) => void
  /** The loopback address that the app listens on: two machines with the same `appPort` need two. 127.0.0.1. */
  readonly loopback?: string
  /** The app's port. Default: any that is free. */
  readonly appPort?: number
}

/** Starts a machine in this process; on Node, Bun and Deno. */
export const startMachine = async (options: ProcessMachineOptions): Promise<ProcessMachine> => {
  const { id, serve, loopback = "127.0.0.1" } = options
  const { http, net } = builtin()
  const app = conformanceApp(id)
  const inside = http.createServer(app.request).on("upgrade", app.upgrade)
  // An upgraded connection is nobody's to close but ours.
  const open = new Set<Socket>()
  const keep = (sockets: typeof open, socket: Socket): void => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  }
  inside.on("connection", (socket) => keep(open, socket))
  const appPort = await listen(inside, options.appPort ?? 0, loopback)

  let close: (() => Promise<void>) | undefined
  let boots = 0
  const machine = {
    id,
    appPort,
    port: 0,
    bootId: "",
    async stop() {
      await close?.()
      close = undefined
    },
    async start(port = 0) {
      await machine.stop()
      const sockets: typeof open = new Set()
      const connection = serve({ machine: id, loopback }) as (socket: Socket) => void
      const server = net.createServer((socket) => {
        keep(sockets, socket)
        connection(socket)
      })
      machine.port = await listen(server, port, "127.0.0.1")
      machine.bootId = `${id}-${++boots}`
      close = () =>
        new Promise((resolve) => {
          server.close(() => resolve())
          for (const socket of sockets) socket.destroy()
        })
    },
    async close() {
      await machine.stop()
      const closed = new Promise((resolve) => inside.close(resolve))
      for (const socket of open) socket.destroy()
      await closed
    },
  }
  await machine.start()
  return machine
}

// Not imported: this module is bundled for Workers together with the laws, and asks for them when a machine starts.
const builtin = () => ({
  http: globalThis.process.getBuiltinModule("node:http"),
  net: globalThis.process.getBuiltinModule("node:net"),
})
type Net = ReturnType<typeof builtin>["net"]
type Socket = InstanceType<Net["Socket"]>

const listen = (server: InstanceType<Net["Server"]>, port: number, host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, host, () => {
      server.off("error", reject)
      resolve((server.address() as { readonly port: number }).port)
    })
  })
