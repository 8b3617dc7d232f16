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
    response.end(`${request.method} ${request.url} of ${String(request.headers["x-iterate-proxy-target-host"])}`)
  })
  const [, ...args] = manifest.scripts.dev.split(" ")
  const secrets = { SIGNING_KEY: JSON.stringify(machine.signing), INGRESS_PROXY_API_TOKEN: API_TOKEN }
  worker = await startWranglerDev(args, secrets)
}, 60_000)
afterAll(async () => {
  await worker.stop()
  await machine.close()
})

const call = (operation: `${string} /api/${string}`, body?: object) =>
  callControlPlane(worker.url, operation, {
    host: "localhost",
    token: API_TOKEN,
    ...(body === undefined ? {} : { body }),
  })
/** By its name and wrangler's port, as a browser asks. */
const open = async (label: string, path = "/") => {
  const response = await visit(worker.url, path, {
    host: `${label}.localhost:${new URL(worker.url).port}`,
    headers: { accept: "application/json" },
  })
  return [response.statusCode, await textOf(response)] as const
}

describe("the Worker in wrangler dev", () => {
  it("serves what the control plane attaches, by name and port and by WebSocket, until it detaches it", async () => {
    expect(await call("POST /api/migrate")).toEqual([204, undefined])
    await call("PUT /api/machines/mach_1", { type: "local", externalId: "dev", metadata: { port: machine.port } })
    const publicPorts = { 3000: { visibility: "public" }, 4096: { visibility: "public" } }
    await call("POST /api/projects", { name: "misha", ports: publicPorts })
    expect(await open("misha")).toMatchObject([503, expect.stringContaining("MACHINE_DETACHED")])

    expect(await call("POST /api/projects/misha/attach", { machine: "mach_1" })).toMatchObject([
      200,
      { machine: "mach_1" },
    ])
    expect(await open("misha", "/a//b?q=%20")).toEqual([200, "GET /a//b?q=%20 of 3000__misha.localhost"])
    expect(await open("4096__misha")).toEqual([200, "GET / of 4096__misha.localhost"])
    expect(await open("opencode--misha")).toEqual([200, "GET / of 4096__misha.localhost"])
    expect(await open("mach_1")).toMatchObject([200, "GET / of 3000__mach_1.machines.localhost"])
    const socket = await openSocket(worker.url, `4096__misha.localhost:${new URL(worker.url).port}`)
    expect(socket.protocol).toBe("echo")
    expect(await echoOf(socket, "hello")).toBe("hello")
    socket.terminate()

    expect(await call("POST /api/projects/misha/detach")).toMatchObject([200, { name: "misha" }])
    expect(await open("misha")).toMatchObject([503, expect.stringContaining("MACHINE_DETACHED")])
  })

  it("leaves the OS's own host to the OS, and its control plane to who bears the token", async () => {
    expect(await textOf(await visit(worker.url, "/home", { host: "localhost" }))).toBe("the OS itself: /home")
    expect(
      await callControlPlane(worker.url, "POST /api/migrate", { host: "localhost", token: "wrong" }),
    ).toMatchObject([401, { error: "UNAUTHORIZED" }])
  })
})
