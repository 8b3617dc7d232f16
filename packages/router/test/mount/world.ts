/** A router mounted in a server of node:http that an app has, before one machine; and raw clients. */
import { createServer } from "node:http"
import type { IncomingMessage, RequestListener, Server } from "node:http"
import type { Server as HttpsServer } from "node:https"
import { connect } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { local } from "@project-ingress/providers/local"
import { afterEach } from "vitest"
import { mount } from "../../src/hosts/node.ts"
import type { Mounted, MountOptions } from "../../src/hosts/node.ts"
import { createRouter } from "../../src/router.ts"
import type { RouterEvent, RouterOptions, RouteStore } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { hostnames, keys } from "../fakes.ts"
import { startMachine } from "../machine.ts"
import type { StampedServer } from "../machine.ts"

export const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** Whose hostnames are in the store: a project's, and a custom domain's. */
export const project = "misha.iterate.app"
export const custom = "www.shop.example"
export const own = "app.example.com"

export interface World {
  readonly server: Server
  readonly mounted: Mounted
  readonly port: number
  readonly machine: StampedServer
  /** What the app's `request` listener saw: method, host and path. */
  readonly seen: string[]
  readonly events: RouterEvent[]
}

export interface WorldOptions {
  readonly server?: Server | HttpsServer
  readonly app?: RequestListener | false
  readonly mount?: MountOptions
  readonly router?: Partial<RouterOptions>
  /** Wraps the store. */
  readonly store?: (store: RouteStore) => RouteStore
  readonly machinePort?: number
}

export const lineOf = ({ method, headers, url }: IncomingMessage): string => `${method} ${headers.host} ${url}`

export const start = async (options: WorldOptions = {}): Promise<World> => {
  const machine = await startMachine()
  closing.push(machine.close)
  const metadata = { port: options.machinePort ?? machine.port }
  const attached = { machine: { id: "mach_1", type: "local", externalId: "dev", metadata } }
  const store = memoryStore({ "p:misha": attached, [`d:${custom}`]: attached })
  const events: RouterEvent[] = []
  const router = createRouter({
    grammar: hostnames,
    store: options.store?.(store) ?? store,
    providers: [local()],
    signingKey: keys.signing,
    unprovenMachines: true,
    onEvent: (event) => events.push(event),
    ...options.router,
  })
  const seen: string[] = []
  const server = (options.server ?? createServer()) as Server
  const { app = (request, response) => void response.end(`app ${request.url}`) } = options
  if (app !== false)
    server.on("request", (request, response) => {
      seen.push(lineOf(request))
      app(request, response)
    })
  const mounted = mount(server, router, options.mount)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(async () => {
    server.close()
    server.closeAllConnections()
    await mounted.drain({ deadlineMs: 0 })
  })
  return { server, mounted, port: (server.address() as AddressInfo).port, machine, seen, events }
}

/** A store that says nothing at once. */
export const slowly = (store: RouteStore): RouteStore => ({
  get: async (...asked) => {
    await new Promise((resolve) => setImmediate(resolve))
    return store.get(...asked)
  },
})

/** One end of a connection that waits for what comes. */
export class Line {
  readonly socket: Socket
  text = ""
  closed = false
  #wake: (() => void)[] = []

  constructor(port: number, socket: Socket = connect({ port, host: "127.0.0.1" })) {
    this.socket = socket
    const changed = () => {
      for (const wake of this.#wake.splice(0)) wake()
    }
    socket.on("data", (bytes: Buffer) => {
      this.text += bytes.toString("latin1")
      changed()
    })
    socket.on("error", () => undefined)
    socket.on("close", () => {
      this.closed = true
      changed()
    })
    closing.push(() => socket.destroy())
  }

  send(...lines: readonly string[]): this {
    this.socket.write(`${lines.join("\r\n")}\r\n\r\n`, "latin1")
    return this
  }

  write(text: string): this {
    this.socket.write(text, "latin1")
    return this
  }

  async when(condition: () => boolean): Promise<this> {
    while (!condition()) await new Promise<void>((resolve) => this.#wake.push(resolve))
    return this
  }

  /** Resolves with what has come, and forgets it, once the text is in it; or with the end of the connection. */
  async until(text: string): Promise<string> {
    await this.when(() => this.text.includes(text) || this.closed)
    const seen = this.text + (this.closed ? "<closed>" : "")
    this.text = ""
    return seen
  }

  async untilClosed(): Promise<string> {
    await this.when(() => this.closed)
    return this.text
  }
}

export const get = (host: string, path = "/", ...fields: readonly string[]): string =>
  [`GET ${path} HTTP/1.1`, `Host: ${host}`, ...fields, "", ""].join("\r\n")

export const post = (host: string, path: string, body: string, ...fields: readonly string[]): string =>
  [`POST ${path} HTTP/1.1`, `Host: ${host}`, `Content-Length: ${body.length}`, ...fields, "", body].join("\r\n")

export const upgrade = (host: string, path = "/socket", ...fields: readonly string[]): string =>
  get(
    host,
    path,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ...fields,
  )
