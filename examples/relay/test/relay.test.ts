import { once } from "node:events"
import { get, request as httpRequest } from "node:http"
import type { IncomingMessage } from "node:http"
import { networkInterfaces } from "node:os"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocket } from "ws"
import { bundledServer } from "../../../packages/providers/test/docker-machine.ts"
import {
  engineMissing,
  importNodeImage,
  makeNetwork,
  removeMachines,
  runMachine,
} from "../../../packages/providers/test/engine.ts"
import type { RunningMachine } from "../../../packages/providers/test/engine.ts"
import { bundleWorker } from "../../../test/bundle-worker.ts"

const missing = await engineMissing()

/** An app, and the command of the machine proxy beside it, as in an image. */
const server = `
import { createServer } from "node:http"
import { createHash } from "node:crypto"
createServer((request, response) => {
  if (request.method !== "POST") return response.end("from the container: " + request.url)
  const hash = createHash("sha256")
  request.on("data", (bytes) => hash.update(bytes)).on("end", () => response.end(hash.digest("hex")))
}).on("upgrade", (request, socket) => {
  const accept = createHash("sha1").update(request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64")
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + "\\r\\n\\r\\n")
  socket.write(Buffer.from([0x81, 5, ...Buffer.from("hello")]))
  socket.on("error", () => {})
}).listen(3000)
await import("./machine-proxy/src/bin.ts")
`

let worker: Miniflare
let port: number
let machine: RunningMachine

/** An address of this computer that is not loopback, at which containers reach it. */
const gateway = async (network: string): Promise<string> => {
  const { execFileSync } = await import("node:child_process")
  const format = "{{(index .IPAM.Config 0).Gateway}}"
  const address = execFileSync("docker", ["network", "inspect", "--format", format, network], {
    encoding: "utf8",
  }).trim()
  const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((each) => each.address))
  return own.includes(address) ? address : "172.17.0.1"
}

describe.skipIf(missing !== undefined)(
  `a container without a published port: ${missing ?? ""}`,
  { timeout: 120_000 },
  () => {
    beforeAll(async () => {
      const { signing } = await generateTicketKeys("example")
      const script = await bundleWorker(new URL("../src/index.ts", import.meta.url), {
        external: ["node:*", "cloudflare:*"],
      })
      worker = new Miniflare({
        ...convertV4MiniflareOptions({
          cf: false,
          modules: true,
          script,
          compatibilityDate: "2026-11-01",
          compatibilityFlags: [
            "nodejs_compat",
            "enable_request_signal",
            "request_signal_passthrough",
            "enable_abortsignal_rpc",
          ],
          durableObjects: { RELAY: { className: "Relay", useSQLite: true } },
          bindings: { DOMAIN: "localhost", SIGNING_KEY: JSON.stringify(signing) },
          unsafeDirectSockets: [{ host: "0.0.0.0", port: 0 }],
        }),
      })
      await worker.ready
      port = Number((await worker.unsafeGetDirectURL()).port)
      const [image, network] = await Promise.all([importNodeImage(), makeNetwork()])
      machine = await runMachine({
        image,
        files: { "/app/server.mjs": await bundledServer(server) },
        // It has a network, and no port that anybody could connect to.
        options: [
          "--network",
          network,
          "--env",
          "INGRESS_MACHINE=mach_office",
          "--env",
          `INGRESS_TICKET_KEYS=${JSON.stringify([await machineKey(signing, "mach_office")])}`,
          "--env",
          `INGRESS_RELAY_URL=ws://${await gateway(network)}:${port}/__relay`,
        ],
      })
    }, 120_000)

    afterAll(async () => {
      await removeMachines()
      await worker.dispose()
    })

    const options = (path: string) => ({
      host: "127.0.0.1",
      port,
      path,
      headers: { host: `3000__office.localhost:${port}` },
    })
    const textOf = async (response: IncomingMessage): Promise<string> => {
      let text = ""
      for await (const part of response.setEncoding("utf8")) text += part
      return text
    }

    it("publishes none and dials out", async () => {
      await expect.poll(() => machine.docker("logs"), { timeout: 60_000 }).toContain('"state":"connected"')
      expect(await machine.docker("port")).toBe("")
    })

    it("responds at its hostname", async () => {
      const [response] = (await once(get(options("/path?query")), "response")) as [IncomingMessage]
      expect([response.statusCode, await textOf(response)]).toEqual([200, "from the container: /path?query"])
    })

    it("takes an upload", async () => {
      const request = httpRequest({ ...options("/"), method: "POST" })
      request.end(Buffer.alloc(5_000_000, "a"))
      const [response] = (await once(request, "response")) as [IncomingMessage]
      const { createHash } = await import("node:crypto")
      expect(await textOf(response)).toBe(createHash("sha256").update(Buffer.alloc(5_000_000, "a")).digest("hex"))
    })

    it("opens a WebSocket", async () => {
      const { headers } = options("/")
      const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`, { headers })
      const [data] = (await once(socket, "message")) as [Buffer]
      expect(data.toString()).toBe("hello")
      socket.terminate()
    })

    it("is not running while it is stopped, and responds again when it is started", async () => {
      await machine.docker("stop", "--time", "1")
      const [stopped] = (await once(
        get({ ...options("/"), headers: { ...options("/").headers, accept: "application/json" } }),
        "response",
      )) as [IncomingMessage]
      expect([stopped.statusCode, await textOf(stopped)]).toEqual([503, expect.stringContaining("MACHINE_NOT_RUNNING")])
      await machine.docker("start")
      await expect
        .poll(
          async () => {
            const [response] = (await once(get(options("/")), "response")) as [IncomingMessage]
            response.resume()
            return response.statusCode
          },
          { timeout: 60_000 },
        )
        .toBe(200)
    })
  },
)
