/** Names in records: whatever the DNS gives for them, nothing is connected to that was not checked. On Node. */
import dns from "node:dns"
import type { LookupAddress } from "node:dns"
import { once } from "node:events"
import { createServer } from "node:http"
import type { Server } from "node:http"
import { syncBuiltinESMExports } from "node:module"
import type { AddressInfo } from "node:net"
import { networkInterfaces } from "node:os"
import { defaultHeaderNames } from "@project-ingress/forward"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { checkedLookup } from "../../forward/src/sockets/connection/checked-lookup.ts"
import { cloudflareTunnel } from "../src/adapters/cloudflare/tunnel.ts"
import { fly } from "../src/adapters/fly/fly.ts"
import { local } from "../src/adapters/local.ts"
import { upstream } from "../src/adapters/upstream.ts"
import { url } from "../src/adapters/url.ts"
import type { AddressOptions } from "../src/contract/address-options.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { probeByFetch } from "../src/machines/readiness-probe.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"

let server: Server
let port: number
let requests = 0
/** What the DNS gives for the names of this test, look-up by look-up; the last one from then on. */
let answers: readonly (readonly string[])[] = []
let lookups = 0
const real = dns.lookup

beforeAll(async () => {
  server = createServer((_, response) => {
    requests++
    response.writeHead(200, { [defaultHeaderNames.stamp]: "1", connection: "close" }).end("reached")
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  port = (server.address() as AddressInfo).port
  const fake = (
    hostname: string,
    options: object,
    done: (error: Error | null, addresses: LookupAddress[]) => void,
  ): void => {
    if (!/\.(?:test|internal)$/.test(hostname)) return real(hostname, { ...options, all: true }, done)
    const given = answers[Math.min(lookups++, answers.length - 1)]!
    const addresses = given.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }))
    process.nextTick(done, null, addresses)
  }
  dns.lookup = fake as typeof dns.lookup
  syncBuiltinESMExports()
})
afterAll(() => {
  dns.lookup = real
  syncBuiltinESMExports()
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  requests = 0
  lookups = 0
})

const loopback = ["127.0.0.0/8"]
const adapters: [string, (options?: AddressOptions) => MachineProvider][] = [
  ["upstream", upstream],
  ["url", url],
  ["local", local],
]

/** What a record says so that its machine is at a host. */
const metadataOf = (type: string, host: string): Machine["metadata"] => {
  switch (type) {
    case "local":
      return { host, port }
    case "fly":
      return { app: "pets", domain: host }
    case "cloudflare-tunnel":
      return { hostname: host }
    default:
      return { origin: `http://${host.includes(":") ? `[${host}]` : host}:${port}` }
  }
}

const outcomeOf = async (provider: MachineProvider, host: string, way: "fetch" | "connect" | "probe" = "fetch") => {
  const { type } = provider
  const machine = { id: "mach_1", type, externalId: "m1", metadata: metadataOf(type, host) }
  const { signal } = new AbortController()
  if (way === "probe") {
    const endpoint = await provider.resolve(machine, { port, signal })
    return probeByFetch(defaultHeaderNames)(endpoint, signal).catch((error: unknown) => error)
  }
  const fetcher = machineFetcher(provider, machine)
  const request = new Request("https://app.example.test/")
  try {
    return way === "connect" ? await fetcher.connect(request) : await (await fetcher(request)).text()
  } catch (error) {
    return error
  }
}
const refusedProbe = { name: "SendFailure", sent: "no", cause: { code: "ADDRESS_NOT_ALLOWED" } }
const refused = { _tag: "ProviderUnavailable", reason: "ADDRESS_NOT_ALLOWED" }

/** Those that connect to a name of the vendor's own, or of a domain that a record names. */
const vendors: [string, (options?: AddressOptions) => MachineProvider][] = [
  ["fly", (options) => fly({ token: "canary", ...options })],
  ["cloudflareTunnel", cloudflareTunnel],
]

