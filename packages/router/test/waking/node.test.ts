/** Waking behind `serveNode`, by sockets: machines are servers, providers are slow. */
import { once } from "node:events"
import { request } from "node:http"
import type { IncomingMessage } from "node:http"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { MachineNotRunning } from "@project-ingress/providers"
import type { MachineProvider } from "@project-ingress/providers"
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest"
import { WebSocket } from "ws"
import { serveNode } from "../../src/hosts/node.ts"
import { createRouter } from "../../src/router.ts"
import type { Activity, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { fake, hostnames, keys, machine } from "../fakes.ts"
import { startMachine } from "../machine.ts"
import type { StampedServer } from "../machine.ts"
import { navigation } from "./sleeper.ts"

let server: StampedServer
beforeAll(async () => {
  server = await startMachine()
})
afterAll(() => server.close())

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** A host whose machine is that server once it was started. */
const listen = async (provider: Partial<MachineProvider>, options: Partial<RouterOptions> = {}) => {
  const starts: string[] = []
  const router = createRouter({
    grammar: hostnames,
    store: memoryStore({ "p:misha": { machine: machine("mach_1") } }),
    signingKey: keys.signing,
    unprovenMachines: true,
    ...options,
    providers: [
      fake({
        resolve: async ({ type, externalId }) => {
          if (starts.length === 0)
            throw new MachineNotRunning({ provider: type, machine: externalId, state: "stopped" })
          return { origin: `http://127.0.0.1:${server.port}`, epoch: "1", ttlMs: 60_000 }
        },
        ...provider,
        start: async (of, given) => {
          starts.push(of.externalId)
          return provider.start?.(of, given)
        },
        capabilities: { ...fake().capabilities, wake: "start" },
      }),
    ],
  })
  const { port, close } = await serveNode(router).listen({ hostname: "127.0.0.1" })
  onTestFinished(() => close({ deadlineMs: 0 }))
  // `fetch` would say by itself what the request is for.
  const ask = async (path: string, { body, ...init }: Asked = {}) => {
    const headers = { host: "misha.iterate.app", ...init.headers }
    const sent = request({ host: "127.0.0.1", port, path, ...init, headers }).end(body)
    const [response] = (await once(sent, "response")) as [IncomingMessage]
    const status = response.statusCode
    const code = response.headers["x-iterate-proxy-error"]
    return { status, code, response, text: () => text(response) }
  }
  const connect = (path = "/socket") =>
    new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers: { host: "misha.iterate.app" } })
  return { ask, connect, starts }
}

const never = () => new Promise<never>(() => {})
const seconds = async <A>(work: Promise<A>): Promise<readonly [A, number]> => {
  const began = performance.now()
  const value = await work
  return [value, (performance.now() - began) / 1_000]
}

describe("a navigation gets the page within 2 s", () => {
  /** Takes connections and says nothing, as the address of a machine that sleeps may. */
  const silent = async (): Promise<string> => {
    const server = createServer()
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    onTestFinished(() => void server.close())
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  it.each<[string, () => Promise<Partial<MachineProvider>>]>([
    ["resolve hangs", async () => ({ resolve: never })],
    ["start hangs", async () => ({ start: never })],
    [
      "nobody responds at the address, and status and start hang",
      async () => {
        const origin = await silent()
        return { resolve: async () => ({ origin, epoch: "1", ttlMs: 60_000 }), status: never, start: never }
      },
    ],
  ])("though %s", async (_, provider) => {
    const { ask } = await listen(await provider())
    const [response, took] = await seconds(ask("/", { headers: navigation }))
    expect([response.status, response.code]).toEqual([503, "MACHINE_STARTING"])
    expect(await response.text()).toContain("<progress")
    expect(took).toBeGreaterThan(1)
    expect(took).toBeLessThan(2)
  })

  it("and the app when it is up, on the same connections", async () => {
    let up = (): void => {}
    const started = new Promise<void>((resolve) => (up = resolve))
    const { ask, starts } = await listen({ start: () => started })
    for (let at = 0; at < 3; at++) expect((await ask("/", { headers: navigation })).code).toBe("MACHINE_STARTING")
    up()
    await vi.waitFor(async () => expect((await ask("/", { headers: navigation })).status).toBe(200), 10_000)
    expect(starts).toEqual(["ext-mach_1"])
  })
})

it("a WebSocket handshake wakes, and is held until its machine is up", async () => {
  const { connect, starts } = await listen({ start: () => new Promise((done) => void setTimeout(done, 300)) })
  const socket = connect()
  await once(socket, "open")
  expect(starts).toEqual(["ext-mach_1"])
  socket.terminate()
})

it("a WebSocket handshake is 503 with Retry-After when its time is over", async () => {
  const { connect } = await listen({ start: never }, { machines: { holdMs: 200 } })
  const socket = connect()
  socket.on("error", () => {})
  const [, response] = (await once(socket, "unexpected-response")) as [unknown, { statusCode: number; headers: object }]
  expect(response.statusCode).toBe(503)
  expect(response.headers).toMatchObject({ "retry-after": "2", "x-iterate-proxy-error": "MACHINE_STARTING" })
})

it("a body is held unsent until the machine is up, and is sent once", async () => {
  const { ask } = await listen({ start: () => new Promise((done) => void setTimeout(done, 300)) })
  const before = server.requests.length
  const response = await ask("/", { method: "POST", body: "x".repeat(100_000) })
  expect((await response.text()).length).toBe(100_000)
  expect(server.requests.slice(before).filter(({ method }) => method === "POST")).toHaveLength(1)
})

describe("is in use, and keepAlive and onActivity hear of it", () => {
  const using = async () => {
    const seen: Activity[] = []
    const kept: string[] = []
    const keepAlive = async ({ externalId }: { readonly externalId: string }) => void kept.push(externalId)
    const host = await listen(
      { keepAlive },
      { onActivity: (activity) => void seen.push(activity), activityIntervalMs: 1_000 },
    )
    return { ...host, seen, kept }
  }
  const open = (seen: readonly Activity[]) => seen.filter((each) => each.open).length

  it("while a stream is open", async () => {
    const { ask, seen, kept } = await using()
    const { status, response } = await ask("/events", { method: "POST" })
    expect(status).toBe(200)
    await vi.waitFor(() => expect(open(seen)).toBeGreaterThanOrEqual(2), 20_000)
    expect(kept).toEqual(["ext-mach_1"])
    response.destroy()
  })

  it("while a WebSocket is open, and no longer", async () => {
    const { connect, seen, kept } = await using()
    const socket = connect()
    await once(socket, "open")
    await vi.waitFor(() => expect(open(seen)).toBeGreaterThanOrEqual(2), 20_000)
    expect(kept).toEqual(["ext-mach_1"])
    const closed = once(socket, "close")
    socket.close()
    await closed
    const before = seen.length
    // Two intervals: one report may have been under way.
    await new Promise((resolve) => setTimeout(resolve, 3_200))
    expect(seen.length).toBeLessThanOrEqual(before + 1)
  })
})
