/** Regions on loopback: in each a router on sockets behind a load balancer that passes bytes on. */
import { once } from "node:events"
import { request } from "node:http"
import type { ClientRequest, IncomingMessage } from "node:http"
import { connect, createServer } from "node:net"
import type { AddressInfo, Server, Socket } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { local } from "@project-ingress/providers/local"
import { WebSocket } from "ws"
import { serveNode } from "../../src/hosts/node.ts"
import { regions } from "../../src/regions.ts"
import type { RegionBalancer, RegionsOptions } from "../../src/regions.ts"
import { createRouter } from "../../src/router.ts"
import type { Router, RouterEvent, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import type { MemoryStore, RouteInput } from "../../src/stores/memory.ts"
import { hostnames, keys } from "../fakes.ts"

/** A load balancer of layer 4, and what it passed on. */
export interface TestBalancer {
  readonly port: number
  /** Where it leads: the port of a region's router. */
  to: number
  /** Connections accepted. */
  connections: number
  /** All that went to the router, and all that came back, as text. */
  sent: string
  received: string
  readonly close: () => Promise<void>
}

export const startBalancer = async (
  tls?: { readonly key: string; readonly cert: string },
  toPort = 0,
): Promise<TestBalancer> => {
  const sockets = new Set<Socket>()
  const accepted = (client: Socket): void => {
    balancer.connections++
    const router = connect({ port: balancer.to, host: "127.0.0.1" })
    for (const [from, other] of [
      [client, router],
      [router, client],
    ] as const) {
      sockets.add(from)
      from.on("error", () => other.destroy())
      from.on("close", () => other.destroy())
    }
    client.on("data", (bytes) => (balancer.sent += bytes.toString("latin1")))
    router.on("data", (bytes) => (balancer.received += bytes.toString("latin1")))
    client.pipe(router).pipe(client)
  }
  const server: Server = tls === undefined ? createServer(accepted) : createTlsServer(tls, accepted)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const balancer: TestBalancer = {
    port: (server.address() as AddressInfo).port,
    to: toPort,
    connections: 0,
    sent: "",
    received: "",
    close: async () => {
      for (const socket of sockets) socket.destroy()
      if (!server.listening) return
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return balancer
}

/** A region's router. */
export interface TestRegion {
  readonly port: number
  readonly router: Router
  readonly routes: MemoryStore
  readonly events: RouterEvent[]
  readonly close: () => Promise<void>
}

/** What a region's router is made of. */
export interface RegionSetup extends Partial<Omit<RouterOptions, "regions">> {
  readonly self: string
  readonly balancers: Readonly<Record<string, string | RegionBalancer>>
  readonly hopKeys?: RegionsOptions["keys"]
  readonly records: Readonly<Record<`${"p" | "d"}:${string}`, RouteInput>>
}

export const startRegion = async ({
  self,
  balancers,
  hopKeys,
  records,
  ...options
}: RegionSetup): Promise<TestRegion> => {
  const events: RouterEvent[] = []
  const routes = memoryStore(records)
  const router = createRouter({
    grammar: hostnames,
    store: routes,
    providers: [local()],
    signingKey: keys.signing,
    unprovenMachines: true,
    regions: regions({ self, balancers, ...(hopKeys === undefined ? {} : { keys: hopKeys }) }),
    onEvent: (event) => events.push(event),
    ...options,
  })
  const { port, close } = await serveNode(router).listen({ hostname: "127.0.0.1" })
  return { port, router, routes, events, close: () => close({ deadlineMs: 0 }) }
}

/** A machine on this host. */
export const machineAt = (port: number, id = "mach_1") => ({ id, type: "local", externalId: id, metadata: { port } })

/** A response as it came. */
export interface Got {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Asks over a connection of its own from `from`, and reads to the end of the connection. */
export const ask = async (
  port: number,
  path = "/",
  {
    host = "misha.iterate.app",
    method = "GET",
    from = "127.0.0.1",
    headers = [],
  }: {
    readonly host?: string
    readonly method?: string
    readonly from?: string
    readonly headers?: readonly string[]
  } = {},
): Promise<Got> => {
  const socket = connect({ port, host: "127.0.0.1", localAddress: from })
  socket.write([`${method} ${path} HTTP/1.1`, `Host: ${host}`, "Connection: close", ...headers, "", ""].join("\r\n"))
  const text = Buffer.concat(await socket.toArray()).toString("latin1")
  const end = text.indexOf("\r\n\r\n")
  const [line, ...fields] = text.slice(0, end).split("\r\n")
  return {
    status: Number(line!.split(" ")[1]),
    headers: Object.fromEntries(
      fields.map((field) => {
        const colon = field.indexOf(":")
        return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()]
      }),
    ),
    body: text.slice(end + 4),
  }
}

/** A POST whose response has begun after the first piece of its body, and the pieces of that response. */
export const startPost = async (
  port: number,
): Promise<{ readonly posted: ClientRequest; readonly pieces: AsyncIterator<Buffer> }> => {
  const posted = request({ port, host: "127.0.0.1", method: "POST", headers: { host: "misha.iterate.app" } })
  posted.write("first")
  const [response] = (await once(posted, "response")) as [IncomingMessage]
  return { posted, pieces: response[Symbol.asyncIterator]() }
}

/** A WebSocket that is open, by the protocol `echo`. */
export const openEcho = async (port: number): Promise<WebSocket> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, "echo", { headers: { host: "misha.iterate.app" } })
  await once(socket, "open")
  return socket
}
