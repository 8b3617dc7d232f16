import { once } from "node:events"
import { createServer } from "node:http"
import type { IncomingMessage, Server } from "node:http"
import type { AddressInfo } from "node:net"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { verifyRelayProof } from "@project-ingress/forward/internal"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { afterEach, describe, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import type { WebSocket } from "ws"
import { readConfig } from "../src/config.ts"
import { layer } from "../src/effect.ts"
import { createMachineProxy } from "../src/machine-proxy.ts"
import { connectRelay } from "../src/relay.ts"
import type { Relay, RelayEvent, RelayOptions } from "../src/relay.ts"

const machine = "mach_a"
const { signing, verification } = await generateTicketKeys("k1")
const { signing: nextSigning } = await generateTicketKeys("k2")
const key = await machineKey(signing, machine)
const nextKey = await machineKey(nextSigning, machine)
const proxy = createMachineProxy({ machine, keys: [key] })

interface FakeRelay {
  readonly url: string
  readonly requests: IncomingMessage[]
  /** What it responds to handshakes; undefined: it takes them. */
  refuse: { readonly status: number; readonly date?: string } | undefined
  /** Whether it responds to signs of life. */
  pongs: boolean
  readonly sockets: WebSocket[]
  readonly server: Server
}

const opened: { readonly relays: Relay[]; readonly servers: FakeRelay[] } = { relays: [], servers: [] }

/** What stands in the place of a Worker, and can be whatever a test needs. */
const fakeRelay = async (): Promise<FakeRelay> => {
  const sockets = new WebSocketServer({ noServer: true })
  const server = createServer()
  const fake: FakeRelay = { url: "", requests: [], refuse: undefined, pongs: true, sockets: [], server }
  server.on("upgrade", (request: IncomingMessage, socket, head) => {
    fake.requests.push(request)
    if (fake.refuse !== undefined) {
      const { status, date } = fake.refuse
      const dated = date === undefined ? "" : `Date: ${date}\r\n`
      socket.end(`HTTP/1.1 ${status} No\r\n${dated}Content-Length: 0\r\nConnection: close\r\n\r\n`)
      return
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      fake.sockets.push(client)
      client.on("message", (data: Buffer, binary) => {
        if (!binary && data.toString() === "ping" && fake.pongs) client.send("pong")
      })
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  Object.assign(fake, { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}` })
  opened.servers.push(fake)
  return fake
}

const connect = (url: string, more: Partial<RelayOptions> = {}) => {
  const events: RelayEvent[] = []
  const relay = connectRelay({
    url,
    machine,
    keys: [key],
    proxy,
    minRetryMs: 20,
    maxRetryMs: 80,
    onEvent: (event) => events.push(event),
    ...more,
  })
  opened.relays.push(relay)
  return { relay, events, types: () => events.map(({ type }) => type) }
}

afterEach(async () => {
  await Promise.all(opened.relays.map((relay) => relay.close()))
  for (const { server, sockets } of opened.servers) {
    for (const socket of sockets) socket.terminate()
    server.close()
  }
  opened.relays.length = 0
  opened.servers.length = 0
})

describe("a connection to a relay", { timeout: 20_000 }, () => {
  it("is made at the machine's own path, with a proof for this relay and no other", async () => {
    const fake = await fakeRelay()
    const { types } = connect(`${fake.url}/some/path/`)
    await expect.poll(types).toEqual(["connected"])
    const { url, headers } = fake.requests[0]!
    expect([url, headers["sec-websocket-protocol"]]).toEqual(["/some/path/mach_a", "project-ingress-relay.1"])
    const proof = headers.authorization!.slice("Bearer ".length)
    const { host } = new URL(fake.url)
    expect(await verifyRelayProof(proof, { machine, relay: host }, [signing])).toBeDefined()
    expect(await verifyRelayProof(proof, { machine, relay: "other.test" }, [signing])).toBeUndefined()
  })

  it("is made again when it is lost, with a proof of its own", async () => {
    const fake = await fakeRelay()
    const { types, events } = connect(fake.url)
    await expect.poll(types).toEqual(["connected"])
    fake.sockets[0]!.close(1012, "restart")
    await expect.poll(types).toEqual(["connected", "lost", "connected"])
    expect(events[1]).toMatchObject({ code: 1012, reason: "restart" })
    const [first, second] = fake.requests.map(({ headers }) => headers.authorization)
    expect(first).not.toBe(second)
  })

  it("is given up without a reply to a sign of life", async () => {
    const fake = await fakeRelay()
    const { types, events } = connect(fake.url, { heartbeatMs: 3_000 })
    await expect.poll(() => fake.sockets.length).toBe(1)
    // As long as there are replies it stays.
    await once(fake.sockets[0]!, "message")
    await once(fake.sockets[0]!, "message")
    expect(types()).toEqual(["connected"])
    fake.pongs = false
    await expect.poll(types, { timeout: 10_000 }).toContain("lost")
    expect(events[1]).toMatchObject({ type: "lost", code: 1006 })
  })

  it("ends for a text that is no sign of life, and for what is no frame", async () => {
    const fake = await fakeRelay()
    const { types } = connect(fake.url)
    await expect.poll(types).toEqual(["connected"])
    fake.sockets[0]!.send("hello")
    expect((await once(fake.sockets[0]!, "close"))[0]).toBe(4002)
    await expect.poll(() => fake.sockets.length).toBe(2)
    fake.sockets[1]!.send(Buffer.from([99]))
    expect((await once(fake.sockets[1]!, "close"))[0]).toBe(4002)
  })

  it("is tried again after refusals, each time after a longer pause, with the next of several keys", async () => {
    const fake = await fakeRelay()
    fake.refuse = { status: 401 }
    const { events } = connect(fake.url, { keys: [{ ...verification, kid: "public" }, key, nextKey] })
    await expect.poll(() => events.length).toBeGreaterThan(4)
    const pauses = events.map((event) => (event as { readonly retryMs: number }).retryMs)
    for (const [i, pause] of pauses.entries()) {
      const whole = Math.min(80, 20 * 2 ** i)
      expect(pause).toBeGreaterThanOrEqual(Math.floor(whole / 2))
      expect(pause).toBeLessThanOrEqual(whole)
    }
    expect(events[0]).toMatchObject({
      type: "refused",
      status: 401,
      reason: "the relay does not accept this machine's key",
    })
    const { host } = new URL(fake.url)
    const provenBy = async (request: IncomingMessage): Promise<string> => {
      const proof = request.headers.authorization!.slice("Bearer ".length)
      return (await verifyRelayProof(proof, { machine, relay: host }, [signing])) === undefined ? "k2" : "k1"
    }
    expect(await Promise.all(fake.requests.slice(0, 3).map(provenBy))).toEqual(["k1", "k2", "k1"])
    fake.refuse = undefined
    await expect.poll(() => events.at(-1)!.type).toBe("connected")
  })

  it("names a clock that differs as the reason of a refusal", async () => {
    const fake = await fakeRelay()
    fake.refuse = { status: 401, date: new Date(Date.now() - 3_600_000).toUTCString() }
    const { events } = connect(fake.url)
    await expect
      .poll(() => events[0])
      .toMatchObject({ reason: expect.stringMatching(/^the clock of this machine differs by 36\d\d s/) })
  })

  it("waits for its place after it was replaced, and asks for it without taking it", async () => {
    const fake = await fakeRelay()
    const { types } = connect(fake.url)
    await expect.poll(types).toEqual(["connected"])
    fake.refuse = { status: 409 }
    fake.sockets[0]!.close(4001, "replaced")
    await expect.poll(types).toEqual(["connected", "replaced", "refused", "refused"])
    expect(fake.requests.map(({ headers }) => headers["x-project-ingress-relay-stand-by"]).slice(0, 3)).toEqual([
      undefined,
      "1",
      "1",
    ])
  })

  it("reports where nobody listens, and stops for good when it is closed", async () => {
    const { relay, events } = connect("ws://127.0.0.1:1")
    await expect.poll(() => events[0]).toMatchObject({ type: "refused", status: undefined, reason: "ECONNREFUSED" })
    await relay.close()
    const { length } = events
    expect(events.at(-1)).toEqual({ type: "stopped" })
    await relay.close()
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect([events.length, relay.connected()]).toEqual([length, false])
  })

  it("leaves nothing open when it is closed before it is there", async () => {
    const fake = await fakeRelay()
    const closed = connect(fake.url)
    await closed.relay.close()
    const later = connect(fake.url)
    await new Promise((resolve) => setImmediate(resolve))
    await later.relay.close()
    const { types } = connect(fake.url)
    await expect.poll(types).toEqual(["connected"])
    await expect.poll(() => fake.sockets.filter(({ readyState }) => readyState === 1).length).toBe(1)
    expect([closed.types(), later.types()]).toEqual([["stopped"], ["stopped"]])
  })

  it("ends with 1000 when it is closed, and with what is thrown by a listener it goes on", async () => {
    const fake = await fakeRelay()
    const relay = connectRelay({
      url: fake.url,
      machine,
      keys: [key],
      proxy,
      onEvent: () => {
        throw new Error("a log that fails")
      },
    })
    await expect.poll(relay.connected).toBe(true)
    const ended = once(fake.sockets[0]!, "close")
    await relay.close({ deadlineMs: 1_000 })
    expect((await ended)[0]).toBe(1000)
    await expect(relay.close({ deadline: 1 } as never)).rejects.toThrow("close: deadline is not an option")
  })
})

describe("connectRelay", () => {
  const valid = { url: "wss://relay.example.com", machine, keys: [key], proxy }
  it.each<[string, Record<string, unknown>, string]>([
    ["no URL", { url: undefined }, "url"],
    ["an http URL", { url: "https://relay.example.com" }, "wss://"],
    ["ws to a public name", { url: "ws://relay.example.com" }, "private address"],
    ["ws to a public address", { url: "ws://192.0.2.1" }, "private address"],
    ["a URL with a password", { url: "wss://user:password@relay.example.com" }, "wss://"],
    ["a URL with a query", { url: "wss://relay.example.com/?a=b" }, "without query"],
    ["an empty machine", { machine: "" }, "machine"],
    ["a machine with a space", { machine: "a b" }, "machine"],
    ["no keys", { keys: undefined }, "keys"],
    ["insecure", { keys: "insecure" }, "keys"],
    ["an empty array", { keys: [] }, "machineKey"],
    ["a public half alone", { keys: [verification] }, "machineKey"],
    ["no proxy", { proxy: {} }, "createMachineProxy"],
    ["an unknown option", { hearbeatMs: 1 }, "did you mean heartbeatMs"],
    ["a heartbeat of nothing", { heartbeatMs: 0 }, "heartbeatMs"],
    ["a pause that is no number", { maxRetryMs: "1s" }, "maxRetryMs"],
  ])("refuses %s by name, and shows no key", (_, wrong, part) => {
    const make = () => connectRelay({ ...valid, ...wrong })
    expect(make).toThrow(TypeError)
    expect(make).toThrow(part)
    expect(make).not.toThrow(key.machineSecret)
  })
})

describe("the layer", { timeout: 20_000 }, () => {
  const options = {
    host: "127.0.0.1",
    port: 0,
    log: "off" as const,
    drainMs: 1_000,
    graceMs: 0,
    keys: Redacted.make([key]),
    proxy: { machine },
  }

  it("connects to the relay of its option, and leaves it when its scope closes", async () => {
    const fake = await fakeRelay()
    const scope = Effect.runSync(Scope.make())
    await Effect.runPromise(Layer.buildWithScope(layer({ ...options, relayUrl: fake.url }), scope))
    await expect.poll(() => fake.sockets.length).toBe(1)
    const ended = once(fake.sockets[0]!, "close")
    await Effect.runPromise(Scope.close(scope, Exit.void))
    expect((await ended)[0]).toBe(1000)
  })

  it("refuses a relay that is no URL, and one without a key of the machine's own", () => {
    expect(() => layer({ ...options, relayUrl: "https://relay.example.com" })).toThrow(
      "relayUrl must be a URL as wss://",
    )
    const keys = Redacted.make([verification])
    expect(() => layer({ ...options, keys, relayUrl: "wss://relay.example.com" })).toThrow("layer: relayUrl: keys must")
  })
})

describe("INGRESS_RELAY_URL", () => {
  const keys = JSON.stringify([key])
  const read = (url: string, environment: Record<string, string> = { INGRESS_TICKET_KEYS: keys }, insecure = false) =>
    readConfig({ INGRESS_MACHINE: machine, INGRESS_RELAY_URL: url, ...environment }, { insecure })

  it.each([
    "wss://relay.example.com",
    "wss://relay.example.com/a",
    "ws://172.17.0.1:8787",
    "ws://localhost:1",
    "ws://[::1]:2",
  ])("is %s", (url) => {
    expect(read(url)).toMatchObject({ config: { relayUrl: url } })
  })

  it.each([
    "",
    "relay.example.com",
    "https://relay.example.com",
    "ws://relay.example.com",
    "wss://a:b@c",
    "ws://8.8.8.8",
  ])("is not %j", (url) => {
    expect(read(url)).toMatchObject({ problems: [expect.stringMatching(/^INGRESS_RELAY_URL: .*is not accepted/)] })
  })

  it("needs a key of the machine's own", () => {
    const publicHalf = { INGRESS_TICKET_KEYS: JSON.stringify([verification]) }
    expect(read("wss://r.test", publicHalf)).toMatchObject({
      problems: [expect.stringContaining("INGRESS_RELAY_URL: keys must")],
    })
    expect(read("wss://r.test", {}, true)).toMatchObject({
      problems: [expect.stringContaining("INGRESS_RELAY_URL: a relay needs")],
    })
  })
})
