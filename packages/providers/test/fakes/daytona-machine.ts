/** What runs in a sandbox: an app that says what it received, and the real machine proxy in front of it, with keys. */
import { once } from "node:events"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import type { SigningKey } from "@project-ingress/forward"
import { WebSocketServer } from "ws"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import { answer, listen } from "./http.ts"

export interface FakeMachine {
  /** The machine's id, which its tickets must name. */
  readonly id: string
  readonly proxyPort: number
  readonly appPort: number
  readonly signing: SigningKey
  readonly close: () => Promise<void>
}

/** The app answers 299 with method, path and raw headers as JSON, and echoes over WebSocket. */
export const fakeMachine = async (id = "mach_1"): Promise<FakeMachine> => {
  const { signing } = await generateTicketKeys("k1")
  const echo = new WebSocketServer({ noServer: true })
  const app = await listen(
    (request, response) =>
      answer(response, 299, { method: request.method, url: request.url, headers: request.rawHeaders }),
    (request, socket, head) =>
      echo.handleUpgrade(request, socket, head, (client) =>
        client.on("message", (data: Buffer) => client.send(data, { binary: false })),
      ),
  )
  const proxy = createMachineProxy({ machine: id, keys: [await machineKey(signing, id)] })
  const server = createServer(proxy.connection).listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    id,
    proxyPort: (server.address() as AddressInfo).port,
    appPort: app.port,
    signing,
    async close() {
      server.close()
      await proxy.drain({ deadlineMs: 0 })
      await app.close()
    },
  }
}
