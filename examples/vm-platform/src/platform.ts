import { join } from "node:path"
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { createIngresses } from "@project-ingress/ingress"
import type { Front, IngressEvent, IngressStorage, Ingresses } from "@project-ingress/ingress"
import { ingressApi } from "@project-ingress/ingress/api"
import type { ApiToken } from "@project-ingress/ingress/api"
import type { CaddyCertificates } from "@project-ingress/ingress/caddy"
import { caddyFront } from "@project-ingress/ingress/caddy/front"
import { serveInternalDns } from "@project-ingress/ingress/dns/responder"
import { fileStorage } from "@project-ingress/ingress/storage/file"
import type { SupervisedFront } from "@project-ingress/ingress/supervision"
import { upstream } from "@project-ingress/providers/upstream"
import { createRouter } from "@project-ingress/router"
import { serveNode } from "@project-ingress/router/node"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { superviseCaddy } from "./front.ts"

/** What a platform is started with. */
export interface PlatformOptions {
  /** Where ingresses, and Caddy's files, are kept. */
  readonly folder: string
  /** Of the control plane with the router, of Caddy's visitors, of its admin API, and of the DNS responder. */
  readonly ports: Readonly<Record<"control" | "visitors" | "admin" | "dns", number>>
  readonly tokens: readonly ApiToken[]
  /** The address of each machine, by its id. */
  readonly machines: Readonly<Record<string, string>>
  /** How rules with `tls` get certificates. Default: such rules are refused. */
  readonly certificates?: CaddyCertificates
  /** For tests: what stands between the controller and its parts. */
  readonly wrap?: {
    readonly storage: (storage: IngressStorage) => IngressStorage
    readonly front: (front: Front) => Front
  }
  readonly onEvent?: (event: IngressEvent) => void
}

/** A platform that runs. */
export interface Platform {
  readonly ingresses: Ingresses
  readonly caddy: SupervisedFront
  /** A machine is there now, or has moved. */
  readonly putMachine: (id: string, host: string) => void
  /** Ends the control plane. Caddy goes on. */
  readonly close: () => Promise<void>
}

/** What captured machines are called inside. */
const ZONE = "machines.internal"

/** The platform's own names; those of ingresses are anybody else's. */
const grammar = defineGrammar({ domains: ["platform.example"] })

/**
 * An ingress manager in front of machines: an API, ingresses in files, a Caddy that is kept running, and names that are looked up at the
 * time of the request. The router serves the same ingresses at the control plane's port.
 */
export const startPlatform = async (options: PlatformOptions): Promise<Platform> => {
  const { folder, ports, tokens, machines, certificates, onEvent } = options
  const { storage: wrapStorage, front: wrapFront } = options.wrap ?? {
    storage: (storage: IngressStorage) => storage,
    front: (front: Front) => front,
  }

  // Whoever starts machines says here where they are. A registry would do, too, if their ids begin as the grammar says.
  const store = memoryStore()
  const addresses = new Map<string, string>()
  const putMachine = (id: string, host: string): void => {
    addresses.set(id, host)
    const machine = { id, type: "upstream", externalId: id, metadata: { origin: `http://${host}` } }
    store.attach(`m:${id}`, { machine })
  }
  for (const [id, host] of Object.entries(machines)) putMachine(id, host)

  const dns = await serveInternalDns({ zone: ZONE, port: ports.dns, resolve: (machine) => addresses.get(machine) })
  const front = caddyFront({
    admin: `http://127.0.0.1:${ports.admin}`,
    binary: "caddy",
    export: {
      listenAddress: "127.0.0.1",
      publicPorts: { [ports.visitors]: 80 },
      resolver: `127.0.0.1:${dns.port}`,
      ...(certificates === undefined ? {} : { certificates }),
    },
  })
  const ingresses = createIngresses({
    storage: wrapStorage(fileStorage(join(folder, "ingresses"))),
    grammar,
    store,
    fronts: [wrapFront(front)],
    internalZone: ZONE,
    // Visitors of the router come to the control plane's port here, and of Caddy to another one; both stand for 80.
    publicPorts: { [ports.control]: 80 },
    ...(onEvent === undefined ? {} : { onEvent }),
  })
  const caddy = await superviseCaddy({
    folder: join(folder, "caddy"),
    adminPort: ports.admin,
    // Failures are events.
    onRestart: () => void ingresses.reconcile().catch(() => undefined),
  })
  // Also what a Caddy that ran already has of another time, and what a killed control plane left half-way.
  await ingresses.start()

  const router = createRouter({
    grammar,
    store: ingresses.store,
    providers: [upstream({ allowCidrs: ["127.0.0.0/8"] })],
    signingKey: (await generateTicketKeys("example")).signing,
  })
  const own = ingressApi({ ingresses, tokens, basePath: "/v1" })
  const compatible = ingressApi({ ingresses, tokens, mode: "hypeman" })
  const host = serveNode(router, {
    fallback: (request) => (new URL(request.url).pathname.startsWith("/v1/") ? own : compatible).fetch(request),
  })
  const listening = await host.listen({ port: ports.control, hostname: "127.0.0.1" })

  return {
    ingresses,
    caddy,
    putMachine,
    close: async () => {
      await listening.close({ graceMs: 0 })
      await Promise.all([own.dispose(), compatible.dispose()])
      await caddy.dispose()
      await ingresses.dispose()
      await dns.close()
    },
  }
}
