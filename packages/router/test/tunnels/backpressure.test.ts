import { createServer } from "node:net"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { openTunnel } from "@project-ingress/forward/sockets"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { listen, machine, signing } from "../../../machine-proxy/test/harness.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { startInWorkerd, startMachine } from "../hosts/hosts.ts"
import type { RunningHost } from "../hosts/hosts.ts"
import { routerFor } from "./router.ts"
import type { TunnelSetup } from "./router.ts"

/** Above what all kernels on the way take; a hop that read ahead without a bound would take all of it. */
const ENOUGH = 300_000_000
const piece = Buffer.alloc(65_536)

/** Writes until nothing was taken for half a second, or enough was. Gives how much. */
const fill = async (target: Duplex): Promise<number> => {
  let written = 0
  let idle = 0
  while (written < ENOUGH && idle < 10) {
    if (target.writableLength < 1_000_000) {
      idle = 0
      target.write(piece)
      written += piece.length
      await new Promise((resolve) => setImmediate(resolve))
    } else {
      idle++
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  return written
}

const hosts = {
  serveNode: async (setup: TunnelSetup): Promise<RunningHost> => {
    const { port, close } = await serveNode(routerFor(setup)).listen({ hostname: "127.0.0.1" })
    return { port, close: () => close({ deadlineMs: 0 }) }
  },
  workerd: (setup: TunnelSetup) => startInWorkerd(new URL("worker.ts", import.meta.url), setup),
}

describe.each(Object.entries(hosts))("a tunnel through the router on %s", (_name, start) => {
  const closing: (() => unknown)[] = []
  const sockets: Socket[] = []
  let port: number
  let host: RunningHost
  beforeAll(async () => {
    const app = createServer((socket) => {
      socket.pause()
      socket.on("error", () => undefined)
      sockets.push(socket)
    })
    port = await listen(app)
    const proxy = await startMachine()
    const ports = { [port]: { protocol: "tcp" as const } }
    host = await start({ machine, origin: { port: proxy.port }, signingKey: signing, ports })
    closing.push(
      () => {
        for (const socket of sockets) socket.destroy()
        app.close()
      },
      () => proxy.close(),
      () => host.close(),
    )
  })
  afterAll(async () => {
    for (const close of closing.toReversed()) await close()
  })
  const open = () => openTunnel({ url: `http://${port}__misha.iterate.app:${host.port}`, address: "127.0.0.1" })

  it("takes no more of the app than the client reads, nor of the client than the app does", async () => {
    const stream = await open()
    stream.on("error", () => undefined)
    const down = await fill(sockets[0]!)
    const up = await fill(stream)
    expect([down < ENOUGH, up < ENOUGH]).toEqual([true, true])
    stream.destroy()
  })
})
