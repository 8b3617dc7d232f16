/** What stateful fakes stand on: a server on a real socket that a test can close. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type { Duplex } from "node:stream"

export interface FakeServer {
  /** `http://127.0.0.1:<port>` */
  readonly origin: string
  readonly port: number
  /** Cuts every connection, idle or not. */
  readonly close: () => Promise<void>
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** Listens on a free port of the loopback. A handler that throws answers 599, so that a fake's own bug is seen as one. */
export const listen = async (handler: Handler, onUpgrade?: UpgradeHandler): Promise<FakeServer> => {
  const upgraded = new Set<Duplex>()
  const server = createServer((request, response) => {
    Promise.resolve()
      .then(() => handler(request, response))
      .catch((error: unknown) => {
        if (response.headersSent) response.destroy()
        else response.writeHead(599).end(`the fake failed: ${String(error)}`)
      })
  })
  if (onUpgrade !== undefined) {
    server.on("upgrade", (request, socket, head) => {
      upgraded.add(socket)
      socket.on("close", () => upgraded.delete(socket)).on("error", () => {})
      onUpgrade(request, socket, head)
    })
  }
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    async close() {
      for (const socket of upgraded) socket.destroy()
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    },
  }
}

/** Answers with JSON, a text as it is, or nothing. */
export const answer = (
  response: ServerResponse,
  status: number,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): void => {
  if (body === undefined || typeof body === "string") response.writeHead(status, headers).end(body)
  else {
    const type = { "content-type": "application/json; charset=utf-8" }
    response.writeHead(status, { ...type, ...headers }).end(JSON.stringify(body))
  }
}
