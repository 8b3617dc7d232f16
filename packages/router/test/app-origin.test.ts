import { machineKey } from "@project-ingress/forward"
import { createServer, request as httpRequest } from "node:http"
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http"
import { createServer as createTcpServer } from "node:net"
import type { AddressInfo } from "node:net"
import { createMachineProxy } from "../../machine-proxy/src/machine-proxy.ts"
import { local } from "@project-ingress/providers/local"
import fc from "fast-check"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import { serveNode } from "../src/hosts/node.ts"
import type { Listening } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import type { Router, RouterEvent } from "../src/router.ts"
import type { PortSettings } from "../src/stores/record.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { fake, hostnames, keys, machine as fakeMachine, names, setup, stamped, tunnelled, values } from "./fakes.ts"

/** The whole chain: a client, the router on sockets, a machine proxy that wants tickets, an app that says what it was asked. */
let app: AddressInfo
let sockets: WebSocketServer
let front: Listening
let respond: (headers: IncomingHttpHeaders) => { readonly status?: number; readonly headers: OutgoingHttpHeaders }
let asked: IncomingHttpHeaders
const events: RouterEvent[] = []
const closing: (() => unknown)[] = []
const store = memoryStore()
const nothing = () => ({ headers: {} })

beforeAll(async () => {
  const server = createServer((request, response) => {
    asked = request.headers
    const { status = 200, headers } = respond(request.headers)
    response.writeHead(status, headers).end("ok")
  })
  sockets = new WebSocketServer({ server })
  sockets.on("connection", (socket, { headers }) => {
    asked = headers
    socket.send("hello")
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  app = server.address() as AddressInfo
  const proxy = createTcpServer(
    createMachineProxy({ machine: "mach_1", keys: [await machineKey(keys.signing, "mach_1")] }).connection,
  )
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  const { port } = proxy.address() as AddressInfo
  machine = { id: "mach_1", type: "local", externalId: "dev", metadata: { port } }
  const router = createRouter({
    grammar: hostnames,
    store,
    providers: [local()],
    signingKey: keys.signing,
    onEvent: (event) => void events.push(event),
  })
  front = await serveNode(router).listen({ hostname: "127.0.0.1" })
  closing.push(
    () => front.close({ deadlineMs: 100 }),
    () => proxy.close(),
    () => server.close(),
  )
})
afterAll(async () => {
  for (const socket of sockets.clients) socket.terminate()
  for (const close of closing) await close()
})
afterEach(() => {
  respond = nothing
  events.length = 0
})

let machine: { id: string; type: string; externalId: string; metadata: { port: number } }

/** Asks the app on its own port of project misha, whose settings are `settings`. */
const ask = async (
  headers: Record<string, string> = {},
  settings: PortSettings = {},
  { path = "/", method = "GET", name }: { path?: string; method?: string; name?: string } = {},
): Promise<IncomingMessage> => {
  store.attach("p:misha", { machine, services: { web: app.port, api: 8000 }, ...settings })
  const host = `${name ?? `${app.port}--misha.iterate.app`}:${front.port}`
  return new Promise((resolve, reject) => {
    const options = {
      port: front.port,
      path,
      method,
      headers: { host, ...headers },
      agent: false,
      maxHeaderSize: 131_072,
    }
    httpRequest(options, (response) => {
      response.resume()
      response.once("end", () => resolve(response))
    })
      .on("error", reject)
      .end()
  })
}
/** The public origin of a port of a project, on the ingress under test. */
const at = (label: string): string => `http://${label}.iterate.app:${front.port}`
const own = (): string => at(`${app.port}--misha`)
const inside = (): string => `http://localhost:${app.port}`

describe("an app by default", () => {
  it("sees the world of a browser in its own machine", async () => {
    respond = nothing
    await ask({ origin: own(), referer: `${own()}/page?q=${own()}` })
    expect(asked.host).toBe(`localhost:${app.port}`)
    expect(asked.origin).toBe(inside())
    expect(asked.referer).toBe(`${inside()}/page?q=${own()}`)
    expect(asked["x-forwarded-for"]).toBe("127.0.0.1")
    for (const name of ["x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "forwarded"]) {
      expect(asked).not.toHaveProperty(name)
    }
  })

  it("sees where a file is to be copied to as its own, too (WebDAV)", async () => {
    await ask({ destination: `${own()}/b.txt` }, {}, { path: "/a.txt", method: "COPY" })
    expect(asked["destination"]).toBe(`${inside()}/b.txt`)
  })

  it("is told what the visitor typed, under a name that no client can set", async () => {
    await ask({ "x-iterate-proxy-public-origin": "https://evil.example" })
    expect(asked["x-iterate-proxy-public-origin"]).toBe(own())
    expect(
      Object.keys(asked)
        .filter((name) => name.startsWith("x-iterate"))
        .toSorted(),
    ).toEqual(["x-iterate-proxy-public-origin", "x-iterate-proxy-via"])
  })

  it("sees the same on a WebSocket", async () => {
    store.attach("p:misha", { machine })
    const host = `${app.port}--misha.iterate.app:${front.port}`
    const socket = new WebSocket(`ws://127.0.0.1:${front.port}/`, { headers: { host, origin: own() } })
    await new Promise((resolve, reject) => socket.once("message", resolve).once("error", reject))
    socket.terminate()
    expect([asked.host, asked.origin]).toEqual([`localhost:${app.port}`, inside()])
    expect(asked).not.toHaveProperty("x-forwarded-host")
  })

  it.each([
    ["another port, by `--`", "8000--misha", "http://localhost:8000"],
    ["another port, by `__`", "8000__misha", "http://localhost:8000"],
    ["another port, nested", "8000.misha", "http://localhost:8000"],
    ["a service of the record", "api--misha", "http://localhost:8000"],
    ["a service of the grammar", "opencode--misha", "http://localhost:4096"],
    ["the project without a port", "misha", "http://localhost:3000"],
    ["port 80, which browsers leave out", "80--misha", "http://localhost"],
  ])("sees the origin of its project: %s", async (_, label, expected) => {
    await ask({ origin: at(label), referer: `${at(label)}/x` })
    expect([asked.origin, asked.referer]).toEqual([expected, `${expected}/x`])
  })

  it.each([
    ["another project", () => at("8000--other")],
    ["a project whose name begins alike", () => at("8000--misha2")],
    ["an unknown service", () => at("nothing--misha")],
    ["a name of the platform", () => at("www")],
    ["another scheme", () => own().replace("http:", "https:")],
    ["another public port", () => own().replace(/\d+$/, "1")],
    ["no port", () => own().replace(/:\d+$/, "")],
    ["a foreign site", () => "https://evil.example"],
    ["a foreign site under the same name", () => `${own()}.evil.example`.replace(/:\d+/, "")],
    ["credentials", () => own().replace("//", "//user@")],
    ["nobody", () => "null"],
    ["the visitor's own machine", () => "http://localhost:5173"],
  ])("sees every other origin as it is: %s", async (_, origin) => {
    await ask({ origin: origin(), referer: `${origin()}/x` })
    expect([asked.origin, asked.referer]).toEqual([origin(), `${origin()}/x`])
  })

  it("sees https where its port says so, and origins with it", async () => {
    await ask({ origin: own() }, { forwardedProto: true })
    expect([asked["x-forwarded-proto"], asked["x-forwarded-host"], asked.origin]).toEqual(["http", undefined, inside()])
  })
})

describe("what an app says of itself", () => {
  const redirected = async (location: string, settings: PortSettings = {}): Promise<string | undefined> => {
    respond = () => ({ status: 302, headers: { location } })
    return (await ask({}, settings, { path: "/start" })).headers.location
  }

  it.each([
    "http://localhost",
    "https://localhost",
    "http://127.0.0.1",
    "http://[::1]",
    "HTTP://LocalHost",
    "//localhost",
  ])("is its public origin in a redirect: %s", async (origin) => {
    expect(await redirected(`${origin}:${app.port}/items/?a=b#c`)).toBe(`${own()}/items/?a=b#c`)
    expect(await redirected(`${origin}:${app.port}`)).toBe(own())
  })

  it.each([
    "/items/",
    "items/",
    "http://localhost/items/",
    "http://localhost:1/items/",
    "https://accounts.example/?redirect_uri=http://localhost:PORT/",
    "http://localhost:PORT@evil.example/",
    "http://localhost:PORT.evil.example/",
    "http://localhost:PORT\\@evil.example/",
    "http://user@localhost:PORT/",
    "http://localhost.evil.example:PORT/",
    "//evil.example/",
  ])("is nothing else: %s", async (location) => {
    const exact = location.replace("PORT", String(app.port))
    expect(await redirected(exact)).toBe(exact)
  })

  it.each([
    ["content-location", "ORIGIN/a"],
    ["refresh", "5; url=ORIGIN/a"],
    ["refresh", "0;URL='ORIGIN/a'"],
    ["link", '<ORIGIN/a>; rel=preload, </b>; title="<ORIGIN/kept>", <https://c.example/>, <ORIGIN>; rel=next'],
  ])("is its public origin in %s: %s", async (name, value) => {
    const kept = `${inside()}/kept`
    respond = () => ({ headers: { [name]: value.replaceAll("ORIGIN/kept", kept).replaceAll("ORIGIN", inside()) } })
    expect((await ask()).headers[name]).toBe(value.replaceAll("ORIGIN/kept", kept).replaceAll("ORIGIN", own()))
  })

  it("is the same in an interim response", async () => {
    const link = (origin: string) => `<${origin}/style.css>; rel=preload; as=style`
    const server = createServer((_, response) => {
      response.writeEarlyHints({ link: link(`http://localhost:${(server.address() as AddressInfo).port}`) })
      response.end("ok")
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as AddressInfo
    store.attach("p:misha", { machine })
    const host = `${port}--misha.iterate.app:${front.port}`
    const hint = await new Promise<unknown>((resolve, reject) => {
      const request = httpRequest({ port: front.port, headers: { host }, agent: false }, (response) =>
        response.resume(),
      )
      request.on("information", ({ headers }) => resolve(headers["link"])).on("error", reject)
      request.end()
    })
    server.close()
    expect(hint).toBe(link(at(`${port}--misha`)))
  })

  it("stays as it is in bodies, in a policy for content and for other ports", async () => {
    const headers = {
      "content-security-policy": `connect-src ${inside()} ws://localhost:${app.port}`,
      location: "http://localhost:9999/callback",
      "x-url": inside(),
    }
    respond = () => ({ headers })
    expect((await ask()).headers).toMatchObject(headers)
  })

  it("is no domain of a cookie", async () => {
    const cookies = [
      "a=1; Domain=localhost; Path=/",
      "b=domain=localhost; domain=.LOCALHOST",
      "c=1; Path=/; Domain=misha.iterate.app; Secure",
      "d=1",
    ]
    respond = () => ({ headers: { "set-cookie": cookies } })
    expect((await ask()).headers["set-cookie"]).toEqual(["a=1; Path=/", "b=domain=localhost", cookies[2], cookies[3]])
  })

  it("is found in linear time in 60 KB of anything", async () => {
    const long = (piece: string) => piece.repeat(60_000 / piece.length)
    for (const [name, value] of [
      ["link", long("<")],
      ["link", long('\\"')],
      ["link", long('<"')],
      ["refresh", `1;${long(" ")}x`],
      ["refresh", `1;${long("url=")}`],
      ["set-cookie", `a=1; domain=${long(" ")}a b`],
      ["set-cookie", `a=1${long(";domain=")}`],
      ["vary", `${long(", ")}x`],
      ["location", `http://${long("a.")}@`],
    ] as const) {
      respond = () => ({ headers: { [name]: value, "access-control-allow-origin": "*" } })
      const start = performance.now()
      await ask({ origin: own() })
      expect(performance.now() - start, `${name}: ${value.slice(0, 20)}`).toBeLessThan(1_000)
    }
  })

  it("is a loop if it is the URL that was asked for: an event names the setting, once a second at most", async () => {
    respond = () => ({ status: 301, headers: { location: `https://localhost:${app.port}/start` } })
    const loops = () => events.filter(({ type }) => type === "redirect_loop")
    await ask({}, {}, { path: "/other" })
    await ask({}, {}, { path: "/start", method: "POST" })
    expect(loops()).toEqual([])
    const began = performance.now()
    for (let i = 0; i < 20; i++) await ask({}, {}, { path: "/start" })
    const reason = expect.stringContaining("forwardedProto")
    expect(loops()[0]).toMatchObject({ machine: "mach_1", port: app.port, reason, count: 1 })
    expect(loops().length).toBeLessThan(2 + (performance.now() - began) / 1_000)
  })
})

describe("CORS", () => {
  /** An app as its author has it: it allows one page on its own machine. */
  const allows = (origin: string, more: OutgoingHttpHeaders = {}) => ({
    headers: { "access-control-allow-origin": origin, "access-control-allow-credentials": "true", ...more },
  })

  it.each(["GET", "OPTIONS"])("works between two ports of a project, %s", async (method) => {
    respond = () => allows("http://localhost:8000", { "timing-allow-origin": "http://localhost:8000" })
    const { headers } = await ask({ origin: at("api--misha") }, {}, { method })
    expect(asked.origin).toBe("http://localhost:8000")
    expect(headers["access-control-allow-origin"]).toBe(at("api--misha"))
    expect(headers["timing-allow-origin"]).toBe(at("api--misha"))
    expect(headers.vary).toBe("Origin")
  })

  it.each(["*", "http://localhost:9999", "https://elsewhere.example"])("leaves %s to the app", async (allowed) => {
    respond = () => allows(allowed, { vary: "Accept" })
    const { headers } = await ask({ origin: at("api--misha") })
    expect(headers["access-control-allow-origin"]).toBe(allowed)
    expect(headers.vary).toBe("Accept, Origin")
  })

  it("tells caches once that the response depends on the origin", async () => {
    respond = () => allows("*", { vary: "accept, origin" })
    expect((await ask({ origin: own() })).headers.vary).toBe("accept, origin")
    expect((await ask()).headers.vary).toBe("accept, origin")
    respond = () => allows("*")
    expect((await ask()).headers.vary).toBeUndefined()
    respond = nothing
    expect((await ask({ origin: own() })).headers.vary).toBeUndefined()
    respond = () => ({ ...allows("*"), status: 304 })
    expect((await ask({ origin: own() })).headers.vary).toBe("Origin")
  })

  it("gives no foreign page what the app gave to one of its machine", async () => {
    respond = () => allows("http://localhost:8000")
    const { headers } = await ask({ origin: "https://evil.example" })
    expect([asked.origin, headers["access-control-allow-origin"]]).toEqual([
      "https://evil.example",
      "http://localhost:8000",
    ])
  })
})

describe("appOrigin public", () => {
  it("sends everything as the visitor typed it", async () => {
    await ask({ origin: own(), referer: `${at("api--misha")}/x` }, { appOrigin: "public" })
    const host = `${app.port}--misha.iterate.app:${front.port}`
    expect(asked).toMatchObject({
      host,
      origin: own(),
      referer: `${at("api--misha")}/x`,
      "x-forwarded-host": host,
      "x-forwarded-proto": "http",
      "x-forwarded-port": String(front.port),
      "x-forwarded-for": "127.0.0.1",
      forwarded: `for=127.0.0.1;host="${host}";proto=http`,
    })
  })

  it("takes the app's own port out of a redirect, and nothing else", async () => {
    const name = own().replace(/:\d+$/, "")
    for (const [location, expected] of [
      [`${name}:${app.port}/dir/`, `${own()}/dir/`],
      [`https://${name.slice("http://".length)}:${app.port}/dir/`, `${own()}/dir/`],
      [`${inside()}/dir/`, `${inside()}/dir/`],
      [`${name}/dir/`, `${name}/dir/`],
    ] as const) {
      respond = () => ({ status: 301, headers: { location } })
      expect((await ask({}, { appOrigin: "public" })).headers.location).toBe(expected)
    }
  })
})

describe("appOrigin with a host", () => {
  const settings = { appOrigin: { host: "shop.internal" } } as const

  it("is that name in Host and in the origins of the project", async () => {
    await ask({ origin: own(), referer: `${at("api--misha")}/x` }, settings)
    expect(asked).toMatchObject({
      host: "shop.internal",
      origin: "http://shop.internal",
      referer: "http://shop.internal/x",
      "x-forwarded-host": `${app.port}--misha.iterate.app:${front.port}`,
    })
    await ask({ origin: "https://evil.example" }, settings)
    expect(asked.origin).toBe("https://evil.example")
  })

  it.each(["shop.internal", "Shop.internal"])("comes back as the public origin: %s", async (host) => {
    respond = () => ({
      status: 302,
      headers: {
        location: "https://shop.internal/cart",
        "access-control-allow-origin": "http://shop.internal",
        "set-cookie": "a=1; Domain=shop.internal",
      },
    })
    const { headers } = await ask({ origin: at("api--misha") }, { appOrigin: { host } })
    expect(headers.location).toBe(`${own()}/cart`)
    expect(headers["access-control-allow-origin"]).toBe(at("api--misha"))
    expect(headers["set-cookie"]).toEqual(["a=1"])
  })
})

describe("on a custom domain", () => {
  const ours = (name: string): string => `http://${name}:${front.port}`

  it("the domain with a port is the same project, unless the store knows the name as another's", async () => {
    store.attach("d:www.example.com", { machine })
    const name = `${app.port}.www.example.com`
    await ask({ origin: ours("8000.www.example.com") }, {}, { name })
    expect([asked.host, asked.origin]).toEqual([`localhost:${app.port}`, "http://localhost:8000"])
    await ask({ origin: ours("www.example.com") }, {}, { name })
    expect(asked.origin).toBe("http://localhost:3000")
    for (const other of ["other.example.com", "8000.example.com", "example.com"]) {
      await ask({ origin: ours(other) }, {}, { name })
      expect(asked.origin).toBe(ours(other))
    }
    store.attach("d:8000.www.example.com", { machine: { ...machine, id: "mach_2" } })
    await ask({ origin: ours("8000.www.example.com") }, {}, { name })
    expect(asked.origin).toBe(ours("8000.www.example.com"))
  })
})

describe("through fetch", () => {
  const publicOrigin = "https://3000--misha.iterate.app"
  const answer = (origin: string, allowed: string) => () => {
    const headers = new Headers({ location: `${origin}/next`, "access-control-allow-origin": allowed })
    headers.append("set-cookie", "a=1; Domain=localhost")
    headers.append("set-cookie", "b=2; Domain=app.internal; Path=/")
    return stamped(null, { status: 302, headers })
  }
  const visit = (router: Router, origin: string) =>
    router.fetch(new Request(`${publicOrigin}/start`, { headers: { origin, referer: `${origin}/` } }))

  it("an app sees and gives the same as through sockets", async () => {
    const { router, sent } = setup({
      isolateCookies: false,
      answer: answer("http://localhost:3000", "http://localhost:8000"),
    })
    const { headers } = (await visit(router, "https://8000--misha.iterate.app"))!
    expect(tunnelled(sent[0]!.headers, "host")).toEqual(["localhost:3000"])
    expect(values(sent[0]!.headers, "origin")).toEqual(["http://localhost:8000"])
    expect(values(sent[0]!.headers, "referer")).toEqual(["http://localhost:8000/"])
    expect(headers.get("location")).toBe(`${publicOrigin}/next`)
    expect(headers.get("access-control-allow-origin")).toBe("https://8000--misha.iterate.app")
    expect(headers.get("vary")).toBe("Origin")
    expect(headers.getSetCookie()).toEqual(["a=1", "b=2; Domain=app.internal; Path=/"])
  })

  it("an app without a machine proxy sees its own address, as if it were asked there", async () => {
    const endpoint = { origin: "http://app.internal:9000", machineProxy: false } as const
    const own = "http://app.internal:9000"
    const { router, sent } = setup({
      isolateCookies: false,
      providers: [fake({ endpoint })],
      answer: answer(own, own),
    })
    const { headers } = (await visit(router, publicOrigin))!
    expect(values(sent[0]!.headers, "host")).toEqual([])
    expect([values(sent[0]!.headers, "origin"), values(sent[0]!.headers, "referer")]).toEqual([[own], [`${own}/`]])
    expect(names(sent[0]!.headers).filter((name) => /^(?:x-|forwarded)/.test(name))).toEqual([])
    expect(headers.get("location")).toBe(`${publicOrigin}/next`)
    expect(headers.get("access-control-allow-origin")).toBe(publicOrigin)
    expect(headers.getSetCookie()).toEqual(["a=1; Domain=localhost", "b=2; Path=/"])
  })

  it("forwardedProto gives an app without a machine proxy an origin that agrees with its Host, also without a port", async () => {
    const endpoint = { origin: "http://app.internal", machineProxy: false } as const
    const own = "https://app.internal"
    const { router, routes, sent } = setup({ providers: [fake({ endpoint })], answer: answer(own, own) })
    routes.attach("p:misha", { machine: fakeMachine("mach_1"), forwardedProto: true })
    const { headers } = (await visit(router, publicOrigin))!
    expect(values(sent[0]!.headers, "origin")).toEqual([own])
    expect(headers.get("location")).toBe(`${publicOrigin}/next`)
    expect(headers.get("access-control-allow-origin")).toBe(publicOrigin)
  })

  it("forwardedProto gives the app the visitor's scheme", async () => {
    const { router, routes, sent } = setup()
    routes.attach("p:misha", { machine: fakeMachine("mach_1"), forwardedProto: true })
    await visit(router, publicOrigin)
    expect(tunnelled(sent[0]!.headers, "x-forwarded-proto")).toEqual(["https"])
    expect(values(sent[0]!.headers, "origin")).toEqual(["https://localhost:3000"])
  })
})

describe("the rewriting", () => {
  const label = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/)
  const port = fc.integer({ min: 1, max: 65_535 })

  it("never touches what is not an origin of this project", async () => {
    const origin = fc.oneof(
      fc
        .tuple(fc.constantFrom("http", "https"), fc.domain(), fc.option(port))
        .map(([scheme, name, number]) => `${scheme}://${name}${number === null ? "" : `:${number}`}`),
      fc
        .tuple(port, label)
        .filter(([, slug]) => slug !== "misha")
        .map(([number, slug]) => at(`${number}--${slug}`)),
      fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCodePoint(code)), minLength: 1 }),
    )
    await fc.assert(
      fc.asyncProperty(origin, async (value) => {
        respond = (headers) => ({
          headers: { "access-control-allow-origin": headers.origin ?? "", location: value },
        })
        const { headers } = await ask({ origin: value, referer: value })
        expect([asked.origin, asked.referer]).toEqual([value, value])
        expect([headers["access-control-allow-origin"], headers.location]).toEqual([value, value])
      }),
      { numRuns: 100 },
    )
  })

  it("there and back is the identity, for every port of the project in every spelling", async () => {
    const spelt = fc
      .tuple(port, fc.constantFrom("__", "--", "."))
      .map(([number, between]) => `${number}${between}misha`)
    await fc.assert(
      fc.asyncProperty(
        spelt,
        fc.constantFrom<PortSettings>(
          {},
          { forwardedProto: true },
          { appOrigin: "public" },
          { appOrigin: { host: "a.internal" } },
        ),
        async (name, settings) => {
          respond = (headers) => ({ headers: { "access-control-allow-origin": headers.origin ?? "" } })
          const { headers } = await ask({ origin: at(name) }, settings)
          expect(headers["access-control-allow-origin"]).toBe(at(name))
        },
      ),
      { numRuns: 100 },
    )
  })
})
