/** Who asked, on the host on sockets: the same for everybody who is told. */
import { readFileSync } from "node:fs"
import { connect } from "node:net"
import * as tls from "node:tls"
import { local } from "@project-ingress/providers/local"
import { afterEach, describe, expect, it } from "vitest"
import { serveNode } from "../src/hosts/node.ts"
import type { FallbackClient, NodeOptions } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import type { PolicyRequest, RouterOptions } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { hostnames, keys } from "./fakes.ts"
import { startMachine } from "./machine.ts"

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** By default all fields are read. */
const everything = { trustedProxies: ["127.0.0.0/8"] } satisfies NodeOptions
const trusted = { ...everything, forwardedHeaders: ["x-forwarded-for", "x-forwarded-proto"] } satisfies NodeOptions

interface Listen {
  readonly options?: Partial<RouterOptions>
  readonly tls?: tls.Server
}

/** A router with `misha` on a machine and everything else its own, and what each was told. */
const start = async (nodeOptions: NodeOptions = {}, { options, tls: secure }: Listen = {}) => {
  const machine = await startMachine()
  closing.push(machine.close)
  const store = memoryStore({
    "p:misha": {
      machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port: machine.port } },
      appOrigin: "public",
    },
  })
  const told = {
    policy: [] as PolicyRequest[],
    fallback: [] as { readonly request: Request; readonly client: FallbackClient }[],
    /** Of the router, and of the host's connections. */
    router: [] as unknown[],
    events: [] as unknown[],
  }
  const router = createRouter({
    grammar: hostnames,
    store,
    providers: [local()],
    signingKey: keys.signing,
    unprovenMachines: true,
    policies: [{ name: "look", onRequest: (request) => void told.policy.push(request) }],
    onEvent: (event) => told.router.push(event),
    ...options,
  })
  const host = serveNode(router, {
    fallback: (request, client) => {
      told.fallback.push({ request, client })
      return new Response("own")
    },
    onEvent: (event) => told.events.push(event),
    ...nodeOptions,
  })
  const listening = await host.listen({ hostname: "127.0.0.1", ...(secure === undefined ? {} : { tls: secure }) })
  closing.push(() => listening.close({ deadlineMs: 0 }))
  return { port: listening.port, told, machine, host }
}

/** Sends bytes as they are and gives everything that comes back. */
const send = (port: number, bytes: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes, "latin1"))
    let all = ""
    socket.setEncoding("latin1").on("data", (data) => (all += String(data)))
    socket.on("close", () => resolve(all)).on("error", reject)
  })

const request = (fields: string, { target = "/path?q", host = "misha.iterate.app" } = {}): string =>
  `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${fields}\r\n`

const claims = [
  "X-Forwarded-For: 1.1.1.1, 192.0.2.7",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Host: www.b.test",
  "X-Forwarded-Port: 8443",
  "Forwarded: for=2.2.2.2;proto=https;host=evil.test",
  "X-Real-IP: 3.3.3.3",
  "X-Iterate-User: root",
  "",
].join("\r\n")

const visible = ({ request, client }: { readonly request: Request; readonly client: FallbackClient }) => {
  const fields = Object.fromEntries(request.headers)
  const own = Object.entries(fields).filter(([name]) => /^(?:host|forwarded|x-.*)$/.test(name))
  return { url: request.url, ...client, ...Object.fromEntries(own) }
}

