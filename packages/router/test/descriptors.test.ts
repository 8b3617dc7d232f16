import { spawn } from "node:child_process"
import { createServer } from "node:http"
import { connect } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"

// An app behind a machine's proxy, and an app.
const app = createServer((_, response) => {
  response.setHeader("x-iterate-proxy-stamp", "unproven")
  response.end("ok")
})
let appPort = 0
beforeAll(async () => {
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve))
  appPort = (app.address() as AddressInfo).port
})
afterAll(() => {
  app.closeAllConnections()
  app.close()
})

const closing: (() => unknown)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

type Kind = "router" | "machine proxy"

/** Runs one in a process that may have 256 descriptors. */
const start = async (kind: Kind) => {
  const script = fileURLToPath(new URL("descriptors-main.ts", import.meta.url))
  const command = `ulimit -n 256 && exec "$0" --conditions=@project-ingress/source "$1" "$2" "$3"`
  const child = spawn("sh", ["-c", command, process.execPath, script, kind, String(appPort)], {
    stdio: ["pipe", "pipe", "inherit"],
  })
  closing.push(() => child.kill())
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const [port, maxConnections] = String((await lines.next()).value)
    .split(" ")
    .map(Number)
  return {
    port: port!,
    maxConnections,
    /** Takes the descriptors that are left, or gives them back. */
    toggle: async () => {
      child.stdin.write("\n")
      expect((await lines.next()).value).toBe("done")
    },
  }
}

/** A client that keeps its connection. */
interface Client {
  readonly socket: Socket
  /** The status of one request; 0 if the connection closed without a response. */
  readonly ask: (project?: string, appPort?: number) => Promise<number>
}

const client = (kind: Kind, port: number): Client => {
  const socket = connect({ port, host: "127.0.0.1" })
  socket.on("error", () => undefined)
  closing.push(() => socket.destroy())
  const ask = (project = "misha", to = appPort) =>
    new Promise<number>((resolve) => {
      let text = ""
      const end = () => {
        socket.off("data", read).off("close", end)
        resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0))
      }
      const read = (bytes: Buffer) => {
        text += bytes.toString("latin1")
        if (text.endsWith("ok") || text.includes("}\n")) end()
      }
      socket.on("data", read).on("close", end)
      if (socket.closed) end()
      const target = kind === "router" ? "" : `x-iterate-proxy-target-host: localhost:${to}\r\n`
      socket.write(`GET / HTTP/1.1\r\nHost: ${project}.iterate.app\r\nAccept: application/json\r\n${target}\r\n`)
    })
  return { socket, ask }
}

describe.each<Kind>(["router", "machine proxy"])("a %s with 256 descriptors", (kind) => {
  it("keeps half of what it has for connections upstream", async () => {
    expect((await start(kind)).maxConnections).toBe(112)
  })

  it("serves as many of 1 000 clients as it can, says 503 to others, and serves anybody again a moment after", async () => {
    const { port } = await start(kind)
    const clients = Array.from({ length: 1_000 }, () => client(kind, port))
    const counts = new Map<number, number>()
    const load = async ({ ask, socket }: Client) => {
      for (let request = 0; request < 5 && !socket.destroyed; request++) {
        const status = await ask()
        counts.set(status, (counts.get(status) ?? 0) + 1)
        if (status !== 200) return
      }
    }
    await Promise.all(clients.map(load))
    // 0: refused, and the response was reset away by the request that crossed it.
    expect([...counts.keys()].filter((status) => ![0, 200, 503].includes(status))).toEqual([])
    expect(counts.get(200)).toBeGreaterThan(100)
    expect(counts.get(503)).toBeGreaterThan(0)
    // The load's clients keep their connections; a new one gets the place of one that is idle.
    const ended = performance.now()
    let status = 0
    while (status !== 200) status = await client(kind, port).ask()
    // Idle connections time out after 75 s: it was not that.
    expect(performance.now() - ended).toBeLessThan(20_000)
  })

  it("says 503 where something else has taken the last one, and goes on when that is over", async () => {
    const { port, toggle } = await start(kind)
    const { ask } = client(kind, port)
    // Accepted, and no connection upstream was opened that could be used again.
    expect(await ask("nobody", 0)).toBe(kind === "router" ? 404 : 400)
    await toggle()
    expect(await ask()).toBe(503)
    await toggle()
    expect(await ask("anna")).toBe(200)
  })
})
