import { once } from "node:events"
import * as http from "node:http"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { generateTicketKeys } from "@project-ingress/forward"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startInWorkerd } from "../hosts/hosts.ts"
import type { RunningHost } from "../hosts/hosts.ts"
import { openSocket, openStream, startMachine, startStreamApp } from "./streams.ts"
import type { Running, StreamApp } from "./streams.ts"

const { signing } = await generateTicketKeys("test")
let app: StreamApp
let machine: Running
let worker: RunningHost
beforeAll(async () => {
  app = await startStreamApp()
  machine = await startMachine(signing, "mach_1")
  const setup = { machinePort: machine.port, appPort: app.port, signingKey: signing }
  worker = await startInWorkerd(new URL("worker.ts", import.meta.url), setup)
})
afterAll(async () => {
  await worker.close()
  await machine.close()
  await app.close()
})

const as = (user: string, host = "misha.iterate.app") => ({
  host,
  "x-user": user,
  accept: "application/json",
})

const ask = async (path: string, headers: http.OutgoingHttpHeaders) => {
  const [response] = (await once(
    http.get({ host: "127.0.0.1", port: worker.port, path, headers, agent: false }),
    "response",
  )) as [http.IncomingMessage]
  let text = ""
  for await (const chunk of response) text += String(chunk)
  return { status: response.statusCode, headers: response.headers, json: JSON.parse(text) as Record<string, unknown> }
}

describe("a router in workerd", () => {
  it("withdraws: the machine proxy ends the streams and WebSockets that went through the Worker", async () => {
    const stream = await openStream(worker.port, as("anna"))
    const socket = await openSocket(worker.port, as("anna"))
    const others = [await openStream(worker.port, as("bob")), await openSocket(worker.port, as("bob"))] as const
    const at = performance.now()
    const { json } = await ask("/?session=s-anna", { host: "control.example" })
    expect(json).toEqual({ ended: 2, machines: [{ machine: "mach_1", ended: 2 }] })
    expect(await Promise.all([stream.ended, socket.ended])).toEqual(["broken", 1008])
    console.log(`withdrawn in workerd after ${Math.round(performance.now() - at)} ms`)
    expect(others.map((each) => each.isOpen())).toEqual([true, true])
    for (const each of others) each.close()
    expect(app.seen.flatMap((headers) => Object.keys(headers).filter((name) => name.includes("session")))).toEqual([])
  })

  it("lists the ports in use, and waits for one", async () => {
    const { json } = await ask("/_/ports.json", as("anna"))
    const { ports, version } = json as { ports: { port: number }[]; version: string }
    expect(ports.map(({ port }) => port)).toContain(app.port)
    const waiting = ask(`/_/ports.json?wait=20000&since=${version}`, as("anna"))
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    const { port } = server.address() as AddressInfo
    const { json: later } = await waiting
    server.close()
    expect((later["ports"] as { port: number }[]).map((each) => each.port)).toContain(port)
  })

  it("says of a closed port what listens instead", async () => {
    const { status, json } = await ask("/", as("carol", "1__misha.iterate.app"))
    expect([status, json["error"]]).toEqual([502, "PORT_CLOSED"])
    expect(json["listening"]).toContain(app.port)
  })
})