describe("the public authority", () => {
  const tellsOf = async (publicPorts?: readonly number[]) => {
    const { port, told, machine } = await start({}, publicPorts === undefined ? {} : { options: { publicPorts } })
    const asked = async (own: string) => {
      await send(port, request("", { host: `Misha.Iterate.App.${own}` }))
      const { headers } = machine.requests.pop()!
      const { host, header } = told.policy.pop()!
      expect(header("host")).toBe(host)
      expect((told.router.pop() as { readonly host: string }).host).toBe(host)
      return ["host", "x-forwarded-host", "x-forwarded-port", "x-iterate-proxy-public-origin"].map(
        (name) => headers[`x-iterate-proxy-fwd-${name}`],
      )
    }
    const fallback = async () => {
      await send(port, request("", { host: "WWW.Other.Test.:31337" }))
      return visible(told.fallback[0]!)
    }
    return { asked, fallback }
  }
  const plain = ["misha.iterate.app", "misha.iterate.app", "80", "http://misha.iterate.app"]
  const at = (port: number) => {
    const name = `misha.iterate.app:${port}`
    return [name, name, String(port), `http://${name}`]
  }

  it("has neither capitals, root dot nor default port for apps, policies, events and the fallback; a port stays", async () => {
    const { asked, fallback } = await tellsOf()
    for (const own of ["", ":80"]) expect(await asked(own)).toEqual(plain)
    expect(await asked(":8787")).toEqual(at(8787))
    expect(await fallback()).toMatchObject({ url: "http://www.other.test:31337/path?q", host: "www.other.test:31337" })
  })

  it("with publicPorts has no port that the client made up", async () => {
    const { asked, fallback } = await tellsOf([8787])
    for (const own of ["", ":80", ":443", ":31337"]) expect(await asked(own)).toEqual(plain)
    expect(await asked(":8787")).toEqual(at(8787))
    expect(await fallback()).toMatchObject({
      url: "http://www.other.test/path?q",
      host: "www.other.test",
      "x-forwarded-host": "www.other.test",
      "x-forwarded-port": "80",
    })
  })
})

describe("without trusted proxies", () => {
  it("the client is the peer, whatever it says: for policies, apps and events", async () => {
    const { port, told, machine } = await start()
    expect(await send(port, request(claims))).toMatch(/^HTTP\/1.1 200 /)
    expect(told.policy[0]).toMatchObject({ host: "misha.iterate.app", scheme: "http", clientAddress: "127.0.0.1" })
    expect(told.router).toMatchObject([{ type: "request", host: "misha.iterate.app", clientAddress: "127.0.0.1" }])
    const { headers } = machine.requests[0]!
    expect(JSON.stringify(headers)).not.toMatch(
      /1\.1\.1\.1|192\.0\.2\.7|2\.2\.2\.2|3\.3\.3\.3|www\.b\.test|evil|8443|root/,
    )
  })

  it("the fallback gets what an app would: its own fields, without the client's claims", async () => {
    const { port, told } = await start()
    await send(port, request(claims, { host: "www.b.test" }))
    expect(visible(told.fallback[0]!)).toEqual({
      url: "http://www.b.test/path?q",
      clientAddress: "127.0.0.1",
      peerAddress: "127.0.0.1",
      host: "www.b.test",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "www.b.test",
      "x-forwarded-port": "80",
      forwarded: "for=127.0.0.1;host=www.b.test;proto=http",
    })
  })

  it("an absolute target names the host, and its Host field is replaced (RFC 9112 §3.2.2): for the fallback", async () => {
    const { port, told } = await start()
    await send(port, request(claims, { target: "http://www.a.test/x", host: "other.test" }))
    expect(visible(told.fallback[0]!)).toMatchObject({
      url: "http://www.a.test/x",
      host: "www.a.test",
      "x-forwarded-host": "www.a.test",
    })
    expect(JSON.stringify(visible(told.fallback[0]!))).not.toMatch(/other|evil|1\.1\.1\.1|root/)
  })

  it("and for policies, and the app", async () => {
    const { port, told, machine } = await start()
    await send(port, request("", { target: "http://misha.iterate.app/x", host: "other.test" }))
    const { host, header } = told.policy[0]!
    expect([host, header("host")]).toEqual(["misha.iterate.app", "misha.iterate.app"])
    expect(JSON.stringify(machine.requests[0]!.headers)).not.toContain("other")
  })
})

