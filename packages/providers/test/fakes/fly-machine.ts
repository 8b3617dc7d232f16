/** A machine image in this process: the real machine proxy, and an app behind it. */
import { once } from "node:events"
import { createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import type { MachineProxyOptions } from "../../../machine-proxy/src/machine-proxy.ts"
import { listen } from "./http.ts"
import type { Handler, UpgradeHandler } from "./http.ts"

export interface MachineImage {
  /** Where the machine's proxy listens. */
  readonly port: number
  /** Where the app listens, which only the proxy may ask. */
  readonly appPort: number
  readonly close: () => Promise<void>
}

export const machineImage = async (
  options: Pick<MachineProxyOptions, "machine" | "keys">,
  app: Handler,
  onUpgrade?: UpgradeHandler,
): Promise<MachineImage> => {
  const behind = await listen(app, onUpgrade)
  const proxy = createMachineProxy({ ...options, loopback: "127.0.0.1" })
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    proxy.connection(socket)
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    port: (server.address() as AddressInfo).port,
    appPort: behind.port,
    async close() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await Promise.all([once(server, "close"), behind.close()])
    },
  }
}
