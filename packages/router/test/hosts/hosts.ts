/** The hosts that the cases are tried on: the same router on node:net and in workerd, in front of the same machine. */
import { once } from "node:events"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { machineKey } from "@project-ingress/forward"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import { machine, signing } from "../../../machine-proxy/test/harness.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { routerFor } from "./router.ts"

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

let bundle: Promise<string> | undefined

const bundled = async (): Promise<string> => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("worker.ts", import.meta.url))],
    bundle: true,
    format: "esm",
    write: false,
    conditions: ["@project-ingress/source", "workerd"],
    external: ["node:*"],
  })
  return outputFiles[0]!.text
}

/**
 * The router in workerd. `port` leads to workerd itself, `edgePort` through miniflare's imitation of Cloudflare's edge, which
 * replaces `Accept-Encoding`.
 */
export const startWorker = async (
  machinePort: number,
  { compatibilityDate = "2026-11-01" }: { readonly compatibilityDate?: string } = {},
): Promise<RunningHost & { readonly edgePort: number }> => {
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      host: "127.0.0.1",
      modules: true,
      script: await (bundle ??= bundled()),
      compatibilityDate,
      compatibilityFlags: ["enable_request_signal"],
      bindings: { SETUP: { machine, port: machinePort, signingKey: { ...signing } } },
      unsafeDirectSockets: [{ host: "127.0.0.1" }],
    }),
  )
  const edge = await worker.ready
  const direct = await worker.unsafeGetDirectURL()
  return { port: Number(direct.port), edgePort: Number(edge.port), close: () => worker.dispose() }
}
