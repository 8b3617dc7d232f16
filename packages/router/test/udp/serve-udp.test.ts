import { createSocket } from "node:dgram"
import type { Socket } from "node:dgram"
import { once } from "node:events"
import { createServer } from "node:net"
import { machineKey } from "@project-ingress/forward"
import type { DatagramEvent } from "@project-ingress/forward/sockets"
import { upstream } from "@project-ingress/providers/upstream"
import { expect, it, onTestFinished } from "vitest"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import { serveUdp } from "../../src/hosts/udp.ts"
import type { UdpOptions } from "../../src/hosts/udp.ts"
import { allowCidrs } from "../../src/policies.ts"
import { keys, listening, startHost, tcpRecord } from "../tcp/harness.ts"

const bind = async (): Promise<Socket> => {
  const socket = createSocket("udp4")
  onTestFinished(() => void socket.close())
  socket.bind(0, "127.0.0.1")
  await once(socket, "listening")
  return socket
}

const startEcho = async (): Promise<number> => {
  const socket = await bind()
  socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address))
  return socket.address().port
}

const udp = (id: string, port: number, more = {}) => tcpRecord(id, port, { protocol: "udp", ...more })

/** A router for UDP whose events are waited for. */
const start = async (
  records: Readonly<Record<string, unknown>>,
  options: UdpOptions & { readonly policies?: readonly ReturnType<typeof allowCidrs>[] } = {},
) => {
  const { policies = [], ...rest } = options
  const { router, routerEvents } = startHost(records, { router: { policies } })
  const events: DatagramEvent[] = []
  let onFlow: (event: DatagramEvent) => void = () => undefined
  const ended = new Promise<DatagramEvent>((resolve) => (onFlow = resolve))
  const host = serveUdp(router, {
    limits: { refusedMs: 50 },
    ...rest,
    onEvent: (event) => {
      events.push(event)
      onFlow(event)
    },
  })
  const { port, close } = await host.listen({ hostname: "127.0.0.1", to: "misha.iterate.app" })
  onTestFinished(close)
  return { host, port, ended, events, routerEvents }
}

const ask = async (port: number, text: string): Promise<string> => {
  const client = await bind()
  client.send(text, port, "127.0.0.1")
  const [bytes] = (await once(client, "message")) as [Buffer]
  return bytes.toString()
}

it("datagrams go to an app's own address, decided once for each flow", async () => {
  const { port, routerEvents, host } = await start({ "p:misha": udp("mach_1", await startEcho()) })
  expect(await ask(port, "hello")).toBe("hello")
  expect(await ask(port, "x".repeat(9_000))).toBe("x".repeat(9_000))
  expect(host.flows()).toBe(2)
  expect(routerEvents.filter(({ type }) => type === "request")).toMatchObject([
    { host: "misha.iterate.app", status: 101, machine: "mach_1", clientAddress: "127.0.0.1" },
    { status: 101 },
  ])
})

it("datagrams go to a machine with a machine proxy by a tunnel", async () => {
  const proxy = createMachineProxy({ machine: "mach_1", keys: [await machineKey(keys.signing, "mach_1")] })
  const server = createServer(proxy.connection)
  onTestFinished(() => {
    server.close()
    return proxy.drain({ deadlineMs: 0 })
  })
  const machine = { id: "mach_1", type: "local", externalId: "1", metadata: { port: await listening(server) } }
  const { port, host } = await start({ "p:misha": { machine, port: await startEcho(), protocol: "udp" } })
  expect(await ask(port, "hello")).toBe("hello")
  host.close()
  expect(host.flows()).toBe(0)
})

it.each([
  ["a port of HTTP", { protocol: "http" }, "TUNNEL_NOT_ALLOWED"],
  ["a port of TCP", { protocol: "tcp" }, "TUNNEL_NOT_ALLOWED"],
  ["a private port", { visibility: "private" }, "ACCESS_DENIED"],
  ["a client of another network", { allowCidrs: ["192.0.2.0/24"] }, "ACCESS_DENIED"],
])("%s is refused", async (_, more, code) => {
  const { port, ended } = await start(
    { "p:misha": udp("mach_1", await startEcho(), more) },
    { policies: [allowCidrs()] },
  )
  ;(await bind()).send("x", port, "127.0.0.1")
  expect(await ended).toMatchObject({ type: "flow", end: "refused", code, bytesOut: 0 })
})

it("a name that leads to an address that the provider's rule does not allow is sent nothing", async () => {
  let received = 0
  const app = await bind()
  app.on("message", () => received++)
  const machine = {
    id: "mach_1",
    type: "upstream",
    externalId: "1",
    metadata: { origin: `http://localhost:${app.address().port}` },
  }
  const { router } = startHost(
    { "p:misha": udp("mach_1", app.address().port, { machine }) },
    { router: { providers: [upstream({ allowCidrs: ["10.0.0.0/8"] })] } },
  )
  let onFlow: (event: DatagramEvent) => void = () => undefined
  const ended = new Promise<DatagramEvent>((resolve) => (onFlow = resolve))
  const host = serveUdp(router, { limits: { refusedMs: 50 }, onEvent: (event) => onFlow(event) })
  const { port, close } = await host.listen({ hostname: "127.0.0.1", to: "misha.iterate.app" })
  onTestFinished(close)
  ;(await bind()).send("x", port, "127.0.0.1")
  expect(await ended).toMatchObject({ type: "flow", end: "refused" })
  expect(received).toBe(0)
})

it("a project that has as many flows as it may have is refused more, with the router's event", async () => {
  const { port, ended, routerEvents } = await start(
    { "p:misha": udp("mach_1", await startEcho()) },
    { bounds: { project: { webSockets: 1 } } },
  )
  expect(await ask(port, "hello")).toBe("hello")
  ;(await bind()).send("x", port, "127.0.0.1")
  expect(await ended).toMatchObject({ end: "refused", code: "PROJECT_LIMITED" })
  expect(routerEvents).toContainEqual(expect.objectContaining({ type: "bound_reached", bound: "project" }))
})

it("options that are wrong are named", async () => {
  const { router } = startHost({})
  expect(() => serveUdp(router, { limits: { flows: 1 } as never })).toThrow("limits.flows")
  await expect(serveUdp(router).listen({} as never)).rejects.toThrow("to")
  await expect(serveUdp(router).listen({ to: "53__misha.iterate.app:53" })).rejects.toThrow(
    "listen: to must be a hostname",
  )
})
