import { createServer } from "node:https"
import { createServer as createPlainServer } from "node:net"
import type { Socket } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { writeProxyHeader } from "@project-ingress/forward/sockets"
import { upstream } from "@project-ingress/providers/upstream"
import { describe, expect, it, onTestFinished } from "vitest"
import { serveNode } from "../../src/hosts/node.ts"
import { serveTcp } from "../../src/hosts/tcp.ts"
import { allowCidrs } from "../../src/policies.ts"
import {
  certificate,
  dial,
  dialTls,
  echo,
  failure,
  listening,
  next,
  received,
  startApp,
  startHost,
  startTlsApp,
  tcpRecord,
} from "./harness.ts"

const v4 = (sourceAddress: string) =>
  writeProxyHeader(2, { sourceAddress, sourcePort: 4_000, destinationAddress: "192.0.2.9", destinationPort: 443 })

describe("what decides is what decides for HTTP", () => {
  it("networks of a record, by the address of the connection or of its PROXY header", async () => {
    const app = await startApp(echo)
    const records = { "p:misha": tcpRecord("mach_1", app, { allowCidrs: ["192.0.2.0/24"] }) }
    const { host, ended } = startHost(records, {
      router: { policies: [allowCidrs()] },
      trustedProxies: ["127.0.0.0/8"],
      proxyProtocol: true,
    })
    const { port } = await host.listen({ hostname: "127.0.0.1", to: "misha.iterate.app" })
    const inside = dial(port)
    inside.end(Buffer.concat([v4("192.0.2.7"), Buffer.from("hello")]))
    expect(await received(inside)).toBe("hello")
    expect(await ended()).toMatchObject({ end: "closed", remoteAddress: "192.0.2.7", bytesIn: 5 })
    const outside = dial(port)
    outside.write(v4("198.51.100.7"))
    expect(await received(outside)).toBe("reset")
    expect(await ended()).toMatchObject({ end: "refused", remoteAddress: "198.51.100.7", code: "ACCESS_DENIED" })
  })

  it("a policy of the platform's, which sees the handshake of a tunnel", async () => {
    const app = await startTlsApp()
    const seen: unknown[] = []
    const { host } = startHost(
      { "p:misha": tcpRecord("mach_1", app) },
      {
        router: {
          policies: [
            ({ host, scheme, upgrade, clientAddress, localPort }: Record<string, unknown>) =>
              void seen.push({ host, scheme, upgrade, clientAddress, localPort }),
          ] as never,
        },
      },
    )
    const { port } = await host.listen({ hostname: "127.0.0.1" })
    await next(dialTls(port, "misha.iterate.app", { ALPNProtocols: ["echo"] }), 5)
    expect(seen).toEqual([
      expect.objectContaining({
        host: "misha.iterate.app",
        scheme: "https",
        upgrade: true,
        clientAddress: "127.0.0.1",
      }),
    ])
  })

  it("an address that the provider's rule does not allow is connected to by nobody", async () => {
    let connected = 0
    const app = await startApp((socket) => {
      connected++
      socket.end()
    })
    // By its name: what it stands for is known only when it is connected to.
    const named = { id: "mach_2", type: "upstream", externalId: "2", metadata: { origin: `http://localhost:${app}` } }
    const { host, ended } = startHost(
      { "p:literal": tcpRecord("mach_1", app), "p:named": tcpRecord("mach_2", app, { machine: named }) },
      { router: { providers: [upstream({ allowCidrs: ["10.0.0.0/8"] })] } },
    )
    const { port } = await host.listen({ hostname: "127.0.0.1" })
    for (const name of ["literal", "named"]) {
      expect((await failure(dialTls(port, `${name}.iterate.app`))).message).toMatch(/internal error/)
      expect(await ended()).toMatchObject({ end: "refused" })
    }
    expect(connected).toBe(0)
  })

  it("bounds of a client and of a project, with the router's event", async () => {
    const app = await startApp(echo)
    const { host, ended, routerEvents } = startHost(
      { "p:one": tcpRecord("mach_1", app, { owner: "a" }), "p:two": tcpRecord("mach_2", app, { owner: "b" }) },
      { bounds: { client: { webSockets: 3 }, project: { webSockets: 1 } }, trustedProxies: [] },
    )
    const one = await host.listen({ hostname: "127.0.0.1", to: "one.iterate.app" })
    const two = await host.listen({ hostname: "127.0.0.1", to: "two.iterate.app" })
    const held = dial(one.port)
    held.write("a")
    expect(await next(held, 1)).toBe("a")
    expect(await received(dial(one.port))).toBe("reset")
    expect(await ended()).toMatchObject({ end: "refused", code: "PROJECT_LIMITED" })
    const other = dial(two.port)
    other.write("b")
    expect(await next(other, 1)).toBe("b")
    held.end()
    expect(await ended()).toMatchObject({ end: "closed" })
    const again = dial(one.port)
    again.write("c")
    expect(await next(again, 1)).toBe("c")
    expect(routerEvents).toContainEqual(
      expect.objectContaining({ type: "bound_reached", bound: "project", of: "webSockets" }),
    )
  })

  it("a tunnel that another policy lets in is ended when its access is withdrawn", async () => {
    const app = await startApp(echo)
    const { host, router, ended } = startHost(
      { "p:misha": tcpRecord("mach_1", app) },
      {
        router: {
          policies: [
            { name: "by address", onRoute: () => ({ visitor: { id: "session-1", by: "address", subject: "misha" } }) },
          ] as never,
        },
      },
    )
    const { port } = await host.listen({ hostname: "127.0.0.1", to: "misha.iterate.app" })
    const client = dial(port)
    client.write("a")
    expect(await next(client, 1)).toBe("a")
    const over = received(client)
    await router.withdraw("misha.iterate.app", { sessions: ["session-1"] })
    expect(await over).toBe("reset")
    expect(await ended()).toMatchObject({ end: "withdrawn" })
  })
})

