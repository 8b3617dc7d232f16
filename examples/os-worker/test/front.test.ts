import { afterAll, beforeAll, describe, expect, it } from "vitest"
import manifest from "../package.json" with { type: "json" }
import { startMachine } from "./machine.ts"
import type { TestMachine } from "./machine.ts"
import { callControlPlane, echoOf, openSocket, textOf, visit } from "./visitor.ts"
import { API_TOKEN } from "./workerd.ts"
import { startWranglerDev } from "./wrangler-dev.ts"
import type { WranglerDev } from "./wrangler-dev.ts"

let machine: TestMachine
let worker: WranglerDev

beforeAll(async () => {
  machine = await startMachine((request, response) => {
    const { "x-iterate-proxy-fwd-x-forwarded-for": client, "x-iterate-proxy-target-host": target } = request.headers
    response.end(JSON.stringify({ url: request.url, client, target }))
  })
  const [, ...args] = manifest.scripts["dev:front"].split(" ")
  const secrets = { SIGNING_KEY: JSON.stringify(machine.signing), INGRESS_PROXY_API_TOKEN: API_TOKEN }
  worker = await startWranglerDev(args, secrets)
  const call = (operation: `${string} /api/${string}`, body?: object) =>
    callControlPlane(worker.url, operation, { token: API_TOKEN, ...(body === undefined ? {} : { body }) })
  await call("POST /api/migrate")
  await call("PUT /api/machines/mach_1", { type: "local", externalId: "dev", metadata: { port: machine.port } })
  await call("POST /api/projects", { name: "misha", ports: { 3000: { visibility: "public" } } })
  await call("POST /api/projects/misha/attach", { machine: "mach_1" })
}, 60_000)
afterAll(async () => {
  await worker.stop()
  await machine.close()
})

describe("the router behind a service binding, in wrangler dev", () => {
  it("gets the hostname, the path and the client's address as the front Worker got them", async () => {
    const headers = { "cf-connecting-ip": "203.0.113.9", "x-forwarded-for": "6.6.6.6" }
    const response = await visit(worker.url, "/a//b?q=%20", { headers })
    const seen = JSON.parse(await textOf(response)) as Readonly<Record<string, string>>
    expect(seen).toEqual({ url: "/a//b?q=%20", client: "203.0.113.9", target: "3000__misha.iterate.app" })
  })

  it("carries WebSockets", async () => {
    const socket = await openSocket(worker.url)
    expect(socket.protocol).toBe("echo")
    expect(await echoOf(socket, "hello")).toBe("hello")
    socket.terminate()
  })

  it("serves files on the platform's own host, and on no project's", async () => {
    expect(await textOf(await visit(worker.url, "/", { host: "iterate.app" }))).toContain("a file of the OS")
    expect(await textOf(await visit(worker.url, "/index.html"))).toContain('"url":"/index.html"')
  })
})
