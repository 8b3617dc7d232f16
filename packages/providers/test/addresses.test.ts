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
import { local } from "../src/adapters/local.ts"
import { upstream } from "../src/adapters/upstream.ts"
import { url } from "../src/adapters/url.ts"
import type { AddressOptions } from "../src/contract/address-options.ts"
import type { MachineProvider } from "../src/contract/machine-provider.ts"
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
    if (!hostname.endsWith(".test")) return real(hostname, { ...options, all: true }, done)
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

const outcomeOf = async (provider: MachineProvider, host: string, way: "fetch" | "connect" = "fetch") => {
  const name = host.includes(":") ? `[${host}]` : host
  const metadata = provider.type === "local" ? { host, port } : { origin: `http://${name}:${port}` }
  const fetcher = machineFetcher(provider, { id: "mach_1", type: provider.type, externalId: "m1", metadata })
  const request = new Request("https://app.example.test/")
  try {
    return way === "connect" ? await fetcher.connect(request) : await (await fetcher(request)).text()
  } catch (error) {
    return error
  }
}
const refused = { _tag: "ProviderUnavailable", reason: "ADDRESS_NOT_ALLOWED" }

describe.each(adapters)("a name in a record of %s", (type, adapter) => {
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
    expect(requests).toBe(0)
  })

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
