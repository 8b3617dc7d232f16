/** The hosts that the cases are tried on: the same router on node:net and in workerd, in front of the same machine. */
import { once } from "node:events"
import { createServer as createHttpServer } from "node:http"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { machineKey } from "@project-ingress/forward"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import { machine, signing } from "../../../machine-proxy/test/harness.ts"
import { mount, serveNode } from "../../src/hosts/node.ts"
import { routerFor } from "./router.ts"
import { bundleWorker } from "../../../../test/bundle-worker.ts"

/** A host that listens on 127.0.0.1. */
export interface RunningHost {
  readonly port: number
  readonly close: () => Promise<unknown>
}

/** A real machine proxy with tickets. */
export const startMachine = async (): Promise<RunningHost> => {
  const proxy = createMachineProxy({ machine, keys: [await machineKey(signing, machine)] })
  const server = createServer(proxy.connection)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const close = () => {
    server.close()
    return proxy.drain({ deadlineMs: 0 })
  }
  return { port: (server.address() as AddressInfo).port, close }
}

/** The router on sockets. */
export const startNode = async (machinePort: number): Promise<RunningHost> => {
  const router = routerFor({ machine, port: machinePort, signingKey: signing })
  const { port, close } = await serveNode(router).listen({ hostname: "127.0.0.1" })
  return { port, close: () => close({ deadlineMs: 0 }) }
}

/** The router in a server of node:http, whose own app must see none of its requests. */
export const startMounted = async (machinePort: number): Promise<RunningHost> => {
  const router = routerFor({ machine, port: machinePort, signingKey: signing })
  const server = createHttpServer((_, response) => void response.writeHead(418).end("the app's"))
  const { drain } = mount(server, router)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const close = () => {
    server.close()
    server.closeAllConnections()
    return drain({ deadlineMs: 0 })
  }
  return { port: (server.address() as AddressInfo).port, close }
}

const bundles = new Map<string, Promise<string>>()

/** The router in workerd, as {@link startInWorkerd}. */
export const startWorker = (
  machinePort: number,
  options: WorkerdOptions = {},
): Promise<RunningHost & { readonly edgePort: number }> =>
  startInWorkerd(new URL("worker.ts", import.meta.url), { machine, port: machinePort, signingKey: signing }, options)

export interface WorkerdOptions {
  readonly compatibilityDate?: string
}

/**
 * A module in workerd, with `env.SETUP`. `port` leads to workerd itself, `edgePort` through miniflare's imitation of Cloudflare's edge, which
 * replaces `Accept-Encoding`.
 */
export const startInWorkerd = async (
  entry: URL,
  setup: object,
  { compatibilityDate = "2026-11-01" }: WorkerdOptions = {},
): Promise<RunningHost & { readonly edgePort: number }> => {
  if (!bundles.has(entry.href)) bundles.set(entry.href, bundleWorker(entry))
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      host: "127.0.0.1",
      modules: true,
      script: await bundles.get(entry.href)!,
      compatibilityDate,
      compatibilityFlags: ["enable_request_signal"],
      bindings: { SETUP: JSON.parse(JSON.stringify(setup)) },
      unsafeDirectSockets: [{ host: "127.0.0.1" }],
    }),
  )
  const edge = await worker.ready
  const direct = await worker.unsafeGetDirectURL()
  return { port: Number(direct.port), edgePort: Number(edge.port), close: () => worker.dispose() }
}