describe("PROXY headers", () => {
  it.each([1, 2] as const)("of version %i go out where the port's settings ask for them", async (version) => {
    const app = await startApp((socket) => void socket.once("data", (bytes: Buffer) => socket.end(bytes)))
    const { host } = startHost({ "p:misha": tcpRecord("mach_1", app, { proxyProtocol: version }) })
    const { port } = await host.listen({ hostname: "127.0.0.1", to: "misha.iterate.app" })
    const client = dial(port)
    const seen = await received(client)
    const header = writeProxyHeader(version, {
      sourceAddress: "127.0.0.1",
      sourcePort: client.localPort!,
      destinationAddress: "127.0.0.1",
      destinationPort: port,
    })
    expect(seen).toBe(header.toString("latin1"))
  })

  it("are wanted of trusted proxies only", async () => {
    const { host } = startHost({}, { trustedProxies: ["192.0.2.0/24"], proxyProtocol: true })
    const { port } = await host.listen({ hostname: "127.0.0.1" })
    const client = dial(port)
    client.write(v4("192.0.2.7"))
    expect(await received(client)).toMatch(/^(reset)?$/)
    expect(host.connections()).toBe(0)
    expect(() => startHost({}, { proxyProtocol: true })).toThrow("proxyProtocol needs trustedProxies")
  })
})

describe("one listener for both", () => {
  const startBoth = async (proxyProtocol: boolean) => {
    const app = await startTlsApp()
    const web = createServer(certificate, (_, response) => response.end("web"))
    onTestFinished(() => void web.close())
    const trust = proxyProtocol ? { trustedProxies: ["127.0.0.0/8"], proxyProtocol } : {}
    const plain = await startApp((socket) => {
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nweb"))
    })
    const setup = startHost({
      "p:misha": tcpRecord("mach_1", app),
      "p:web": tcpRecord("mach_2", plain, { protocol: "http" }),
    })
    const https = serveNode(setup.router, trust)
    onTestFinished(() => https.drain({ deadlineMs: 0 }))
    const otherwise = https.secureConnection(createTlsServer({ ...certificate, ALPNProtocols: ["http/1.1"] }))
    const both = serveTcp(setup.router, { ...trust, otherwise })
    onTestFinished(() => both.drain({ deadlineMs: 0 }))
    const server = createPlainServer(both.byServerName)
    onTestFinished(() => void server.close())
    return { port: await listening(server), both, https }
  }
  const get = "GET / HTTP/1.1\r\nHost: web.iterate.app\r\nConnection: close\r\n\r\n"

  it("passes names of TCP ports through and leaves all others to HTTPS, no name included", async () => {
    const { port, both } = await startBoth(false)
    const raw = dialTls(port, "misha.iterate.app", { ALPNProtocols: ["echo"] })
    expect(await next(raw, 5)).toBe("echo\n")
    const web = dialTls(port, "web.iterate.app")
    web.write(get)
    expect(await received(web)).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*web$/)
    const nameless = dialTls(port, undefined as never)
    nameless.write(get)
    expect(await received(nameless)).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    const unknown = dialTls(port, "nobody.iterate.app")
    unknown.write(get.replace("web.", "nobody."))
    expect(await received(unknown)).toMatch(/^HTTP\/1\.1 404 /)
    // A connection that was handed over is none of this host.
    expect(both.connections()).toBe(1)
  })

  it("hands its PROXY header over with it", async () => {
    const { port } = await startBoth(true)
    const socket: Socket = dial(port)
    socket.write(v4("192.0.2.7"))
    const web = dialTls(port, "web.iterate.app", { socket })
    web.write(get)
    expect(await received(web)).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  })
})
