import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { generateTicketKeys, machineKey, ticketVerifier } from "@project-ingress/forward"
import type { SigningKey, TicketVerifier } from "@project-ingress/forward"
import { WebSocketServer } from "ws"

/** A machine on loopback: an app, and what its proxy does for it. */
export interface TestMachine {
  readonly port: number
  /** Signs tickets that the machine accepts. */
  readonly signing: SigningKey
  readonly verify: TicketVerifier
  readonly close: () => Promise<void>
}

/** Starts the machine `mach_1`. It echoes WebSocket messages; HTTP requests are the app's. */
export const startMachine = async (
  app: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<TestMachine> => {
  const { signing } = await generateTicketKeys("worker-test")
  const machineKeys = [await machineKey(signing, "mach_1")]
  const verify = ticketVerifier(() => machineKeys, "mach_1")
  /** What a machine's proxy proves itself with. */
  const stampFor = async ({ headers }: IncomingMessage): Promise<string> => {
    const verified = await verify(headers["x-iterate-proxy-ticket"] as string)
    return "refusal" in verified ? "refused" : verified.stamps!.response
  }
  const server = createServer((request, response) => {
    void stampFor(request).then((stamp) => app(request, response.setHeader("x-iterate-proxy-stamp", stamp)))
  })
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => "echo" })
  const stamps = new WeakMap<IncomingMessage, string>()
  server.on("upgrade", (request: IncomingMessage, socket, head) => {
    void stampFor(request).then((stamp) => {
      stamps.set(request, stamp)
      sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit("connection", opened))
    })
  })
  sockets.on("headers", (headers, request) => headers.push(`x-iterate-proxy-stamp: ${stamps.get(request)}`))
  sockets.on("connection", (socket) => {
    socket.on("message", (data, binary) => socket.send(data, { binary }))
    socket.on("close", (code) => socket.close(code === 1005 ? undefined : code))
  })
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
  return {
    port: (server.address() as AddressInfo).port,
    signing,
    verify,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
