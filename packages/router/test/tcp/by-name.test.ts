import { expect, it } from "vitest"
import { dial, dialTls, echo, failure, next, received, startApp, startHost, startTlsApp, tcpRecord } from "./harness.ts"

it("TLS goes to where its name leads, and the app terminates it", async () => {
  const [one, two] = [await startTlsApp(), await startTlsApp()]
  const { host, ended } = startHost({ "p:misha": tcpRecord("mach_1", one), "p:other": tcpRecord("mach_2", two) })
  const { port } = await host.listen({ hostname: "127.0.0.1" })
  const client = dialTls(port, "misha.iterate.app", { ALPNProtocols: ["echo"] })
  client.write("hello")
  expect(await next(client, 10)).toBe("echo\nhello")
  client.end()
  expect(await ended()).toMatchObject({ hostname: "misha.iterate.app", alpn: ["echo"], end: "closed", localPort: port })
})

it("a port in the name is the port of the machine, by the same grammar", async () => {
  const app = await startTlsApp()
  const { host, routerEvents } = startHost({
    "p:misha": {
      machine: { id: "mach_1", type: "upstream", externalId: "x", metadata: { origin: "http://127.0.0.1" } },
      ports: { [app]: { protocol: "tcp" } },
    },
  })
  const { port } = await host.listen({ hostname: "127.0.0.1" })
  const client = dialTls(port, `${app}__misha.iterate.app`, { ALPNProtocols: ["echo"] })
  expect(await next(client, 5)).toBe("echo\n")
  expect(routerEvents).toContainEqual(
    expect.objectContaining({ type: "request", host: `${app}__misha.iterate.app`, status: 101, machine: "mach_1" }),
  )
})

it("by a listener's hostname, connections go there whatever they say", async () => {
  const app = await startApp(echo)
  const { host, ended } = startHost({ "p:misha": tcpRecord("mach_1", app) })
  const { port } = await host.listen({ hostname: "127.0.0.1", to: "misha.iterate.app" })
  const client = dial(port)
  client.end("no TLS at all")
  expect(await received(client)).toBe("no TLS at all")
  expect(await ended()).toMatchObject({ hostname: "misha.iterate.app", bytesIn: 13, bytesOut: 13, end: "closed" })
})

it("the app may speak first", async () => {
  const app = await startApp((socket) => void socket.end("220 ready\r\n"))
  const { host } = startHost({ "p:misha": tcpRecord("mach_1", app) })
  const { port } = await host.listen({ hostname: "127.0.0.1", to: "misha.iterate.app" })
  expect(await received(dial(port))).toBe("220 ready\r\n")
})

it("a record for a listening port stands before the one for every port", async () => {
  const [special, usual] = [await startApp((s) => void s.end("special")), await startApp((s) => void s.end("usual"))]
  const { host, store } = startHost({ "d:db.example.com": tcpRecord("mach_1", usual) })
  const first = await host.listen({ hostname: "127.0.0.1", to: "db.example.com" })
  const second = await host.listen({ hostname: "127.0.0.1", to: "db.example.com" })
  store.attach(`d:${first.port}:db.example.com` as never, tcpRecord("mach_2", special) as never)
  expect(await received(dial(first.port))).toBe("special")
  expect(await received(dial(second.port))).toBe("usual")
})

it.each([
  ["no name", undefined, "tlsv13 alert certificate required|missing extension|:10000455:", "missing_extension"],
  ["a name of nobody", "nobody.iterate.app", "unrecognized name", "unrecognized_name"],
  ["a name outside the platform", "www.example.org", "unrecognized name", "unrecognized_name"],
  ["a port of HTTP", "3000__web.iterate.app", "access denied", "access_denied"],
  ["a private port", "private.iterate.app", "access denied", "access_denied"],
  ["a removed project", "removed.iterate.app", "unrecognized name", "unrecognized_name"],
  ["a renamed project", "renamed.iterate.app", "access denied", "access_denied"],
  ["a project without a machine", "detached.iterate.app", "internal error", "internal_error"],
  ["an app that is not there", "closed.iterate.app", "internal error", "internal_error"],
])("%s is refused by the alert of its RFC", async (_, servername, text, alert) => {
  const app = await startTlsApp()
  const { host, ended } = startHost({
    "p:web": tcpRecord("mach_1", app, { protocol: "http" }),
    "p:private": tcpRecord("mach_2", app, { visibility: "private" }),
    "p:removed": { kind: "removed" },
    "p:renamed": { kind: "redirect", to: { project: "private" }, status: 308 },
    "p:detached": { kind: "detached" },
    "p:closed": tcpRecord("mach_3", 1),
  })
  const { port } = await host.listen({ hostname: "127.0.0.1" })
  const error = await failure(dialTls(port, servername as string))
  // OpenSSL, BoringSSL of Bun and rustls of Deno each write an alert's name in their own way.
  const said = error.message.toLowerCase().replaceAll(/[ _]/g, "").replace("recognised", "recognized")
  expect(said).toMatch(new RegExp(text.replaceAll(" ", "")))
  expect(await ended()).toMatchObject({ end: "refused", alert, bytesIn: 0 })
})

it.each(["not a host", "", "misha.iterate.app:5432", "https://misha.iterate.app", 5432])(
  "a listener whose hostname is none is no listener: %s",
  async (to) => {
    const { host } = startHost({})
    await expect(host.listen({ port: 0, to: to as string })).rejects.toThrow(
      /^listen: to must be a hostname, as 5432__misha/,
    )
    expect(() => host.to(to as string)).toThrow(TypeError)
  },
)
