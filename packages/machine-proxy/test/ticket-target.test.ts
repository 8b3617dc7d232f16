import { createServer } from "node:net"
import { machineKey, signTicket, ticketSigner } from "@project-ingress/forward"
import type { SignedTicket } from "@project-ingress/forward"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { createMachineProxy } from "../src/machine-proxy.ts"
import type { MachineProxyOptions } from "../src/machine-proxy.ts"
import { closedPort, listen, machine, raw, receivedBy, signing, startApp } from "./harness.ts"
import type { Running } from "./harness.ts"

let publicApp: Running
let privateApp: Running
let port: number
const closing: (() => unknown)[] = []
const startProven = async (more: Partial<MachineProxyOptions> = {}): Promise<number> => {
  const proxy = createMachineProxy({ machine, keys: [await machineKey(signing, machine)], ...more })
  const server = createServer(proxy.connection)
  closing.push(() => server.close() && proxy.drain({ deadlineMs: 0 }))
  return listen(server)
}
beforeAll(async () => {
  publicApp = await startApp()
  privateApp = await startApp()
  port = await startProven()
})
afterAll(async () => {
  for (const close of closing) await close()
  for (const app of [publicApp, privateApp]) await app[Symbol.asyncDispose]()
})

const ask = (target: string, ticket: string, ...more: readonly string[]) =>
  raw(port, [
    "GET / HTTP/1.1",
    "Host: m",
    `x-iterate-proxy-target-host: ${target}`,
    `x-iterate-proxy-ticket: ${ticket}`,
    ...more,
  ])
const signer = ticketSigner(signing)
const signed = async (appPort: number, name = "misha.iterate.app") =>
  (await signer.ticketFor(machine, appPort, name)) as SignedTicket

const appThatSays = (text: string) =>
  createServer((socket) => {
    socket.on("data", () => socket.end(text))
    socket.on("error", () => socket.destroy())
  })

describe("a ticket", () => {
  it("opens the port and the name that it was signed for", async () => {
    const { ticket, stamps } = await signed(publicApp.port)
    const response = await ask(`${publicApp.port}__misha.iterate.app`, ticket)
    expect([response.status, response.headers["x-iterate-proxy-stamp"]]).toEqual([200, stamps.response])
  })

  it("for a public port opens no private one, by no form of a target", async () => {
    const { ticket, stamps } = await signed(publicApp.port)
    for (const target of [
      `${privateApp.port}__misha.iterate.app`,
      `localhost:${privateApp.port}`,
      "misha.iterate.app",
    ]) {
      const { status, headers } = await ask(target, ticket)
      expect([status, headers["x-iterate-proxy-error"], headers["x-iterate-proxy-stamp"]]).toEqual([
        403,
        "TICKET_WRONG_TARGET",
        stamps.refusal,
      ])
    }
  })

  it("for one name is refused for another one, in another spelling too", async () => {
    const { ticket } = await signed(publicApp.port)
    for (const name of ["other.iterate.app", "MISHA.iterate.app", "4096--misha.iterate.app", "iterate.app"]) {
      expect((await ask(`${publicApp.port}__${name}`, ticket)).status).toBe(403)
    }
    expect((await ask(`localhost:${publicApp.port}`, ticket)).status).toBe(403)
  })

  it("makes a client's address believed for its own target only", async () => {
    const { ticket } = await signed(publicApp.port)
    const forged = "X-Forwarded-For: 192.0.2.66"
    expect(receivedBy(await ask(`${publicApp.port}__misha.iterate.app`, ticket, forged))["x-forwarded-for"]).toBe(
      "192.0.2.66",
    )
    const elsewhere = await ask(`${privateApp.port}__misha.iterate.app`, ticket, forged)
    expect([elsewhere.status, elsewhere.body.includes("192.0.2.66")]).toEqual([403, false])
  })
})

describe("the stamp", () => {
  it("of what the proxy generates for a valid ticket is that of a refusal", async () => {
    const closed = await closedPort()
    const { ticket, stamps } = await signed(closed)
    const { status, headers } = await ask(`${closed}__misha.iterate.app`, ticket)
    expect([status, headers["x-iterate-proxy-stamp"]]).toEqual([502, stamps.refusal])
  })

  it("of an app's own response with an error's status is that of a response", async () => {
    const app = appThatSays("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")
    const appPort = await listen(app)
    const { ticket, stamps } = await signed(appPort)
    const { status, headers } = await ask(`${appPort}__misha.iterate.app`, ticket)
    expect([status, headers["x-iterate-proxy-stamp"]]).toEqual([502, stamps.response])
    app.close()
  })

  it("is on interim responses, so that a router passes on none of a stranger's", async () => {
    const app = appThatSays(
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    )
    const appPort = await listen(app)
    const { ticket, stamps } = await signed(appPort)
    const { status, body, headers } = await ask(`${appPort}__misha.iterate.app`, ticket)
    expect([status, headers["x-iterate-proxy-stamp"]]).toEqual([103, stamps.response])
    expect(body).toContain(`x-iterate-proxy-stamp: ${stamps.response}`)
    app.close()
  })

  it("of a ticket that has expired is that of a refusal, and of none or an unreadable one proves nothing", async () => {
    const early = await signTicket(signing, {
      machine,
      port: publicApp.port,
      name: "misha.iterate.app",
      validForMs: 1_000,
    })
    expect(
      (await ask(`${publicApp.port}__misha.iterate.app`, `${early.slice(0, -8)}AAAAAAAA`)).headers[
        "x-iterate-proxy-stamp"
      ],
    ).toMatch(/^[\w-]{43}$/)
    for (const ticket of ["", "x", "a.b.c"]) {
      const { status, headers } = await ask(`${publicApp.port}__misha.iterate.app`, ticket)
      expect([status, headers["x-iterate-proxy-stamp"]]).toEqual([401, "unproven"])
    }
  })

  it("of a machine without keys says that it proves nothing", async () => {
    const open = await startProven({ keys: "insecure" })
    const { headers } = await raw(open, [
      "GET / HTTP/1.1",
      "Host: m",
      `x-iterate-proxy-target-host: localhost:${publicApp.port}`,
    ])
    expect(headers["x-iterate-proxy-stamp"]).toBe("unproven")
  })
})
