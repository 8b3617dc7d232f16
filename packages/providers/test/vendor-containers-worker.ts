// Bundled and run by vendor-containers.test.ts in workerd: the vendor's own classes, with a container that is a function.
import { Container } from "@cloudflare/containers"
import { getSandbox, Sandbox } from "@cloudflare/sandbox"
import { defaultHeaderNames } from "@project-ingress/forward"
import { cloudflareContainer } from "../src/adapters/cloudflare/container.ts"
import type { ContainerNamespace } from "../src/adapters/cloudflare/container.ts"
import { cloudflareSandbox } from "../src/adapters/cloudflare/sandbox.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"

/** What arrived at a port of the container. */
export interface Arrived {
  readonly port: number
  readonly method: string
  readonly path: string
  readonly names: readonly string[]
  readonly body: string
}
export interface Outcome {
  readonly arrived: readonly Arrived[]
  /** A response's status, or the tag of an error. */
  readonly outcome: number | string
  readonly detail: string
  /** Whether the container saw that the client left. */
  readonly disconnected: boolean
}
/** One request of a client to a machine. */
export interface Asked {
  readonly kind: "CONTAINER" | "SANDBOX"
  /** What sends it: an adapter, or the vendor's own `getSandbox` with its `containerFetch` and `wsConnect`. */
  readonly by: "cloudflareContainer" | "cloudflareSandbox" | "getSandbox"
  /** A container is an object's own, with what it has arrived. */
  readonly name: string
  readonly path: string
  readonly init?: RequestInit
  /** Whether the client leaves before the response. */
  readonly leaves?: boolean
}

const arrived: Arrived[] = []
let disconnected = false

const port = (number: number) => ({
  async fetch(url: string, init?: RequestInit): Promise<Response> {
    const request = new Request(url, init)
    const { pathname, hostname } = new URL(request.url)
    // The classes' own calls: whether a port listens, and which version serves on 3000.
    if (hostname !== "container.invalid") {
      // The text of the platform, after which the classes wait for the port.
      if (failing) throw new Error("the container is not listening in the TCP address 10.0.0.1:8080")
      return new Response()
    }
    const names = [...request.headers.keys()]
    arrived.push({ port: number, method: request.method, path: pathname, names, body: await request.text() })
    const stamp = { [defaultHeaderNames.stamp]: "1" }
    if (pathname === "/never") {
      await new Promise((_, reject) => {
        init!.signal!.addEventListener("abort", () => {
          disconnected = true
          reject(new Error("aborted"))
        })
      })
    }
    if (request.headers.get("upgrade") !== "websocket")
      return new Response("app", number === 8080 ? { headers: stamp } : {})
    const { 0: client, 1: server } = new (
      globalThis as unknown as { readonly WebSocketPair: new () => Pair }
    ).WebSocketPair()
    server.accept()
    return new Response(null, { status: 101, webSocket: client, headers: stamp } as ResponseInit)
  },
})
interface Pair {
  readonly 0: WebSocket
  readonly 1: WebSocket & { accept(): void }
}

let failing = false
let noInstance = false

/** The object's state, with a container as the platform would give it. */
const withContainer = (state: object): never => {
  let running = false
  const container = {
    get running() {
      return running
    },
    start: () => {
      // The platform's text.
      if (noInstance) throw new Error("There is no container instance available at this time")
      running = true
    },
    monitor: () => new Promise(() => {}),
    destroy: async () => void (running = false),
    signal: () => {},
    setInactivityTimeout: async () => {},
    getTcpPort: port,
  }
  return Object.defineProperty(state, "container", { value: container }) as never
}

export class VendorContainer extends Container {
  constructor(state: object, env: never) {
    super(withContainer(state), env)
  }
}
export class VendorSandbox extends Sandbox {
  constructor(state: object, env: never) {
    super(withContainer(state), env)
    // The class itself accepts no less than 5 s.
    const containerTimeouts = { instanceGetTimeoutMS: 300, portReadyTimeoutMS: 300, waitIntervalMS: 50 }
    Object.assign(this, { containerTimeouts })
  }
}

/** As the vendor's pages say, with the address that the adapter gives to a request. */
const sendByVendor = (namespace: unknown, id: string, { url, method, headers, body }: Request): Promise<Response> => {
  const sandbox = getSandbox(namespace as Parameters<typeof getSandbox>[0], id, { normalizeId: true })
  const to = url.replace("https://app.test", "http://container.invalid")
  const request = new Request(to, { method, headers, body, ...(body === null ? {} : { duplex: "half" }) })
  return headers.get("upgrade") === null
    ? sandbox.containerFetch(request, 8080)
    : sandbox.wsConnect(
        new Request(request, { headers: { ...Object.fromEntries(headers), connection: "Upgrade" } }),
        8080,
      )
}

const eventually = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

export default {
  async fetch(request: Request, env: Record<Asked["kind"], ContainerNamespace>): Promise<Response> {
    const { kind, by, name, path, init, leaves = false } = (await request.json()) as Asked
    arrived.length = 0
    disconnected = false
    failing = name === "slow"
    noInstance = name === "full"
    const client = new AbortController()
    const adapters = { cloudflareContainer, cloudflareSandbox }
    const send = (sent: Request): Promise<Response> => {
      if (by === "getSandbox") return sendByVendor(env[kind], name, sent)
      const provider = adapters[by](env[kind])
      const machine = { id: "mach_1", type: provider.type, externalId: name, metadata: {} }
      return machineFetcher(provider, machine, { port: 3000 })(sent)
    }
    const sent = send(new Request(`https://app.test${path}`, { ...init, signal: client.signal })).then(
      (response): [number, string] => [response.status, ""],
      (error: Error & { readonly _tag?: string }): [string, string] => [error._tag ?? "", error.message],
    )
    if (leaves) {
      await eventually(() => arrived.length > 0)
      client.abort(new Error("left"))
      await eventually(() => disconnected)
    }
    const [outcome, detail] = await sent
    return Response.json({ arrived, outcome, detail, disconnected } satisfies Outcome)
  },
}
