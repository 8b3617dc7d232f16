/** Restarts behind load balancers as they come, under load: no client sees anything of it. */
import { once } from "node:events"
import { createServer as createHttpServer } from "node:http"
import { createServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { fileURLToPath } from "node:url"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { createMachineProxy } from "@project-ingress/machine-proxy"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { TestContext } from "vitest"
import { everything, onlyInAll } from "../../../test/requirements.ts"
import { missing } from "./balancers.ts"
import { haproxy, nginx, rollingRestart } from "./rolling-restart.ts"
import type { Load, Program, RestartBalancer } from "./rolling-restart.ts"

const closing: (() => unknown)[] = []
interface Restarted {
  readonly program: Program
  readonly load: Omit<Load, "requests">
}
let router: Restarted
let machineProxy: Restarted

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const listen = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

beforeAll(async () => {
  const appPort = await listen(
    createHttpServer((request, response) => {
      let bytes = 0
      request.on("data", (piece: Buffer) => (bytes += piece.length))
      request.on("end", () => response.end(`${request.method} ${bytes}`))
    }),
  )
  const { signing } = await generateTicketKeys("test")
  const { connection } = createMachineProxy({ machine: "mach_1", keys: [await machineKey(signing, "mach_1")] })
  const machinePort = await listen(createServer({ noDelay: true }, connection))
  const host = "misha.iterate.app"
  router = {
    program: {
      args: [path("../app/router.ts")],
      env: { MACHINE_PORT: String(machinePort), APP_PORT: String(appPort), SIGNING_KEY: JSON.stringify(signing) },
    },
    load: { host, fields: [] },
  }
  machineProxy = {
    program: {
      args: [path("../../../packages/machine-proxy/src/bin.ts"), "--insecure"],
      env: { HOST: "127.0.0.1", INGRESS_MACHINE: "mach_1", INGRESS_LOG: "errors" },
    },
    load: { host, fields: [["x-iterate-proxy-target-host", `localhost:${appPort}`]] },
  }
})
afterAll(() => {
  for (const close of closing) close()
})

const restart = (ctx: TestContext, balancer: RestartBalancer, program: Program, load: Load) => {
  const lacking = missing(balancer.command)
  if (lacking !== undefined) ctx.skip(lacking)
  return rollingRestart(balancer, program, load)
}

describe("a restart fails no request", () => {
  it("of a machine proxy behind nginx, one of two", async (ctx) => {
    const { args, env } = machineProxy.program
    const program = { args, env: { ...env, INGRESS_DRAIN_GRACE_MS: "1000" } }
    const { done, failures } = await restart(ctx, nginx, program, { ...machineProxy.load, requests: 500, restarts: 1 })
    expect(failures).toEqual([])
    expect(done).toBeGreaterThanOrEqual(500)
  })
})

describe.skipIf(!everything)(`a rolling restart fails no request of 10 000${onlyInAll}`, () => {
  const cases = [
    { name: "nginx", balancer: nginx },
    { name: "HAProxy", balancer: haproxy },
  ]

  it.for(cases)("of routers behind $name", async ({ balancer }, ctx) => {
    const { done, failures } = await restart(ctx, balancer, router.program, { ...router.load, requests: 10_000 })
    expect(failures).toEqual([])
    expect(done).toBeGreaterThanOrEqual(10_000)
  })

  it.for(cases)("of machine proxies behind $name", async ({ balancer }, ctx) => {
    const { program, load } = machineProxy
    const { done, failures } = await restart(ctx, balancer, program, { ...load, requests: 10_000 })
    expect(failures).toEqual([])
    expect(done).toBeGreaterThanOrEqual(10_000)
  })
})
