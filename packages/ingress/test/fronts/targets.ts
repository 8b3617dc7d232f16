import { once } from "node:events"
import { createServer } from "node:http"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"

/** Little apps that say which one they are, and what they were sent. */
export interface Targets {
  readonly url: (target: string, scheme?: string) => string
  readonly port: (target: string) => number
  readonly close: () => Promise<void>
}

export const openTargets = async (names: readonly string[]): Promise<Targets> => {
  const servers = new Map<string, Server>()
  for (const name of names) {
    const server = createServer((request, response) => {
      request.resume()
      response.setHeader("x-powered-by", "a test")
      response.setHeader("content-type", "application/json")
      response.end(JSON.stringify({ target: name, seen: request.headers }))
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    servers.set(name, server)
  }
  const port = (target: string): number => (servers.get(target)!.address() as AddressInfo).port
  return {
    port,
    url: (target, scheme = "http") => `${scheme}://127.0.0.1:${port(target)}`,
    close: async () => {
      for (const server of servers.values()) {
        server.closeAllConnections()
        server.close()
        await once(server, "close")
      }
    },
  }
}
