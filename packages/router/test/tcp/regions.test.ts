/** A connection whose machine is in another region: by a tunnel to the router there, which decides it again. */
import { createServer } from "node:net"
import { machineKey } from "@project-ingress/forward"
import { expect, it, onTestFinished } from "vitest"
import { helloFor } from "../../../forward/test/tcp/hello-bytes.ts"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { regions } from "../../src/regions.ts"
import { dial, dialTls, failure, keys, listening, next, received, startApp, startHost, startTlsApp } from "./harness.ts"

it("goes there, with its own TLS, and is refused by what is refused there", async () => {
  const app = await startTlsApp()
  const proxy = createMachineProxy({ machine: "mach_1", keys: [await machineKey(keys.signing, "mach_1")] })
  const machineServer = createServer(proxy.connection)
  onTestFinished(() => {
    machineServer.close()
    return proxy.drain({ deadlineMs: 0 })
  })
  const metadata = { port: await listening(machineServer) }
  const record = {
    owner: "org_1",
    machine: { id: "mach_1", type: "local", externalId: "1", metadata },
    port: app,
    protocol: "tcp",
    region: "fra",
  }
  const told = { ...record, port: await startApp((socket) => void socket.once("data", (bytes) => socket.end(bytes))) }
  const records = {
    "p:misha": record,
    "p:private": { ...record, visibility: "private" },
    "p:told": { ...told, proxyProtocol: 1 },
  }
  const spare = createServer()
  const fraPort = await listening(spare)
  await new Promise((resolve) => spare.close(resolve))
  const balancers = { fra: `http://127.0.0.1:${fraPort}`, iad: "http://127.0.0.1:1" }
  const fra = startHost(records, { router: { regions: regions({ self: "fra", balancers }) } })
  const there = serveNode(fra.router)
  onTestFinished(() => there.drain({ deadlineMs: 0 }))
  await there.listen({ port: fraPort, hostname: "127.0.0.1" })

  const { host, ended } = startHost(
    { ...records, "p:private": record },
    { router: { regions: regions({ self: "iad", balancers }) } },
  )
  const { port } = await host.listen({ hostname: "127.0.0.1" })
  const client = dialTls(port, "misha.iterate.app", { ALPNProtocols: ["echo"] })
  client.write("hello")
  expect(await next(client, 10)).toBe("echo\nhello")
  client.end()
  expect(await ended()).toMatchObject({ end: "closed" })
  const asking = dial(port)
  asking.write(helloFor("told.iterate.app"))
  expect(await received(asking)).toMatch(/^PROXY TCP4 127\.0\.0\.1 /)
  asking.end()
  expect(await ended()).toMatchObject({ hostname: "told.iterate.app" })
  expect((await failure(dialTls(port, "private.iterate.app"))).message).toMatch(/access denied|unrecognized name/)
  expect(await ended()).toMatchObject({ end: "refused" })
})