describe("from a trusted proxy", () => {
  it("the client is whom it names, for policies and apps", async () => {
    const { port, told, machine } = await start(trusted)
    await send(port, request(claims))
    expect(told.policy[0]).toMatchObject({
      host: "misha.iterate.app",
      scheme: "https",
      clientAddress: "192.0.2.7",
      port: 443,
    })
    expect(told.router).toMatchObject([{ type: "request", host: "misha.iterate.app", clientAddress: "192.0.2.7" }])
    expect(machine.requests[0]!.rawHeaders.join("\n")).toMatch(/x-forwarded-for\n192\.0\.2\.7\n/i)
    expect(machine.requests[0]!.rawHeaders.join("\n")).toMatch(/x-forwarded-proto\nhttps\n/i)
    expect(JSON.stringify(machine.requests[0]!.headers)).not.toMatch(
      /1\.1\.1\.1|2\.2\.2\.2|3\.3\.3\.3|www\.b\.test|root/,
    )
  })

  it("a field that is not among those named is never read: not the host, nor Forwarded", async () => {
    const { port, told } = await start(trusted)
    await send(port, request(claims, { host: "www.a.test" }))
    await send(port, request("Forwarded: for=2.2.2.2;proto=https;host=misha.iterate.app\r\n", { host: "www.a.test" }))
    expect(told.fallback.map(visible)).toMatchObject([
      { url: "https://www.a.test/path?q", clientAddress: "192.0.2.7", peerAddress: "127.0.0.1" },
      { url: "http://www.a.test/path?q", clientAddress: "127.0.0.1", peerAddress: "127.0.0.1" },
    ])
  })

  it("the host is routed by, and is the one of the fallback's URL, unless other fields are named", async () => {
    const { port, told, machine } = await start(everything)
    const fields = claims.replace("www.b.test", "evil.test, misha.iterate.app")
    await send(port, request(fields, { host: "10.0.0.5:8080" }))
    expect(machine.requests).toHaveLength(1)
    const { host, header, port: publicPort, scheme } = told.policy[0]!
    expect([host, header("host"), publicPort, scheme]).toEqual([
      "misha.iterate.app:8443",
      "misha.iterate.app:8443",
      8443,
      "https",
    ])
    await send(port, request(claims, { host: "10.0.0.5:8080" }))
    expect(visible(told.fallback[0]!)).toEqual({
      url: "https://www.b.test:8443/path?q",
      clientAddress: "192.0.2.7",
      peerAddress: "127.0.0.1",
      host: "www.b.test:8443",
      "x-forwarded-for": "192.0.2.7",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "www.b.test:8443",
      "x-forwarded-port": "8443",
      forwarded: 'for=192.0.2.7;host="www.b.test:8443";proto=https',
    })
  })

  it("Forwarded says all of it, if the proxy is said to write that one", async () => {
    const { port, told } = await start({ ...trusted, forwardedHeaders: ["forwarded"] })
    const fields = 'X-Forwarded-For: 6.6.6.6\r\nForwarded: for="[2001:DB8::7]:4711";proto=https;host=www.c.test\r\n'
    await send(port, request(fields, { host: "10.0.0.5" }))
    expect(visible(told.fallback[0]!)).toMatchObject({
      url: "https://www.c.test/path?q",
      clientAddress: "2001:db8::7",
      forwarded: 'for="[2001:db8::7]";host=www.c.test;proto=https',
    })
  })

  it("a client that it does not name is unknown, and no address is made up for it", async () => {
    const { port, told, machine } = await start(trusted)
    await send(port, request("X-Forwarded-For: 1.1.1.1, unknown\r\n"))
    await send(port, request("X-Forwarded-For: 1.1.1.1, unknown\r\n", { host: "www.b.test" }))
    expect(told.policy[0]!.clientAddress).toBeUndefined()
    expect(machine.requests[0]!.headers).not.toHaveProperty("x-forwarded-for")
    expect(visible(told.fallback[0]!)).toMatchObject({ clientAddress: undefined, peerAddress: "127.0.0.1" })
    expect(visible(told.fallback[0]!)).not.toHaveProperty("x-forwarded-for")
  })

  it("the host is the one that the host's own failures name, too", async () => {
    const errorResponses: RouterOptions["errorResponses"] = {
      ProxyFailed: ({ status }, { subject }) => ({ status, headers: [], body: `about ${subject.hostname}` }),
    }
    const fallback = () => Promise.reject(new Error("no"))
    const { port } = await start({ ...everything, fallback }, { options: { errorResponses } })
    const bytes = request("X-Forwarded-Host: www.a.test\r\n", { host: "10.0.0.5" })
    expect(await send(port, bytes)).toMatch(/^HTTP\/1.1 500 [^]*about www\.a\.test$/)
  })

  it("the same is in onError's request", async () => {
    const urls: string[] = []
    const onError: RouterOptions["onError"] = (_, { url, headers }) => {
      urls.push(`${url} ${headers.get("host")} ${headers.get("x-forwarded-for")} ${headers.get("x-iterate-user")}`)
      return undefined
    }
    const { port } = await start(everything, { options: { onError } })
    await send(port, request(claims.replace("www.b.test", "nobody.iterate.app"), { host: "10.0.0.5" }))
    expect(urls).toEqual(["https://nobody.iterate.app:8443/path?q nobody.iterate.app:8443 192.0.2.7 null"])
  })
})

