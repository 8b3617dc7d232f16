/**
 * The whole way to an app, on this computer: client → TLS → router → provider `local` → machine proxy with tickets →
 * `localhost:<port>`, behind both hosts of the router at once.
 */
import { once } from "node:events"
import { createServer as createTcpServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { certificateNames, defineGrammar } from "@project-ingress/hostname"
import { createMachineProxy } from "@project-ingress/machine-proxy"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "@project-ingress/router"
import type { RouterEvent } from "@project-ingress/router"
import { serveNode } from "@project-ingress/router/node"
import { memoryStore } from "@project-ingress/router/stores/memory"
import type { MachineInput } from "@project-ingress/router/stores/memory"
import { Agent, buildConnector, fetch as undiciFetch } from "undici"
import { startWorker } from "../../examples/os-worker/test/workerd.ts"
import { selfSigned } from "./certificate.ts"

/** The project that an origin belongs to unless another one is named. */
const PROJECT = "misha"

/** The hosts of the router, as a reader calls them. */
export const hostNames = ["Node", "Workers"] as const

/** The platform's own cookie in front of both: no app gets it, and none can set it. */
export const platformCookie = "os_session"

/** One host of the router, behind TLS. */
export interface ChainHost {
  readonly name: (typeof hostNames)[number]
  /** What the project lives under, and how a port is written before it. */
  readonly domain: string
  /** Where TLS listens on 127.0.0.1. Clients that resolve by rules of their own see 443. */
  readonly tlsPort: number
  /** The origin of a port of a project, as a browser has it: `https://5173--misha.ingress.test`. */
  readonly origin: (port: number, project?: string) => string
  /** Asks a URL under the domain as a program does: no cookies, no redirects, no `Origin` but a given one. */
  readonly fetch: typeof globalThis.fetch
}

/** What {@link startChain} takes. */
export interface ChainSetup {
  /** What the project lives under behind each host. Default `ingress.test` and `ingress-workers.test`. */
  readonly domains?: Readonly<Record<ChainHost["name"], string>>
  /** How a port is written: `flat` is `5173--misha.<domain>`, `nested` is `5173.misha.<domain>`. Default `flat`. */
  readonly shape?: "flat" | "nested"
  /** The projects that the machine is attached to. Default `misha` alone. */
  readonly projects?: readonly string[]
  /** The settings of their records: ports, services, visibility. */
  readonly settings?: Omit<MachineInput, "machine" | "kind">
}

/** A running chain in front of every port of this computer. */
export interface Chain extends AsyncDisposable {
  /** One of each name, in their order. */
  readonly hosts: readonly [ChainHost, ChainHost]
  /** In PEM: what clients trust. */
  readonly certificate: string
  /** Arguments of Chromium: it resolves the domains to the chain and trusts its certificate, and no other. */
  readonly browserArguments: readonly string[]
  /** The events of the Node host's router so far. */
  readonly events: readonly RouterEvent[]
  /** Replaces the settings of the projects' records, from now on. */
  readonly configure: (settings: NonNullable<ChainSetup["settings"]>) => Promise<void>
}

/** Starts everything but the apps and the browser. */
export const startChain = async (setup: ChainSetup = {}): Promise<Chain> => {
  const { domains = { Node: "ingress.test", Workers: "ingress-workers.test" }, shape = "flat", settings = {} } = setup
  const { projects = [PROJECT] } = setup
  const separator = shape === "flat" ? "--" : "."
  const all = Object.values(domains)
  const tls = await selfSigned(
    all.flatMap((domain) => certificateNames(defineGrammar({ domains: [domain] }), projects)),
  )
  const { signing } = await generateTicketKeys("real-apps")

  const proxy = createMachineProxy({ machine: "mach_1", keys: [await machineKey(signing, "mach_1")] })
  const machine = createTcpServer({ noDelay: true }, proxy.connection)
  const route: MachineInput = {
    machine: { id: "mach_1", type: "local", externalId: "mach_1", metadata: { port: await listen(machine) } },
  }

  const store = memoryStore()
  const events: RouterEvent[] = []
  const router = createRouter({
    grammar: defineGrammar({ domains: [domains.Node] }),
    store,
    providers: [local()],
    signingKey: signing,
    isolateCookies: { reserved: [platformCookie] },
    filterResponseHeaders: true,
    onEvent: (event) => events.push(event),
  })
  const sockets = serveNode(router)
  const node = createTlsServer({ key: tls.key, cert: tls.cert, noDelay: true }, sockets.connection)
  const worker = await startWorker({ signing, domain: domains.Workers, tls })

  const configure: Chain["configure"] = async (settings) => {
    for (const project of projects) {
      store.attach(`p:${project}`, { ...route, ...settings })
      await worker.attach(`p:${project}`, { ...route, ...settings })
    }
  }
  await configure(settings)

  const hostOf = (name: ChainHost["name"], tlsPort: number): ChainHost & AsyncDisposable => {
    const agent = agentFor(tlsPort, tls.cert)
    return {
      name,
      domain: domains[name],
      tlsPort,
      origin: (port, project = PROJECT) => `https://${port}${separator}${project}.${domains[name]}`,
      fetch: fetchBy(agent),
      [Symbol.asyncDispose]: () => agent.destroy(),
    }
  }
  const hosts = [hostOf("Node", await listen(node)), hostOf("Workers", Number(new URL(worker.url).port))] as const

  return {
    hosts: [...hosts],
    certificate: tls.cert,
    browserArguments: [
      `--host-resolver-rules=${hosts.map(({ domain, tlsPort }) => `MAP *.${domain}:443 127.0.0.1:${tlsPort}`).join(",")}`,
      `--ignore-certificate-errors-spki-list=${tls.spki}`,
    ],
    events,
    configure,
    [Symbol.asyncDispose]: async () => {
      node.close()
      machine.close()
      await Promise.all(hosts.map((each) => each[Symbol.asyncDispose]()))
      await Promise.all([sockets.drain({ deadlineMs: 0 }), worker.dispose()])
      await proxy.drain({ deadlineMs: 0 })
      await router.dispose()
    },
  }
}

const listen = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

/** Connects to the chain instead of where DNS says, as the browser's rules do. */
const agentFor = (tlsPort: number, ca: string): Agent => {
  const connect = buildConnector({ ca })
  return new Agent({
    connect: (options, done) =>
      connect({ ...options, servername: options.hostname, hostname: "127.0.0.1", port: String(tlsPort) }, done),
    // A test says how long it waits.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
}

// undici's own types of Fetch and Node's differ in what nobody here uses.
const fetchBy = (dispatcher: Agent): typeof globalThis.fetch =>
  ((input: string | URL, init: object = {}) =>
    undiciFetch(input, { redirect: "manual", ...init, dispatcher })) as unknown as typeof globalThis.fetch
