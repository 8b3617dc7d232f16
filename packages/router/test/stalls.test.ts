/**
 * Processes that are suspended for longer than each of their time-outs, with real requests on the way. What has arrived by the
 * time a process runs again was in time: nobody may lose a request by it.
 */
import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createServer as createHttpServer } from "node:http"
import type { ServerResponse } from "node:http"
import { connect, createServer } from "node:net"
import type { AddressInfo, Server, Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { createMachineProxy } from "../../machine-proxy/src/machine-proxy.ts"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { everything, onlyInAll } from "../../../test/requirements.ts"

const TIMEOUT_MS = 3_000
/** Longer than the look-up of a route may take, too. */
const STALL_MS = 6_000
/** Of each kind. */
const REQUESTS = 8

const noSignals = process.platform === "win32" ? ": no process can be suspended on Windows" : ""

const closing: (() => unknown)[] = []
let appPort: number
let storePort: number
let machinePort: number
let signingKey: string
/** Responses of the app and of the database that are held until a test says so. */
const held: (() => void)[] = []
const release = (): void => {
  for (const respond of held.splice(0)) respond()
}

const listen = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

beforeAll(async () => {
  const respond = (response: ServerResponse, text: string) => response.end(text)
  appPort = await listen(
    createHttpServer((request, response) => {
      let bytes = 0
      request.on("data", (piece: Buffer) => (bytes += piece.length))
      request.on("end", () => {
        const delayMs = Number(/^\/after\/(\d+)/.exec(request.url ?? "")?.[1])
        if (request.url === "/held") held.push(() => respond(response, "held"))
        else if (Number.isInteger(delayMs)) setTimeout(() => respond(response, "late"), delayMs)
        else respond(response, `${bytes} bytes`)
      })
    }),
  )
  storePort = await listen(createHttpServer((_, response) => void held.push(() => respond(response, ""))))
  const { signing } = await generateTicketKeys("test")
  signingKey = JSON.stringify(signing)
  const { connection } = createMachineProxy({ machine: "mach_1", keys: [await machineKey(signing, "mach_1")] })
  machinePort = await listen(createServer({ noDelay: true }, connection))
})
afterAll(async () => {
  for (const close of closing.toReversed()) await close()
})

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** Starts a program of TypeScript and gives its first line. */
const start = async (args: readonly string[], env: Readonly<Record<string, string>>) => {
  const child = spawn(process.execPath, ["--conditions=@project-ingress/source", ...args], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "ignore"],
  })
  closing.push(async () => {
    const exited = once(child, "exit")
    child.kill("SIGKILL")
    await exited
  })
  const [line] = (await once(child.stdout, "data")) as [Buffer]
  child.stdout.resume()
  // The first line; a warning may follow.
  return { child, said: JSON.parse(line.toString().split("\n", 1)[0]!) as Record<string, number> }
}
const startRouter = async (timeoutMs: number) =>
  start([path("stalls-main.ts")], {
    MACHINE_PORT: String(machinePort),
    APP_PORT: String(appPort),
    STORE_PORT: String(storePort),
    SIGNING_KEY: signingKey,
    TIMEOUT_MS: String(timeoutMs),
  })
const startMachineProxy = async () => {
  const timeouts = ["HEADERS_TIMEOUT", "KEEP_ALIVE", "BODY_IDLE", "UPSTREAM_HEADERS_TIMEOUT"]
  const { child, said } = await start([path("../../machine-proxy/src/bin.ts"), "--insecure"], {
    HOST: "127.0.0.1",
    PORT: "0",
    INGRESS_MACHINE: "mach_1",
    INGRESS_LOG: "errors",
    ...Object.fromEntries(timeouts.map((name) => [`INGRESS_${name}_MS`, String(TIMEOUT_MS)])),
  })
  return { child, port: said["port"]! }
}

/** Stops a process, and returns when it does not run any more. */
const suspend = async (child: ChildProcess): Promise<void> => {
  child.kill("SIGSTOP")
  const state = () => spawnSync("ps", ["-o", "stat=", "-p", String(child.pid)], { encoding: "utf8" }).stdout
  while (!(state() ?? "T").startsWith("T")) await sleep(5)
}
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** One request on a connection of its own: what is sent before the stall, and in it. */
interface Kind {
  readonly before: string
  readonly during: string
  /** Whether the connection is opened in the stall. */
  readonly late?: boolean
  /** Whether all of a response comes before the stall. */
  readonly kept?: boolean
}
const kinds = (fields: string): Readonly<Record<string, Kind>> => {
  const get = (path: string) => `GET ${path} HTTP/1.1\r\n${fields}\r\n`
  const post = `POST / HTTP/1.1\r\nContent-Length: 6\r\n${fields}\r\n`
  return {
    "in the listener's queue": { before: "", during: get("/"), late: true },
    "on a connection without a byte": { before: "", during: get("/") },
    "whose head had begun": { before: get("/").slice(0, 20), during: get("/").slice(20) },
    "whose body had begun": { before: `${post}abc`, during: "def" },
    "on a kept connection": { before: get("/"), during: get("/"), kept: true },
    "with a body on a kept connection": { before: get("/"), during: `${post}abcdef`, kept: true },
    "that waited for its response": { before: get("/held"), during: "" },
  }
}

