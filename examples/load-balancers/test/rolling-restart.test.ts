/** Restarts behind load balancers as they come, under load: no client sees anything of it. */
import { once } from "node:events"
import { createServer as createHttpServer } from "node:http"
import { createServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { fileURLToPath } from "node:url"
import { generateTicketKeys } from "@project-ingress/forward"
import { createMachineProxy } from "@project-ingress/machine-proxy"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { TestContext } from "vitest"
import { everything, onlyInAll } from "../../../test/requirements.ts"
import { missing } from "./balancers.ts"
import { haproxy, nginx, rollingRestart } from "./rolling-restart.ts"
import type { Program, RestartBalancer } from "./rolling-restart.ts"

const closing: (() => unknown)[] = []
let appPort: number
let routerProgram: Program
let machineProxyProgram: Program

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const listen = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

beforeAll(async () => {
  appPort = await listen(
    createHttpServer(async (request, response) => {
      let bytes = 0
      for await (const piece of request) bytes += (piece as Buffer).length
      response.end(`${request.method} ${bytes}`)
    }),
  )
  const { signing, verification } = await generateTicketKeys("test")
  const { connection } = createMachineProxy({ machine: "mach_1", keys: [verification] })
  const machinePort = await listen(createServer({ noDelay: true }, connection))
  routerProgram = {
    args: [path("../app/router.ts")],
    env: { MACHINE_PORT: String(machinePort), APP_PORT: String(appPort), SIGNING_KEY: JSON.stringify(signing) },
  }
  machineProxyProgram = {
    args: [path("../../../packages/machine-proxy/src/bin.ts"), "--insecure"],
    env: { HOST: "127.0.0.1", INGRESS_MACHINE: "mach_1", INGRESS_LOG: "errors" },
  }
})
afterAll(() => {
  for (const close of closing) close()
})

/** The requests done, and what failed of them. */
const restart = (ctx: TestContext, balancer: RestartBalancer, name: "router" | "machine proxy", requests: number) => {
  const lacking = missing(balancer.command)
  if (lacking !== undefined) ctx.skip(lacking)
  const host = "misha.iterate.app"
  if (name === "router") return rollingRestart(balancer, routerProgram, { host, fields: [], requests })
  const fields = [["x-iterate-proxy-target-host", `localhost:${appPort}`]] as const
  return rollingRestart(balancer, machineProxyProgram, { host, fields, requests })
}

describe("a rolling restart fails no request", () => {
  it("of a router behind nginx", async (ctx) => {
    const { done, failures } = await restart(ctx, nginx, "router", 500)
    expect(failures).toEqual([])
    expect(done).toBeGreaterThanOrEqual(500)
  })
})

describe.skipIf(!everything)(`a rolling restart fails no request of 10 000${onlyInAll}`, () => {
  const balancers = {
    nginx,
    "HAProxy with the health check": haproxy(["option httpchk GET /__ingress/health", "check"]),
    "HAProxy that checks connections": haproxy(["", "check"]),
    "HAProxy without checks": haproxy(["", ""]),
  }
  const cases = (["router", "machine proxy"] as const).flatMap((name) =>
    Object.entries(balancers).map(([behind, balancer]) => ({ name, behind, balancer })),
  )
  it.for(cases)("of a $name behind $behind", async ({ name, balancer }, ctx) => {
    const { done, failures } = await restart(ctx, balancer, name, 10_000)
    expect(failures).toEqual([])
    expect(done).toBeGreaterThanOrEqual(10_000)
  })
})
