/** What a client by TCP may try against others, and against the process. */
import { once } from "node:events"
import { upstream } from "@project-ingress/providers/upstream"
import { describe, expect, it } from "vitest"
import { extension, hello, helloFor, serverNames } from "../../../forward/test/tcp/hello-bytes.ts"
import {
  dial,
  dialTls,
  echo,
  failure,
  next,
  received,
  startApp,
  startHost,
  startTlsApp,
  tcpRecord,
} from "../tcp/harness.ts"

describe("the name of a ClientHello", () => {
  const private_ = { visibility: "private" }

  it("decides alone: what follows, and an inner name, lead nowhere else", async () => {
    const [open, closed] = [await startApp((s) => void s.end("open")), await startApp((s) => void s.end("closed"))]
    const { host } = startHost({
      "p:open": tcpRecord("mach_1", open),
      "p:closed": tcpRecord("mach_2", closed, private_),
    })
    const { port } = await host.listen({ hostname: "127.0.0.1" })
    const inner = extension(0xfe0d, serverNames([0, "closed.iterate.app"]))
    const client = dial(port)
    client.write(Buffer.concat([helloFor("open.iterate.app", inner), helloFor("closed.iterate.app")]))
    expect(await received(client)).toBe("open")
  })

  it.each([
    ["twice", hello({ extensions: [serverNames([0, "open.iterate.app"]), serverNames([0, "closed.iterate.app"])] })],
    ["as two names", hello({ extensions: [serverNames([0, "open.iterate.app"], [0, "closed.iterate.app"])] })],
    ["with a NUL", helloFor("open.iterate.app\0.closed.iterate.app")],
    ["with a dot behind it", helloFor("open.iterate.app.")],
    ["with a port", helloFor("open.iterate.app:443")],
    ["with a path", helloFor("open.iterate.app/")],
    ["as an address of the host", helloFor("127.0.0.1")],
  ])("%s reaches nobody", async (_, sent) => {
    let connected = 0
    const app = await startApp(() => connected++)
    const { host, ended } = startHost({ "p:open": tcpRecord("mach_1", app) })
    const { port } = await host.listen({ hostname: "127.0.0.1" })
    const client = dial(port)
    client.write(sent)
    // An alert, whichever it is.
    const answer = await received(client)
    expect([answer.slice(0, 6), answer.length]).toEqual(["\x15\x03\x03\0\x02\x02", 7])
    client.end()
    expect(await ended()).toMatchObject({ end: "refused", hostname: "" })
    expect(connected).toBe(0)
  })

  it("of a private port is refused before its app is connected to, and so is a look at what is there", async () => {
    let connected = 0
    const app = await startApp(() => connected++)
    const { host } = startHost({ "p:closed": tcpRecord("mach_1", app, private_) })
    const { port } = await host.listen({ hostname: "127.0.0.1" })
    const errors = ["closed", "22__closed", "5432__closed"].map((name) => failure(dialTls(port, `${name}.iterate.app`)))
    for (const { message } of await Promise.all(errors)) expect(message).toMatch(/access denied/)
    expect(connected).toBe(0)
  })

  it("of a port of HTTP leads no bytes to it, by which a client could choose what our fields say", async () => {
    let connected = 0
    const app = await startApp(() => connected++)
    const { host, ended } = startHost({ "p:web": tcpRecord("mach_1", app, { protocol: "http" }) })
    const by = await host.listen({ hostname: "127.0.0.1", to: "web.iterate.app" })
    const client = dial(by.port)
    client.write("GET / HTTP/1.1\r\nHost: web.iterate.app\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n")
    expect(await received(client)).toBe("reset")
    expect(await ended()).toMatchObject({ code: "TUNNEL_NOT_ALLOWED" })
    expect(connected).toBe(0)
  })
})

it("whoever is at the address of an app whose key is pinned gets no byte, because nobody looks at its key", async () => {
  let connected = 0
  const app = await startApp(() => connected++)
  const plain = upstream({ allowCidrs: ["127.0.0.0/8"] })
  const pinned = {
    ...plain,
    resolve: async (...asked: Parameters<typeof plain.resolve>) => {
      const endpoint = await plain.resolve(...asked)
      return { ...endpoint, origin: endpoint.origin.replace("http:", "https:"), pin: `sha256//${"A".repeat(43)}=` }
    },
  }
  const { host, ended } = startHost({ "p:misha": tcpRecord("mach_1", app) }, { router: { providers: [pinned] } })
  const { port } = await host.listen({ hostname: "127.0.0.1", to: "misha.iterate.app" })
  const client = dial(port)
  client.write("secret")
  expect(await received(client)).toBe("reset")
  expect(await ended()).toMatchObject({ end: "refused", code: "PROVIDER_UNAVAILABLE" })
  expect(connected).toBe(0)
})

describe("one client", () => {
  it("that opens connections and says nothing takes no room from others", async () => {
    const app = await startTlsApp()
    const { host, routerEvents } = startHost(
      { "p:misha": tcpRecord("mach_1", app) },
      {
        limits: { maxConnections: 60, helloTimeoutMs: 60_000 },
        bounds: { client: { connections: 40 } },
        trustedProxies: [],
      },
    )
    const { port } = await host.listen({ hostname: "127.0.0.1" })
    const silent = Array.from({ length: 500 }, () => dial(port))
    // 127.0.0.1 has 40 of 60 places.
    let closed = 0
    await new Promise<void>((resolve) => {
      for (const socket of silent) socket.resume().on("close", () => void (++closed === 460 && resolve()))
    })
    expect(host.connections()).toBe(40)
    const other = dial(port, "127.0.0.2")
    const client = dialTls(port, "misha.iterate.app", { socket: other, ALPNProtocols: ["echo"] })
    expect(await next(client, 5)).toBe("echo\n")
    expect(routerEvents).toContainEqual(expect.objectContaining({ type: "bound_reached", of: "connections" }))
  })

  it("that does not read holds back its own app alone", async () => {
    const flood = await startApp((socket) => {
      const piece = Buffer.alloc(65_536)
      const write = (): void => {
        while (!socket.destroyed && socket.write(piece));
        socket.once("drain", write)
      }
      write()
    })
    const app = await startApp(echo)
    const { host } = startHost({ "p:flood": tcpRecord("mach_1", flood), "p:misha": tcpRecord("mach_2", app) })
    const one = await host.listen({ hostname: "127.0.0.1", to: "flood.iterate.app" })
    const two = await host.listen({ hostname: "127.0.0.1", to: "misha.iterate.app" })
    const stuck = dial(one.port)
    await once(stuck, "connect")
    stuck.pause()
    const before = process.memoryUsage().arrayBuffers
    const client = dial(two.port)
    const text = "x".repeat(2_000_000)
    client.end(text)
    expect((await received(client)).length).toBe(text.length)
    // What waits for a client is one read, and not what its app would send.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000_000)
  })
})
