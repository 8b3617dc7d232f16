/** Machines whose machine proxy speaks TLS, with its key pinned: where they are, when they start and when they move. */
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { SendFailure } from "@project-ingress/forward/fetch"
import { afterAll, afterEach, describe, expect, it } from "vitest"
import { createMachineProxy, machineTls } from "../../machine-proxy/src/machine-proxy.ts"
import { fly } from "../src/adapters/fly/fly.ts"
import { local } from "../src/adapters/local.ts"
import { url } from "../src/adapters/url.ts"
import type { Endpoint, Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { FetcherOptions } from "../src/transport/machine-fetcher.ts"

const folder = mkdtempSync(join(tmpdir(), "pin-"))
afterAll(() => rmSync(folder, { recursive: true }))
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const { signing } = await generateTicketKeys("test")
const machineOneKey = await machineKey(signing, "mach_1")
const aPin = `sha256//${"A".repeat(43)}=`

/** A machine proxy with a key of that name, which listens when it is told to. */
const machineWith = (key: string) => {
  const { server: tls, pin } = machineTls(join(folder, `${key}.pem`))
  const proxy = createMachineProxy({ machine: "mach_1", keys: [machineOneKey] })
  const server = createServer(proxy.secureConnection(tls))
  closing.push(() => {
    server.close()
    return proxy.drain({ deadlineMs: 0 })
  })
  const start = async (port = 0): Promise<number> => {
    server.listen(port, "127.0.0.1")
    await once(server, "listening")
    return (server.address() as AddressInfo).port
  }
  return { pin, start }
}

/** A program with a key of its own, and what it could read. */
const stranger = async () => {
  const seen = { text: "", connections: 0 }
  const { server: tls } = machineTls(join(folder, "stranger.pem"))
  tls.on("secureConnection", (socket) => socket.on("data", (bytes: Buffer) => (seen.text += String(bytes))))
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    seen.connections++
    sockets.add(socket.on("error", () => {}))
    tls.emit("connection", socket)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { seen, origin: `https://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

const record: Machine = { id: "mach_1", type: "fake", externalId: "m1", metadata: {} }
const fake = (more: Partial<MachineProvider>): MachineProvider => ({
  type: "fake",
  capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
  resolve: () => Promise.reject(new Error("nowhere")),
  ...more,
})
/** A port that is closed inside: the response of the machine proxy itself, which proves that it has the request. */
const send = (provider: MachineProvider, options: FetcherOptions = {}): Promise<unknown> =>
  machineFetcher(provider, record, { port: 1, signingKey: signing, ...options })(
    new Request("http://app.test/", { method: "POST", headers: { cookie: "session=secret" }, body: "a body" }),
  ).then(
    (response) => response.headers.get("x-iterate-proxy-error"),
    (error: unknown) => error,
  )

describe("a record's pin", () => {
  const resolve = (provider: MachineProvider, metadata: Machine["metadata"]) =>
    provider.resolve({ ...record, metadata }, { port: 3000, signal: new AbortController().signal })
  const at = { allowCidrs: ["10.0.0.0/8"] }
  const cloud = fly({ token: "t" })

  it.each<[string, MachineProvider, Machine["metadata"], string]>([
    ["local", local(), { port: 8080 }, "https://127.0.0.1:8080"],
    ["url", url(at), { origin: "https://10.0.0.1:8080" }, "https://10.0.0.1:8080"],
    ["fly", cloud, { app: "pets", network: "6pn" }, "https://m1.vm.pets.internal:8080"],
  ])("of %s makes an https endpoint with it", async (_, provider, metadata, origin) => {
    expect(await resolve(provider, { ...metadata, pin: aPin })).toMatchObject({ origin, pin: aPin })
    expect((await resolve(provider, metadata)).pin).toBeUndefined()
  })

  it.each<[string, MachineProvider, Machine["metadata"]]>([
    ["local", local(), { port: 8080 }],
    ["url", url(at), { origin: "https://10.0.0.1:8080" }],
    ["fly", cloud, { app: "pets", network: "6pn" }],
  ])("of %s is refused in any other notation", async (_, provider, metadata) => {
    for (const pin of [null, 7, "", aPin.slice(8), aPin.replace("//", "/"), `${aPin} `, aPin.replace("A=", "B=")]) {
      await expect(resolve(provider, { ...metadata, pin })).rejects.toMatchObject({
        _tag: "MachineRecordInvalid",
        field: "pin",
      })
    }
  })

  it.each(["public", "flycast", undefined])(
    "of fly is refused where Fly's proxy is on the way: %s",
    async (network) => {
      const metadata = { app: "pets", pin: aPin, ...(network === undefined ? {} : { network }) }
      await expect(resolve(cloud, metadata)).rejects.toMatchObject({ field: "pin" })
    },
  )
})

describe("an endpoint's pin", () => {
  it.each<[string, Partial<Endpoint>]>([
    ["pin", { pin: "sha256/AAAA" }],
    ["origin", { origin: "http://127.0.0.1:1" }],
    ["pin", { fetch: async () => new Response() }],
  ])("is refused by the field %s of what contradicts it", async (field, more) => {
    const endpoint = { origin: "https://127.0.0.1:1", pin: aPin, epoch: "1", ttlMs: 0, ...more }
    expect(await send(fake({ resolve: async () => endpoint }))).toMatchObject({
      _tag: "MachineRecordInvalid",
      field: `endpoint.${field}`,
    })
  })
})

describe("a pinned machine", () => {
  it("is started for a request, which waits until its machine proxy responds by TLS", async () => {
    const machine = machineWith("sleeper")
    let port = 0
    const provider = fake({
      status: async () => ({ state: port === 0 ? "stopped" : "running" }),
      resolve: async () => ({ origin: `https://127.0.0.1:${port || 1}`, pin: machine.pin, epoch: "1", ttlMs: 60_000 }),
      start: async () => void (port = await machine.start()),
    })
    // Without a probe that gets through nothing would be sent for a minute.
    expect(await send(provider, { startupGraceMs: 60_000 })).toBe("PORT_CLOSED")
  })

  it("is sent its request without a probe where no probe can be sent", async () => {
    const machine = machineWith("unprobed")
    let port = 0
    const provider = fake({
      status: async () => ({ state: port === 0 ? "stopped" : "running" }),
      resolve: async () => ({ origin: `https://127.0.0.1:${port || 1}`, pin: machine.pin, epoch: "1", ttlMs: 60_000 }),
      start: async () => void (port = await machine.start()),
    })
    const readinessProbe = () => Promise.reject(new SendFailure("unsupported", "no"))
    expect(await send(provider, { startupGraceMs: 60_000, readinessProbe })).toBe("PORT_CLOSED")
  })

  it("is found where it is now: its provider is asked again when another key is at its address", async () => {
    const machine = machineWith("mover")
    const old = await stranger()
    const origins = [old.origin, `https://127.0.0.1:${await machine.start()}`]
    let asked = 0
    const resolve = async () => ({ origin: origins[asked++]!, pin: machine.pin, epoch: "1", ttlMs: 60_000 })
    expect(await send(fake({ resolve }))).toBe("PORT_CLOSED")
    expect(asked).toBe(2)
    expect(old.seen).toEqual({ text: "", connections: 1 })
  })

  it("is another one by a new pin at the same place", async () => {
    const machine = machineWith("renewed")
    const origin = `https://127.0.0.1:${await machine.start()}`
    const pins = [aPin, machine.pin]
    const resolve = async () => ({ origin, pin: pins.shift()!, epoch: "1", ttlMs: 60_000 })
    expect(await send(fake({ resolve }))).toBe("PORT_CLOSED")
  })

  it("is MachineMismatch if its provider still says that it is there", async () => {
    const { seen, origin } = await stranger()
    const resolve = async () => ({ origin, pin: aPin, epoch: "1", ttlMs: 60_000 })
    const status = async () => ({ state: "running" as const })
    expect(await send(fake({ resolve, status }))).toMatchObject({
      _tag: "MachineMismatch",
      // What the operator reads in the router's event.
      message: expect.stringMatching(
        / is not the one that responded at its endpoint, whose TLS key is not the one of the pin$/,
      ),
      cause: { cause: { code: "PIN_MISMATCH" } },
    })
    expect(seen.text).toBe("")
  })

  it("is what the reason names where whoever listens there speaks no TLS", async () => {
    const server = createServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"))
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    closing.push(() => server.close())
    const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    expect(await send(fake({ resolve: async () => ({ origin, pin: aPin, epoch: "1", ttlMs: 60_000 }) }))).toMatchObject(
      {
        _tag: "ProviderUnavailable",
        message: expect.stringMatching(
          /it does not speak TLS, as a pin or https: requires \(ERR_SSL_WRONG_VERSION_NUMBER\)$/,
        ),
      },
    )
  })

  it("is not running if its provider says so, whoever has its address", async () => {
    const { seen, origin } = await stranger()
    const resolve = async () => ({ origin, pin: aPin, epoch: "1", ttlMs: 60_000 })
    const status = async () => ({ state: "stopped" as const })
    expect(await send(fake({ resolve, status }), { wake: false })).toMatchObject({ _tag: "MachineNotRunning" })
    expect(seen.text).toBe("")
  })
})
