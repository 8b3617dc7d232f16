/** A client of gRPC, by HTTP/2 → router → machine proxy → an app on a port of the machine. */
import { createServer } from "node:net"
import { readFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { createServer as createSecureServer } from "node:tls"
import { Client, credentials } from "@grpc/grpc-js"
import { machineKey } from "@project-ingress/forward"
import type { MachineProvider } from "@project-ingress/providers"
import { local } from "@project-ingress/providers/local"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import type { MachineProxyOptions } from "../../../machine-proxy/src/machine-proxy.ts"
import { serveNode } from "../../src/hosts/node.ts"
import type { NodeOptions } from "../../src/hosts/node.ts"
import { createRouter } from "../../src/router.ts"
import type { RouterEvent, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import type { PortSettings } from "../../src/stores/record.ts"
import { hostnames, keys } from "../fakes.ts"

// A key for tests only, made for localhost.
const read = (name: string) => readFileSync(new URL(`../../../forward/test/fixtures/${name}`, import.meta.url))
export const identity = { key: read("localhost.key"), cert: read("localhost.crt") }

/** Starts it; `settings` are those of each port that is given. */
export const startChain = async (
  ports: Readonly<Record<number, PortSettings>>,
  {
    provider = local(),
    metadata,
    proxy: proxyOptions = {},
    router: routerOptions = {},
    host: hostOptions = {},
  }: {
    readonly provider?: MachineProvider
    /** Of the machine; default: where the machine proxy listens. */
    readonly metadata?: Readonly<Record<string, unknown>>
    readonly proxy?: Partial<MachineProxyOptions>
    readonly router?: Partial<RouterOptions>
    readonly host?: NodeOptions
  } = {},
) => {
  const proxy = createMachineProxy({
    machine: "mach_1",
    keys: [await machineKey(keys.signing, "mach_1")],
    ...proxyOptions,
  })
  const server = createServer(proxy.connection)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const machine = {
    id: "mach_1",
    type: provider.type,
    externalId: "dev",
    metadata: metadata ?? { port: (server.address() as AddressInfo).port },
  }
  const events: RouterEvent[] = []
  const router = createRouter({
    grammar: hostnames,
    store: memoryStore({ "p:misha": { machine, ports, port: Number(Object.keys(ports)[0]) } }),
    providers: [provider],
    signingKey: keys.signing,
    onEvent: (event) => events.push(event),
    ...routerOptions,
  })
  const host = serveNode(router, hostOptions)
  const listening = await host.listen({ hostname: "127.0.0.1" })
  const secure = await host.listen({
    hostname: "127.0.0.1",
    tls: createSecureServer({ ...identity, ALPNProtocols: ["h2", "http/1.1"] }),
  })
  return {
    /** Without TLS, HTTP/1.1. */
    port: listening.port,
    /** A client of gRPC, over TLS. */
    client: (name = "misha.iterate.app") =>
      new Client(
        `127.0.0.1:${secure.port}`,
        credentials.createSsl(identity.cert, null, null, { checkServerIdentity: () => undefined }),
        {
          "grpc.ssl_target_name_override": name,
          "grpc.default_authority": name,
          "grpc.max_receive_message_length": 16 << 20,
          "grpc.enable_retries": 0,
        },
      ),
    router,
    events,
    close: async () => {
      await listening.close({ deadlineMs: 0 })
      server.close()
      await proxy.drain({ deadlineMs: 0 })
    },
  }
}
