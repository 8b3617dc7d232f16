/**
 * What stands behind the Durable Objects of Cloudflare's containers, on a real socket: starts a container when it is asked for,
 * and sends on to the port that the request names. The words are those of `Container.containerFetch` (@cloudflare/containers
 * 0.3.7). The objects themselves are in the Worker: `FakeContainer` of conformance-worker.ts, or the vendor's own class in
 * conformance-sandbox-worker.ts.
 */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { answer, listen, refuse, sendOn, upgradeOn } from "./http.ts"
import type { FakeServer, Onward, Said } from "./http.ts"

export interface FakeContainerState {
  running: boolean
  /** Who listens on its port 8080, on this host. */
  proxyPort: number
  /** What boots inside when it is started. */
  boot: () => Promise<void>
}

export interface ContainerHost {
  readonly origin: string
  readonly container: (name: string, proxyPort: number) => FakeContainerState
  /** Stops a container, and tells who monitors it. */
  readonly stop: (name: string) => void
  /** Instead of what it would do. */
  always: Said | undefined
  readonly close: FakeServer["close"]
}

export const containerHost = async (): Promise<ContainerHost> => {
  const containers = new Map<string, FakeContainerState>()
  const monitors = new Map<() => void, string>()
  const text = (status: number, body: string): Said => ({ status, body, headers: { "content-type": "text/plain" } })

  const decide = async (request: IncomingMessage): Promise<Said | Onward> => {
    if (host.always !== undefined) return host.always
    const { "x-container": name = "", "x-container-port": port = "", ...headers } = request.headers
    const container = containers.get(String(name))
    if (container === undefined) return text(500, "Failed to start container: no such image")
    if (!container.running) await container.boot()
    container.running = true
    if (port !== "8080") return text(500, `Error proxying request to container: nothing listens on ${String(port)}`)
    return {
      port: container.proxyPort,
      headers,
      unreached: () => text(500, "Container suddenly disconnected, try again"),
    }
  }

  const server = await listen(
    async (request, response) => {
      if (request.url === "/state") {
        const running = containers.get(String(request.headers["x-container"]))?.running === true
        return answer(response, 200, { status: running ? "healthy" : "stopped" })
      }
      if (request.url === "/exit") {
        const exited = () => {
          monitors.delete(exited)
          answer(response, 200)
        }
        return void monitors.set(exited, String(request.headers["x-container"]))
      }
      const what = await decide(request)
      if ("status" in what) answer(response, what.status, what.body, what.headers)
      else sendOn(request, response, what)
    },
    (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      void decide(request).then((what) => {
        if ("status" in what) refuse(socket, what)
        else upgradeOn(request, socket, head, what)
      })
    },
  )
  const host: ContainerHost = {
    origin: server.origin,
    container(name, proxyPort) {
      const made: FakeContainerState = { running: true, proxyPort, boot: async () => {} }
      containers.set(name, made)
      return made
    },
    stop(name) {
      containers.get(name)!.running = false
      for (const [exited, of] of monitors) if (of === name) exited()
    },
    always: undefined,
    close: server.close,
  }
  return host
}
