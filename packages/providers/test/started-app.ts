import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import type { conformanceApp } from "../src/testing/app.ts"

/** The conformance app, listening on a loopback address. */
export const startedApp = async (
  app: ReturnType<typeof conformanceApp>,
  host = "127.0.0.1",
  port = 0,
): Promise<{ readonly port: number; readonly close: () => Promise<void> }> => {
  const sockets = new Set<Socket>()
  const server = createServer(app.request as never).on("upgrade", app.upgrade as never)
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })
  server.listen(port, host)
  await once(server, "listening")
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