describe("a request with a host that no URL can have", () => {
  it("is refused for its hostname, and does not reach the fallback", async () => {
    const { port, told } = await start()
    expect(await send(port, request("", { host: "1.2.3.999" }))).toMatch(/^HTTP\/1.1 400 [^]*HOSTNAME_MALFORMED/)
    expect(told.fallback).toEqual([])
  })
})

describe("a request without a host", () => {
  it("is refused, and its URL is not made of its path", async () => {
    const urls: string[] = []
    const onError: RouterOptions["onError"] = (_, { url }) => void urls.push(url)
    const { port, told } = await start({}, { options: { onError } })
    expect(await send(port, "GET /evil.test/x HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /)
    expect([urls.join(), told.fallback]).toEqual(["http://invalid/", []])
  })
})

describe("the PROXY protocol", () => {
  const header = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"

  it("says who the client is, and the client's own fields say nothing", async () => {
    const { port, told } = await start({ ...everything, proxyProtocol: true })
    expect(await send(port, header + request(claims))).toMatch(/^HTTP\/1.1 200 /)
    await send(port, header + request(claims, { host: "www.a.test" }))
    expect(told.policy[0]).toMatchObject({ host: "misha.iterate.app", scheme: "http", clientAddress: "192.0.2.7" })
    expect(visible(told.fallback[0]!)).toMatchObject({
      url: "http://www.a.test/path?q",
      clientAddress: "192.0.2.7",
      peerAddress: "127.0.0.1",
      "x-forwarded-for": "192.0.2.7",
    })
    expect(told.events).toMatchObject([{ type: "request", remoteAddress: "192.0.2.7" }, { type: "request" }])
  })

  it("lets a proxy behind the balancer speak for its clients", async () => {
    const { port, told } = await start({ ...trusted, proxyProtocol: true })
    await send(port, "PROXY TCP4 127.0.0.9 127.0.0.1 1 2\r\n" + request(claims))
    expect(told.policy[0]).toMatchObject({ scheme: "https", clientAddress: "192.0.2.7" })
  })

  it("that names nobody makes the client unknown, not the balancer, and trusts no field", async () => {
    const { port, told } = await start({ ...everything, proxyProtocol: true })
    await send(port, "PROXY UNKNOWN\r\n" + request(claims, { host: "www.a.test" }))
    expect(visible(told.fallback[0]!)).toMatchObject({
      url: "http://www.a.test/path?q",
      clientAddress: undefined,
      peerAddress: "127.0.0.1",
    })
  })

  it("is required: any other connection is closed and reported", async () => {
    const { port, told } = await start({ ...trusted, proxyProtocol: true })
    expect(await send(port, request(""))).toBe("")
    expect(told.events).toMatchObject([{ type: "error", tag: "RequestMalformed" }])
  })

  it("is not spoken by anybody else", async () => {
    const { port, told } = await start({ trustedProxies: ["10.0.0.0/8"], proxyProtocol: true })
    expect(await send(port, header + request(""))).toBe("")
    expect(told.events).toMatchObject([{ type: "error", tag: "RequestMalformed" }])
  })
})

describe("listen with a TLS server", () => {
  const read = (name: string) => readFileSync(new URL(`../../forward/test/fixtures/${name}`, import.meta.url))
  const certificate = { key: read("localhost.key"), cert: read("localhost.crt") }
  const sendSecurely = (port: number, before: string, bytes: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1")
      if (before !== "") socket.write(before)
      const secure = tls.connect({ socket, servername: "localhost", ca: certificate.cert }, () => secure.write(bytes))
      let all = ""
      secure.setEncoding("latin1").on("data", (data) => (all += String(data)))
      secure.on("close", () => resolve(all)).on("error", reject)
    })

  it("is HTTPS", async () => {
    const { port, told } = await start({}, { tls: tls.createServer(certificate) })
    expect(await sendSecurely(port, "", request(claims))).toMatch(/^HTTP\/1.1 200 /)
    expect(told.policy[0]).toMatchObject({ scheme: "https", clientAddress: "127.0.0.1" })
  })

  it("reads the PROXY header before the handshake", async () => {
    const { port, told } = await start({ ...trusted, proxyProtocol: true }, { tls: tls.createServer(certificate) })
    await sendSecurely(port, "PROXY TCP6 2001:db8::7 ::1 1 2\r\n", request(claims))
    expect(told.policy[0]).toMatchObject({ scheme: "https", clientAddress: "2001:db8::7" })
  })
})

describe("the options", () => {
  const router = createRouter({ grammar: hostnames, store: memoryStore(), providers: [], signingKey: keys.signing })

  it.each([
    [{ trustedProxies: "10.0.0.0/8" }, "serveNode: trustedProxies must be an array"],
    [
      { trustedProxies: ["10.0.0.1"] },
      'serveNode: trustedProxies: "10.0.0.1" is not a range such as 10.0.0.0/8, 192.0.2.1/32 or fd00::/8',
    ],
    [{ trustedProxies: ["0.0.0.0/0"] }, 'serveNode: trustedProxies: "0.0.0.0/0" holds every address'],
    [
      { ...trusted, forwardedHeaders: ["x-real-ip"] },
      'serveNode: forwardedHeaders must be an array in which every element is "x-forwarded-for" or',
    ],
    [
      { ...trusted, forwardedHeaders: ["forwarded", "x-forwarded-for"] },
      'forwardedHeaders must not name "forwarded" beside others',
    ],
    [{ ...trusted, forwardedHeaders: [] }, "forwardedHeaders must name a field"],
    [{ forwardedHeaders: ["forwarded"] }, "forwardedHeaders needs trustedProxies"],
    [{ proxyProtocol: true }, "proxyProtocol needs trustedProxies"],
    [{ trustedProxies: [], proxyProtocol: true }, "proxyProtocol needs trustedProxies"],
    [{ ...trusted, proxyProtocol: "v2" }, "serveNode: proxyProtocol must be true or false"],
  ])("%j are refused", (options, message) => {
    expect(() => serveNode(router, options as NodeOptions)).toThrow(message)
  })

  it("may trust nobody, and may read nothing but the PROXY header", () => {
    expect(() => serveNode(router, { trustedProxies: [] })).not.toThrow()
    expect(() => serveNode(router, { ...trusted, proxyProtocol: true, forwardedHeaders: [] })).not.toThrow()
  })

  it("of listen take a server of node:tls only", async () => {
    const { createServer } = await import("node:https")
    const host = serveNode(router)
    for (const server of [{ cert: "", key: "" }, createServer()]) {
      const listening = host.listen({ tls: server as tls.Server })
      await expect(listening).rejects.toThrow("listen: tls must be a server of node:tls")
    }
  })
})
