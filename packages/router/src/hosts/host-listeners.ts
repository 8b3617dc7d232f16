import type { AddressInfo, Server } from "node:net"
import type { RouterProgram } from "../router-program.ts"
import type { ReportError } from "./report-error.ts"

/** Where a listener is to be. */
export interface ListenAt {
  readonly port?: number
  /** Default: every address. */
  readonly hostname?: string
}

/** One listener that is open. */
export interface HostListener {
  readonly port: number
  /** Stops the host by `drain`, which is given all listeners that it has; then providers are not followed any more for this one. */
  readonly close: (drain: (listeners: readonly Server[]) => Promise<void>) => Promise<void>
}

/** The listeners of one host on TCP. Each follows what providers report of their machines while it is open. */
export interface HostListeners {
  /** Rejects if it cannot listen. */
  readonly open: (server: Server, at: ListenAt) => Promise<HostListener>
}

export const hostListeners = (program: Pick<RouterProgram, "watch">, report: ReportError): HostListeners => {
  const servers = new Set<Server>()
  return {
    open: (server, { port = 0, hostname }) =>
      new Promise((resolve, reject) => {
        const watching = new AbortController()
        server.once("error", reject)
        server.listen({ port, ...(hostname === undefined ? {} : { host: hostname }) }, () => {
          server.off("error", reject)
          // What goes wrong with accepting later (EMFILE) must not end the process.
          server.on("error", (cause) => report("Overloaded", cause))
          servers.add(server)
          server.once("close", () => servers.delete(server))
          void program.watch(watching.signal)
          resolve({
            port: (server.address() as AddressInfo).port,
            close: async (drain) => {
              await drain([...servers])
              watching.abort()
            },
          })
        })
      }),
  }
}