describe.each([...adapters, ...vendors])("a name in a record of %s", (type, adapter) => {
  const private_ = type === "local" ? ["10.0.0.1"] : ["127.0.0.1"]
  it.each([
    ["a private address", [private_]],
    ["a public and a private address", [["8.8.8.8", ...private_]]],
    ["a private and a public address", [[...private_, "8.8.8.8"]]],
    ["a public IPv6 and a private IPv4 address", [["2606:4700::1111", ...private_]]],
    ["an IPv4-mapped address", [["::ffff:10.0.0.1"]]],
    ["an address in NAT64", [["64:ff9b::7f00:1"]]],
    ["the address of a cloud's credentials", [["169.254.169.254"]]],
    ["the same over IPv6", [["fd00:ec2::254"]]],
    ["the unspecified address", [["0.0.0.0"]]],
  ])("that has %s is not connected to", async (_, given) => {
    answers = given
    expect(await outcomeOf(adapter(), "name.test")).toMatchObject(refused)
    expect(await outcomeOf(adapter(), "name.test", "connect")).toMatchObject(refused)
    // What asks a machine that was started whether it listens.
    expect(await outcomeOf(adapter(), "name.test", "probe")).toMatchObject(refusedProbe)
    expect(requests).toBe(0)
  })

  it("is refused when it is none of the names that are allowed", async () => {
    answers = [["8.8.8.8"]]
    const provider = adapter({ allowHosts: ["*.example.com"] })
    expect(await outcomeOf(provider, "name.test")).toMatchObject({ _tag: "MachineRecordInvalid" })
    expect(lookups).toBe(0)
  })
})

describe.each(adapters)("a name in a record of %s", (type, adapter) => {
  it("is looked up once for a connection, which leads to what was checked", async () => {
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    const provider = adapter({ allowCidrs: loopback })
    expect(await outcomeOf(provider, "rebound.test")).toBe("reached")
    expect([lookups, requests]).toEqual([1, 1])
    // The next connection looks it up again, and checks it again.
    expect(await outcomeOf(provider, "rebound.test")).toMatchObject(refused)
    expect(requests).toBe(1)
  })

  it("is not even looked up when it is none of the names that are allowed", async () => {
    answers = [["127.0.0.1"]]
    const provider = adapter({ allowCidrs: loopback, allowHosts: ["name.test"] })
    expect(await outcomeOf(provider, "name.test")).toBe("reached")
    lookups = 0
    expect(await outcomeOf(provider, "other.test")).toMatchObject({ _tag: "MachineRecordInvalid" })
    expect(lookups).toBe(0)
  })

  it("that is one of this host's own addresses is not connected to", async () => {
    const own = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
    const forbidden = own.filter(({ internal }) => !internal || type !== "local").map(({ address }) => address)
    for (const address of forbidden) {
      answers = [[address]]
      expect(await outcomeOf(adapter(), "self.test")).toMatchObject(refused)
    }
    for (const address of forbidden.filter((each) => !each.startsWith("fe80"))) {
      const { _tag } = (await outcomeOf(adapter(), address)) as { readonly _tag: string }
      expect(["MachineRecordInvalid", "ProviderUnavailable"]).toContain(_tag)
    }
    expect(requests).toBe(0)
  })
})

describe("a machine of Fly on its private network", () => {
  it.each([
    ["6pn", "127.0.0.1"],
    ["6pn", "169.254.169.254"],
    ["6pn", "fd00:ec2::254"],
    ["flycast", "10.0.0.1"],
  ])("by %s is not connected to at %s, which is none of that network", async (network, address) => {
    const { signal } = new AbortController()
    const machine = { id: "mach_1", type: "fly", externalId: "148e21", metadata: { app: "pets", network } }
    const { addresses } = await fly({ token: "canary" }).resolve(machine, { port: 3000, signal })
    answers = [[address]]
    const asked = new Promise((done) => checkedLookup(addresses!)("pets.internal", { all: true }, done))
    expect(await asked).toMatchObject({ code: "ADDRESS_NOT_ALLOWED" })
    answers = [["fdaa:0:1::3"]]
    const found = new Promise((done) => checkedLookup(addresses!)("pets.internal", { all: true }, done))
    expect(await found).toBeNull()
  })
})