class Client {
  readonly socket: Socket
  text = ""
  constructor(port: number) {
    this.socket = connect(port, "127.0.0.1")
    this.socket.setEncoding("latin1").on("data", (text: string) => (this.text += text))
    this.socket.on("error", () => {})
  }
  /** Waits for a response to a request, or the end of the connection. */
  async response(): Promise<string> {
    while (!/\r\n\r\n.*(?:bytes|held|late)|\r\n0\r\n/s.test(this.text) && !this.socket.closed) await sleep(5)
    const { text } = this
    this.text = ""
    return text.split("\r\n", 1)[0]! || "closed without a word"
  }
}

/** Suspends the process with requests of each kind on the way: the status line of each. */
const stall = async (child: ChildProcess, port: number, all: Readonly<Record<string, Kind>>) => {
  const requests = Object.entries(all).flatMap(([name, kind]) =>
    Array.from({ length: REQUESTS }, () => ({ name, kind })),
  )
  const clients = await Promise.all(
    requests.map(async ({ kind }) => {
      if (kind.late === true) return undefined
      const client = new Client(port)
      await once(client.socket, "connect")
      client.socket.write(kind.before)
      if (kind.kept === true) await client.response()
      return client
    }),
  )
  const waiting = requests.filter(({ kind }) => kind.before.includes("/held") || kind.before.includes("slow.")).length
  while (held.length < waiting) await sleep(5)
  await suspend(child)
  const late = requests.map(({ kind }, i) => {
    const client = clients[i] ?? new Client(port)
    client.socket.write(kind.during)
    return client
  })
  release()
  await sleep(STALL_MS)
  child.kill("SIGCONT")
  const statuses = await Promise.all(late.map((client) => client.response()))
  for (const { socket } of late) socket.destroy()
  return requests.map(({ name }, i) => `${name}: ${statuses[i]}`)
}
const served = (all: Readonly<Record<string, Kind>>) =>
  Object.keys(all).flatMap((name) => Array.from({ length: REQUESTS }, () => `${name}: HTTP/1.1 200 OK`))

describe.skipIf(noSignals !== "")(
  `a process suspended for longer than its time-outs serves each request${noSignals}`,
  () => {
    it("of a machine proxy", async () => {
      const { child, port } = await startMachineProxy()
      const all = kinds(`Host: a\r\nx-iterate-proxy-target-host: localhost:${appPort}\r\n`)
      expect(await stall(child, port, all)).toEqual(served(all))
    })

    it("of a router over sockets, and look-ups of its store", async () => {
      const { child, said } = await startRouter(TIMEOUT_MS)
      const all = {
        ...kinds("Host: misha.iterate.app\r\n"),
        "that waited for its route": { before: "GET / HTTP/1.1\r\nHost: slow.iterate.app\r\n\r\n", during: "" },
      }
      expect(await stall(child, said["sockets"]!, all)).toEqual(served(all))
    })

    it("of a router by fetch", async () => {
      const { child, said } = await startRouter(TIMEOUT_MS)
      const { "that waited for its response": response, "in the listener's queue": queued } =
        kinds("Host: misha.iterate.app\r\n")
      const all = {
        "that waited for its response": response!,
        "in the listener's queue": queued!,
        "that waited for its route": { before: "GET / HTTP/1.1\r\nHost: slow.iterate.app\r\n\r\n", during: "" },
      }
      expect(await stall(child, said["fetch"]!, all)).toEqual(served(all))
    })
  },
)

describe.skipIf(!everything || noSignals !== "")(`under load${noSignals || onlyInAll}`, () => {
  it("a router suspended twelve times for longer than its time-out gives no false 504", async () => {
    const { child, said } = await startRouter(1_000)
    const over = new AbortController()
    const statuses = new Map<string, number>()
    const load = (["sockets", "fetch"] as const).flatMap((host) =>
      Array.from({ length: 16 }, async (_, client) => {
        while (!over.signal.aborted) {
          const asked = new Client(said[host]!)
          const delay = (client * 37) % 600
          asked.socket.write(`GET /after/${delay} HTTP/1.1\r\nHost: misha.iterate.app\r\nConnection: close\r\n\r\n`)
          const status = `${host}: ${await asked.response()}`
          statuses.set(status, (statuses.get(status) ?? 0) + 1)
          asked.socket.destroy()
        }
      }),
    )
    for (let round = 0; round < 12; round++) {
      await sleep(500)
      await suspend(child)
      await sleep(1_500)
      child.kill("SIGCONT")
    }
    over.abort()
    await Promise.all(load)
    expect([...statuses.keys()].toSorted()).toEqual(["fetch: HTTP/1.1 200 OK", "sockets: HTTP/1.1 200 OK"])
  })
})
