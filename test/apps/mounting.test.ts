/** The recipes of docs/mounting.md, each as the program that a user would write. */
import { once } from "node:events"
import { request } from "node:http"
import type { IncomingMessage } from "node:http"
import { request as secureRequest } from "node:https"
import { cp, mkdtemp, rm } from "node:fs/promises"
import { connect } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocket } from "ws"
import { keys } from "../../packages/router/test/fakes.ts"
import { startMachine } from "../../packages/router/test/machine.ts"
import type { StampedServer } from "../../packages/router/test/machine.ts"
import { freePort } from "../free-port.ts"
import { everything, onlyInAll } from "../requirements.ts"
import { startProcess } from "./process.ts"
import type { RunningProcess } from "./process.ts"

const fixtures = join(import.meta.dirname, "../../packages/forward/test/fixtures")
const tls = { TLS_CERT: join(fixtures, "localhost.crt"), TLS_KEY: join(fixtures, "localhost.key") }

const mounts = ["http", "https", "express", "fastify", "hono", "h3", "serve-node"] as const
const middlewares = ["express-middleware", "hono-middleware", "h3-middleware"] as const
type Recipe = (typeof mounts)[number] | (typeof middlewares)[number] | "next"

let machine: StampedServer
/** Starts recipes in one process, which saves the time of many. */
const start = async (
  recipes: readonly Recipe[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly app: RunningProcess; readonly ports: ReadonlyMap<Recipe, number> }> => {
  const ports = new Map<Recipe, number>()
  for (const recipe of recipes) ports.set(recipe, await freePort())
  const app = await startProcess({
    cwd: join(import.meta.dirname, "mounting"),
    command: () => {
      const args = ["--conditions=@project-ingress/source", "all.js", JSON.stringify(Object.fromEntries(ports))]
      return [process.execPath, ...args]
    },
    env: () => ({ MACHINE_PORT: String(machine.port), SIGNING_KEY: JSON.stringify(keys.signing), ...tls, ...env }),
    isUp: async () => (await Promise.all([...ports.values()].map(accepts))).every(Boolean),
  })
  return { app, ports }
}

const accepts = async (port: number): Promise<boolean> => {
  const socket = connect(port, "localhost")
  try {
    await once(socket, "connect")
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

let running: Awaited<ReturnType<typeof start>>
beforeAll(async () => {
  machine = await startMachine()
  running = await start([...mounts, ...middlewares])
})
afterAll(async () => {
  await running.app.stop()
  await machine.close()
})

interface Asked {
  readonly secure?: boolean
  readonly path?: string
  readonly method?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

const ask = async (
  port: number,
  host: string,
  { secure = false, path = "/", method = "GET", body = "", headers = {} }: Asked = {},
) => {
  const at = {
    host: "localhost",
    port,
    path,
    method,
    headers: { ...headers, host },
    agent: false,
    rejectUnauthorized: false,
  }
  const sent = (secure ? secureRequest : request)(at).end(body)
  const [response] = (await once(sent, "response")) as [IncomingMessage]
  let text = ""
  for await (const piece of response) text += String(piece)
  return [response.statusCode, text]
}

const echo = async (port: number, secure: boolean): Promise<string> => {
  const url = `${secure ? "wss" : "ws"}://localhost:${port}/`
  const socket = new WebSocket(url, ["echo"], { headers: { host: "misha.iterate.app" }, rejectUnauthorized: false })
  try {
    await once(socket, "open")
    socket.send("hello")
    return String((await once(socket, "message"))[0])
  } finally {
    socket.terminate()
  }
}

const handshake = {
  headers: {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  },
}

describe.each(mounts)("%s", (recipe) => {
  it("serves its own app, the machine, and the machine's WebSockets", async () => {
    const secure = recipe === "https"
    const port = running.ports.get(recipe)!
    expect(await ask(port, "localhost", { secure })).toEqual([200, "my app"])
    expect(await ask(port, "misha.iterate.app", { secure, method: "POST", body: "hello" })).toEqual([200, "hello"])
    expect(await echo(port, secure)).toBe("hello")
  })
})

describe("serve-node", () => {
  it("gives WebSockets of the app to the app", async () => {
    const socket = new WebSocket(`ws://localhost:${running.ports.get("serve-node")!}/`)
    expect(String((await once(socket, "message"))[0])).toBe("my app")
    socket.terminate()
  })
})

describe.each(middlewares)("%s", (recipe) => {
  it("serves its own app and the machine, and says that it has no WebSockets", async () => {
    const port = running.ports.get(recipe)!
    expect(await ask(port, "localhost")).toEqual([200, "my app"])
    expect(await ask(port, "misha.iterate.app", { method: "POST", body: "hello" })).toEqual([200, "hello"])
    const [status, text] = await ask(port, "misha.iterate.app", handshake)
    expect([status, text]).toEqual([501, expect.stringContaining("UPGRADE_UNSUPPORTED")])
  })
})

describe.skipIf(!everything)(`next${onlyInAll}`, () => {
  it("serves its own pages and hot reload, the machine, and the machine's WebSockets", async () => {
    // Below node_modules that it finds: its bundler follows no link out of its root.
    const folder = await mkdtemp(join(import.meta.dirname, ".running-"))
    await cp(join(import.meta.dirname, "fixtures/next"), folder, { recursive: true })
    const { app, ports } = await start(["next"], { APP_FOLDER: folder })
    const port = ports.get("next")!
    try {
      expect(await ask(port, "localhost")).toEqual([200, expect.stringContaining("before")])
      expect(await ask(port, "misha.iterate.app", { method: "POST", body: "hello" })).toEqual([200, "hello"])
      expect(await echo(port, false)).toBe("hello")
      const hot = new WebSocket(`ws://localhost:${port}/_next/hmr?id=probe`)
      await once(hot, "open")
      hot.terminate()
    } finally {
      await app.stop()
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    }
  })
})
