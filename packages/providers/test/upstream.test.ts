/** Addresses that a record names: an app's own (`upstream`), and those of machine proxies at fixed places (`local`, `url`). */
import { once } from "node:events"
import { createServer } from "node:http"
import type { IncomingHttpHeaders, RequestListener, Server } from "node:http"
import type { AddressInfo } from "node:net"
import { defaultHeaderNames, generateTicketKeys } from "@project-ingress/forward"
import { afterEach, describe, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import { local } from "../src/adapters/local.ts"
import { upstream } from "../src/adapters/upstream.ts"
import { url } from "../src/adapters/url.ts"
import type { AddressOptions } from "../src/contract/address-options.ts"
import type { Endpoint, Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { FetcherOptions } from "../src/transport/machine-fetcher.ts"

const servers = new Set<Server>()
const listen = async (handler: RequestListener): Promise<Server & { readonly port: number }> => {
  const server = createServer(handler)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  servers.add(server)
  return Object.assign(server, { port: (server.address() as AddressInfo).port })
}
afterEach(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  servers.clear()
})

const machineOf = (type: string, metadata: Machine["metadata"]): Machine => ({
  id: "mach_1",
  type,
  externalId: "m1",
  metadata,
})
const resolve = (provider: MachineProvider, metadata: Machine["metadata"], port = 3000): Promise<Endpoint> =>
  provider.resolve(machineOf(provider.type, metadata), { port, signal: new AbortController().signal })
const loopback = { allowCidrs: ["127.0.0.0/8"] }

/** Every adapter whose records name addresses, and how a record names a host. */
const adapters: [string, (options?: AddressOptions) => MachineProvider, (host: string) => Machine["metadata"]][] = [
  ["upstream", upstream, (host) => ({ origin: `http://${host}:8080` })],
  ["url", url, (host) => ({ origin: `http://${host}:8080` })],
  ["local", local, (host) => ({ host: host.replace(/^\[(.*)\]$/, "$1"), port: 8080 })],
]

/** Hosts that lead to where no record may lead unless its range is allowed: every class, in every notation. */
const forbidden: [host: string, range: string][] = [
  ["10.0.0.1", "10.0.0.0/8"],
  ["172.16.0.1", "172.16.0.0/12"],
  ["192.168.1.1", "192.168.0.0/16"],
  ["100.64.0.1", "100.64.0.0/10"],
  ["169.254.169.254", "169.254.0.0/16"],
  ["0.0.0.0", "0.0.0.0/8"],
  ["224.0.0.1", "224.0.0.0/4"],
  ["255.255.255.255", "255.255.255.255/32"],
  ["192.0.2.1", "192.0.2.0/24"],
  ["198.18.0.1", "198.18.0.0/15"],
  ["240.0.0.1", "240.0.0.0/4"],
  ["0x", "0.0.0.0/8"],
  ["0x0a.1", "10.0.0.0/8"],
  ["167772161", "10.0.0.0/8"],
  ["0xa9fea9fe", "169.254.0.0/16"],
  ["10.1", "10.0.0.0/8"],
  ["10.0.0.1.", "10.0.0.0/8"],
  ["[::]", "::/128"],
  ["[fe80::1]", "fe80::/10"],
  ["[fd00::1]", "fc00::/7"],
  ["[fd00:ec2::254]", "fc00::/7"],
  ["[ff02::1]", "ff00::/8"],
  ["[64:ff9b::a00:1]", "64:ff9b::/96"],
  ["[2002:a00:1::]", "2002::/16"],
  ["[2001:db8::1]", "2001:db8::/32"],
  ["[::ffff:10.0.0.1]", "10.0.0.0/8"],
  ["[::ffff:a00:1]", "10.0.0.0/8"],
  ["[::ffff:a9fe:a9fe]", "169.254.0.0/16"],
]
const loopbacks: [host: string, range: string][] = [
  ["127.0.0.1", "127.0.0.0/8"],
  ["127.9.9.9", "127.0.0.0/8"],
  ["0x7f.1", "127.0.0.0/8"],
  ["2130706433", "127.0.0.0/8"],
  ["[::1]", "::1/128"],
  ["[::ffff:127.0.0.1]", "127.0.0.0/8"],
  ["[::ffff:7f00:1]", "127.0.0.0/8"],
]

describe.each(adapters)("an address in a record of %s", (name, adapter, metadataOf) => {
  const hosts = name === "local" ? forbidden : [...forbidden, ...loopbacks]

  it.each(hosts)("%s is refused unless its range is allowed", async (host, range) => {
    const field = name === "local" ? "host" : "origin"
    await expect(resolve(adapter(), metadataOf(host))).rejects.toMatchObject({ _tag: "MachineRecordInvalid", field })
    await expect(resolve(adapter({ allowCidrs: ["203.0.113.0/24"] }), metadataOf(host))).rejects.toMatchObject({
      field,
    })
    const { origin, addresses } = await resolve(adapter({ allowCidrs: [range] }), metadataOf(host))
    expect(origin).toMatch(/^http:\/\/(?:[\d.]+|\[[\da-f:]+\]):8080$/)
    expect(addresses!.allowCidrs).toContain(range)
  })

  it.each(["fe80::1%25eth0", "fe80::1%eth0", "10.0.0.1/8", "10.0.0.1@evil.example", "1.2.3.4.5", "10.0.0.256"])(
    "%s is refused, whatever is allowed",
    async (host) => {
      const all = adapter({ allowCidrs: ["0.0.0.0/0", "::/0"] })
      const written = host.includes(":") ? `[${host}]` : host
      const outcome = await resolve(all, metadataOf(written)).catch((error: unknown) => error)
      expect(outcome).toMatchObject({ _tag: "MachineRecordInvalid" })
    },
  )

  it.each(["8.8.8.8", "[2606:4700::1111]", "app.example.com"])("%s is allowed", async (host) => {
    expect((await resolve(adapter(), metadataOf(host))).origin).toBe(`http://${host}:8080`)
  })

  it("must be one of the names, when there are any", async () => {
    const some = adapter({ allowHosts: ["app.example.com", "*.lan.example.com"] })
    for (const host of ["app.example.com", "APP.example.com", "a.lan.example.com", "8.8.8.8"]) {
      expect((await resolve(some, metadataOf(host))).addresses!.allowHosts).toHaveLength(2)
    }
    for (const host of ["example.com", "x.app.example.com", "lan.example.com", "app.example.com.evil.example"]) {
      await expect(resolve(some, metadataOf(host))).rejects.toMatchObject({ _tag: "MachineRecordInvalid" })
    }
  })

  it("is checked by lists that nobody changes afterwards", async () => {
    const allowCidrs: string[] = []
    const provider = adapter({ allowCidrs })
    allowCidrs.push("0.0.0.0/0")
    await expect(resolve(provider, metadataOf("10.0.0.1"))).rejects.toMatchObject({ _tag: "MachineRecordInvalid" })
  })

  it.each([
    [{ allowCidr: [] }, `${name}: allowCidr is not an option (did you mean allowCidrs?)`],
    [{ allowCidrs: "10.0.0.0/8" }, `${name}: allowCidrs must be an array, got a string`],
    [{ allowCidrs: [7] }, `${name}: allowCidrs must be an array in which every element is a non-empty string`],
    [{ allowCidrs: ["10.0.0.0"] }, `${name}: allowCidrs: "10.0.0.0" is not a range`],
    [{ allowCidrs: ["10.0.0.0/33"] }, `${name}: allowCidrs: "10.0.0.0/33" is not a range`],
    [{ allowHosts: ["*"] }, `${name}: allowHosts: "*" is not a hostname`],
    [{ allowHosts: ["10.0.0.1"] }, `${name}: allowHosts: "10.0.0.1" is not a hostname`],
    [null, `${name}: options must be an object, got null`],
  ])("options %j are refused", (options, message) => {
    expect(() => adapter(options as never)).toThrow(message)
  })
})

describe("local", () => {
  it.each(loopbacks)("%s is allowed without an option", async (host) => {
    expect((await resolve(local(), { host: host.replace(/[[\]]/g, ""), port: 8080 })).origin).toMatch(/^http:/)
  })
})

describe("upstream", () => {
  it.each([
    ["http://10.0.0.5", 3000, "http://10.0.0.5:3000"],
    ["http://10.0.0.5", 80, "http://10.0.0.5"],
    ["https://10.0.0.5", 443, "https://10.0.0.5"],
    ["https://10.0.0.5", 3000, "https://10.0.0.5:3000"],
    ["http://10.0.0.5:8080", 3000, "http://10.0.0.5:8080"],
    ["https://www.example.com:443", 3000, "https://www.example.com"],
    ["http://[fd00::5]", 3000, "http://[fd00::5]:3000"],
    ["http://[fd00::5]:8080", 3000, "http://[fd00::5]:8080"],
  ])("%s for port %i is %s", async (origin, port, expected) => {
    const provider = upstream({ allowCidrs: ["10.0.0.0/8", "fd00::/8"] })
    expect(await resolve(provider, { origin, epoch: "7" }, port)).toMatchObject({
      origin: expected,
      machineProxy: false,
      epoch: "7",
    })
  })

  it.each([
    [{}, "origin"],
    [{ origin: "10.0.0.5" }, "origin"],
    [{ origin: "http://8.8.8.8:" }, "origin"],
    [{ origin: "http://8.8.8.8:99999" }, "origin"],
    [{ origin: "http://8.8.8.8/path" }, "origin"],
    [{ origin: "http://user:canary@8.8.8.8" }, "origin"],
    [{ origin: "ftp://8.8.8.8" }, "origin"],
    [{ origin: "http://8.8.8.8", epoch: 1 }, "epoch"],
  ])("%j is refused by its %s", async (metadata, field) => {
    const failure = await resolve(upstream(), metadata).catch((error: unknown) => error)
    expect(failure).toMatchObject({ _tag: "MachineRecordInvalid", field })
    expect(String(failure)).not.toContain("canary")
  })
})

describe("an app without a machine proxy", () => {
  const app = async (handler: RequestListener, options: FetcherOptions = {}) => {
    const { signing } = await generateTicketKeys("test")
    const { port } = await listen(handler)
    return machineFetcher(upstream(loopback), machineOf("upstream", { origin: "http://127.0.0.1" }), {
      port,
      signingKey: signing,
      ...options,
    })
  }
  const get = (path: string, init?: RequestInit): Request => new Request(`https://app.example.test${path}`, init)

  it("gets no ticket, no target and no other field of ours, and not a client's either", async () => {
    let seen: IncomingHttpHeaders = {}
    const fetcher = await app((request, response) => {
      seen = request.headers
      response.end("hello")
    })
    const headers = { "x-app": "1", [defaultHeaderNames.ticket]: "forged", [defaultHeaderNames.targetHost]: "1__x" }
    expect(await (await fetcher(get("/", { headers }))).text()).toBe("hello")
    expect(seen["x-app"]).toBe("1")
    expect(Object.keys(seen).filter((name) => name.startsWith(defaultHeaderNames.family))).toEqual([])
    expect(JSON.stringify(seen)).not.toContain("eyJ")
  })

  it.each([200, 204, 301, 401, 404, 421, 429, 500, 502, 503, 530])("responds %i for itself", async (status) => {
    const fetcher = await app((_, response) => {
      const headers = { location: "/elsewhere", [defaultHeaderNames.error]: "MACHINE_MISMATCH" }
      response.writeHead(status, status === 421 ? { ...headers, [defaultHeaderNames.stamp]: "1" } : headers).end()
    })
    expect((await fetcher(get("/"))).status).toBe(status)
  })

  it("opens WebSockets", async () => {
    const server = await listen(() => {})
    const sockets = new WebSocketServer({ server })
    sockets.on("connection", (client) => client.send("hello"))
    const fetcher = machineFetcher(upstream(loopback), machineOf("upstream", { origin: "http://127.0.0.1" }), {
      port: server.port,
    })
    const socket = await fetcher.connect(get("/"))
    const [event] = (await once(socket, "message")) as [MessageEvent]
    expect(event.data).toBe("hello")
    socket.close()
  })

  it("fails only where no response comes", async () => {
    const fetcher = await app((request, response) => {
      if (request.url === "/reset") request.socket.resetAndDestroy()
      else response.end()
    })
    await expect(fetcher(get("/reset"))).rejects.toMatchObject({ _tag: "UpstreamFailed" })
    const silent = await app((request, response) => void (request.url === "/" && response.end()), {
      headersTimeoutMs: 500,
    })
    // The connection is there, so that the time goes by while the app is silent.
    await (await silent(get("/"))).text()
    await expect(silent(get("/never"))).rejects.toMatchObject({ _tag: "UpstreamTimeout" })
    const machine = machineOf("upstream", { origin: "http://127.0.0.1" })
    const nobody = machineFetcher(upstream(loopback), machine, { port: 1 })
    await expect(nobody(get("/"))).rejects.toMatchObject({ _tag: "PortClosed", port: 1 })
  })
})
