/** Addresses in records, on the host on sockets: nothing is connected to that was not checked. */
import dns from "node:dns"
import type { LookupAddress } from "node:dns"
import { once } from "node:events"
import { createServer } from "node:http"
import { syncBuiltinESMExports } from "node:module"
import type { AddressInfo } from "node:net"
import { connect } from "node:net"
import { local } from "@project-ingress/providers/local"
import { upstream } from "@project-ingress/providers/upstream"
import { url } from "@project-ingress/providers/url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { serveNode } from "../src/hosts/node.ts"
import type { Listening } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { hostnames, keys } from "./fakes.ts"

/** What the DNS gives for `name.test`. */
let answer: readonly string[] = []
const real = dns.lookup
let requests = 0
let listening: Listening
const store = memoryStore({})
const app = createServer((_, response) => {
  requests++
  response.end("reached")
})

beforeAll(async () => {
  const lookup = (name: string, options: object, done: (error: Error | null, all: LookupAddress[]) => void): void => {
    if (name !== "name.test") return real(name, { ...options, all: true }, done)
    process.nextTick(
      done,
      null,
      answer.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    )
  }
  dns.lookup = lookup as typeof dns.lookup
  syncBuiltinESMExports()
  app.listen(0, "127.0.0.1")
  await once(app, "listening")
  const router = createRouter({
    grammar: hostnames,
    store,
    providers: [local(), upstream(), url()],
    signingKey: keys.signing,
  })
  listening = await serveNode(router).listen({ hostname: "127.0.0.1" })
})
afterAll(async () => {
  await listening.close({ deadlineMs: 0 })
  app.closeAllConnections()
  app.close()
  dns.lookup = real
  syncBuiltinESMExports()
})

const ask = async (type: string, host: string, fields = ""): Promise<string> => {
  const { port } = app.address() as AddressInfo
  const metadata = type === "local" ? { host, port } : { origin: `http://${host}:${port}` }
  store.attach("p:misha", { machine: { id: "mach_1", type, externalId: "m1", metadata } })
  const socket = connect(listening.port, "127.0.0.1")
  socket.write(`GET / HTTP/1.1\r\nHost: misha.iterate.app\r\n${fields || "Connection: close\r\n"}\r\n`)
  let all = ""
  for await (const data of socket.setEncoding("latin1")) {
    all += String(data)
    if (fields !== "" && all.includes("\r\n\r\n")) break
  }
  return all
}
const handshake =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

const literals = [
  "169.254.169.254",
  "0xa9fea9fe",
  "2852039166",
  "[::ffff:169.254.169.254]",
  "10.0.0.1",
  "[fd00:ec2::254]",
]
const loopback = ["127.0.0.1", "0x7f.1", "2130706433", "127.1", "[::ffff:7f00:1]"]
const named = [
  ["169.254.169.254"],
  ["::ffff:a9fe:a9fe"],
  ["fd00:ec2::254"],
  ["8.8.8.8", "10.0.0.1"],
  ["64:ff9b::7f00:1"],
]

describe.each(["upstream", "url", "local"])("a record of %s", (type) => {
  const hosts = type === "local" ? literals.map((host) => host.replace(/^\[(.*)\]$/, "$1")) : [...literals, ...loopback]

  it.each(hosts)("that names %s is a 500 for requests and WebSockets: nothing is connected to", async (host) => {
    requests = 0
    expect(await ask(type, host)).toMatch(/^HTTP\/1\.1 500 [^]*x-iterate-proxy-error: MACHINE_RECORD_INVALID/i)
    expect(await ask(type, host, handshake)).toMatch(/^HTTP\/1\.1 500 /)
    expect(requests).toBe(0)
  })

  it.each([...named, ...(type === "local" ? [] : [["127.0.0.1"]])])(
    "that names a host which the DNS says is at %s is a 502",
    async (...given) => {
      requests = 0
      answer = given
      expect(await ask(type, "name.test")).toMatch(/^HTTP\/1\.1 502 /)
      expect(await ask(type, "name.test", handshake)).toMatch(/^HTTP\/1\.1 502 /)
      expect(requests).toBe(0)
    },
  )
})
