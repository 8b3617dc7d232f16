/** Each fault is there on real sockets, and the doctor names it, and no other, by its code. */
import type { ServerResponse } from "node:http"
import { createServer as createTcpServer } from "node:net"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { authorityCertificate } from "../../../../test/apps/certificate.ts"
import { ownAddresses } from "../../src/commands/doctor/check-connection.ts"
import { readTarget } from "../../src/commands/doctor/doctor-target.ts"
import { exitCodeOf } from "../../src/commands/doctor/finding.ts"
import type { Finding } from "../../src/commands/doctor/finding.ts"
import { createConsole, recentEvents } from "../../src/console.ts"
import { closedPort, examine, problemsOf, Servers } from "./faults.ts"

let servers: Servers
beforeEach(() => {
  servers = new Servers()
})
afterEach(() => servers[Symbol.asyncDispose]())

const DAY_MS = 86_400_000
const at = (ms: number) => new Date(Date.now() + ms)
const respond = (status: number, headers: Record<string, string> = {}) =>
  servers.http((_, response) => response.writeHead(status, headers).end())

/** All that is not well, its first one whole. */
const expectOnly = (findings: readonly Finding[], code: string, about?: RegExp): void => {
  expect(problemsOf(findings)).toEqual([code])
  const found = findings.find((finding) => finding.code === code)!
  expect(found.fix).toMatch(/^.{10,}\.$/)
  expect(`${found.resource} ${found.detail} ${found.fix}`).toMatch(about ?? /./)
}

describe("a URL at which all is well", () => {
  it("has no findings but good ones, from DNS to the app", async () => {
    const app = await servers.http((_, response) => response.end("hello"))
    const { port } = await servers.router()
    const findings = await examine(`http://${app}__misha.ingress.test:${port}/`)
    expect(findings.map(({ code }) => code)).toEqual(["DNS_RESOLVES", "PORT_ACCEPTS", "APP_RESPONDS", "CLOCK_AGREES"])
    expect(exitCodeOf(findings)).toBe(0)
  })

  it("by https, too", async () => {
    const { port, cert } = await servers.tls(["*.ingress.test"])
    const findings = await examine(`https://misha.ingress.test:${port}/`, { ca: cert })
    expect(findings.map(({ code }) => code)).toEqual([
      "DNS_RESOLVES",
      "PORT_ACCEPTS",
      "CERTIFICATE_VALID",
      "APP_RESPONDS",
    ])
  })
})

describe("DNS", () => {
  const failing = (code: string) => async (): Promise<never> => {
    throw Object.assign(new Error(code), { code })
  }

  it("has no such name", async () => {
    const findings = await examine("https://misha.ingress.test", { resolve: failing("ENOTFOUND") })
    expectOnly(findings, "DNS_NOT_FOUND", /\*\.ingress\.test/)
    expect(exitCodeOf(findings)).toBe(2)
  })

  it("has a wildcard that ends a label above", async () => {
    const resolve = async (name: string) => (name.split(".").length === 3 ? ["127.0.0.1"] : failing("ENOTFOUND")())
    expectOnly(
      await examine("https://4096.misha.ingress.test", { resolve }),
      "DNS_WILDCARD_DEPTH",
      /\*\.misha\.ingress\.test/,
    )
  })

  it.each(["EAI_AGAIN", "ESERVFAIL", "ETIMEOUT"])("cannot tell: %s", async (code) => {
    expectOnly(await examine("https://misha.ingress.test", { resolve: failing(code) }), "DNS_FAILED", new RegExp(code))
  })

  it("leads to one address that responds and one that does not", async (ctx) => {
    const [own] = ownAddresses()
    if (own === undefined) return ctx.skip("this computer has no address but loopback")
    const port = await respond(204)
    const findings = await examine(`http://misha.ingress.test:${port}/`, { resolve: async () => [own, "127.0.0.1"] })
    expectOnly(findings, "ADDRESS_FAILS")
    return expect(exitCodeOf(findings)).toBe(1)
  })

  it("is not asked about an address, and where another one is given", async () => {
    const port = await respond(204)
    expectOnly(await examine(`http://127.0.0.1:${port}/`, { resolve: failing("ENOTFOUND") }), "HOST_IS_ADDRESS")
    const findings = await examine(`http://misha.ingress.test:${port}/`, {
      address: "127.0.0.1",
      resolve: failing("ENOTFOUND"),
    })
    expect(problemsOf(findings)).toEqual([])
  })
})

describe("the port", () => {
  it("is closed", async () => {
    expectOnly(await examine(`http://misha.ingress.test:${await closedPort()}/`), "CONNECTION_REFUSED")
  })

  it("is open on loopback only, where DNS leads to this computer's other address", async (ctx) => {
    const own = ownAddresses().find((address) => !address.includes(":"))
    if (own === undefined) return ctx.skip("this computer has no address but loopback")
    const port = await respond(204)
    const findings = await examine(`http://misha.ingress.test:${port}/`, { resolve: async () => [own] })
    return expectOnly(findings, "LISTENS_ON_LOOPBACK", new RegExp(own))
  })

  it("speaks TLS, and http was asked; or ends connections; or says nothing", async () => {
    const { port } = await servers.tls(["*.ingress.test"])
    expectOnly(await examine(`http://misha.ingress.test:${port}/`), "SPEAKS_TLS")
    const ends = await servers.listen(createTcpServer((socket) => socket.destroy()))
    expectOnly(await examine(`http://misha.ingress.test:${ends}/`), "NO_HTTP")
    const silent = await servers.listen(createTcpServer((socket) => void socket.on("error", () => {})))
    expectOnly(await examine(`http://misha.ingress.test:${silent}/`, { timeoutMs: 200 }), "NO_RESPONSE")
  })
})

describe("the certificate", () => {
  it("is of another name", async () => {
    const { port, cert } = await servers.tls(["*.other.test"])
    expectOnly(
      await examine(`https://misha.ingress.test:${port}/`, { ca: cert }),
      "CERTIFICATE_NAME",
      /\*\.other\.test.*\*\.ingress\.test/,
    )
  })

  it("is a wildcard one label too high", async () => {
    const { port, cert } = await servers.tls(["*.ingress.test", "ingress.test"])
    const findings = await examine(`https://4096.misha.ingress.test:${port}/`, { ca: cert })
    expectOnly(findings, "CERTIFICATE_DEPTH", /2 below ingress\.test.*\*\.misha\.ingress\.test/)
  })

  it("has ended, is not valid yet, or ends soon", async () => {
    const ended = await servers.tls(["*.ingress.test"], { notBeforeDate: at(-90 * DAY_MS), notAfterDate: at(-DAY_MS) })
    expectOnly(await examine(`https://misha.ingress.test:${ended.port}/`, { ca: ended.cert }), "CERTIFICATE_EXPIRED")
    const later = await servers.tls(["*.ingress.test"], { notBeforeDate: at(DAY_MS), notAfterDate: at(90 * DAY_MS) })
    expectOnly(
      await examine(`https://misha.ingress.test:${later.port}/`, { ca: later.cert }),
      "CERTIFICATE_NOT_YET_VALID",
    )
    const soon = await servers.tls(["*.ingress.test"], { notBeforeDate: at(-DAY_MS), notAfterDate: at(3 * DAY_MS) })
    const findings = await examine(`https://misha.ingress.test:${soon.port}/`, { ca: soon.cert })
    expectOnly(findings, "CERTIFICATE_EXPIRES_SOON")
    expect(exitCodeOf(findings)).toBe(1)
  })

  it("is trusted by nobody, or lacks who issued it", async () => {
    const { port } = await servers.tls(["*.ingress.test"])
    expectOnly(await examine(`https://misha.ingress.test:${port}/`), "CERTIFICATE_UNTRUSTED", /SELF_SIGNED/)
    const { port: signedPort } = await servers.tls(["*.ingress.test"], { ca: await authorityCertificate() })
    expectOnly(await examine(`https://misha.ingress.test:${signedPort}/`), "CERTIFICATE_CHAIN", /fullchain/)
  })

  it("is not there: plain HTTP, a handshake that is refused, no TLS at all", async () => {
    expectOnly(await examine(`https://misha.ingress.test:${await respond(204)}/`), "PLAIN_HTTP")
    // Alerts of RFC 8446 §6: unrecognized_name, as nginx and Caddy send; handshake_failure, as Cloudflare.
    for (const alert of [112, 40]) {
      const refusing = createTcpServer((socket) => {
        socket.on("error", () => {}).once("data", () => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, alert])))
      })
      const found = await examine(`https://4096.misha.ingress.test:${await servers.listen(refusing)}/`)
      expectOnly(found, "CERTIFICATE_MISSING", /\*\.misha\.ingress\.test/)
    }
    const silent = await servers.listen(createTcpServer((socket) => socket.on("error", () => {}).end("SSH-2.0-x\r\n")))
    expectOnly(await examine(`https://misha.ingress.test:${silent}/`), "TLS_FAILED")
  })
})

describe("the route", () => {
  it.each([
    ["nobody.ingress.test", "ROUTE_NOT_FOUND"],
    ["detached.ingress.test", "MACHINE_DETACHED"],
    ["0__x.ingress.test", "HOSTNAME_MALFORMED"],
  ])("of %s ends with %s", async (hostname, code) => {
    const { port } = await servers.router()
    expectOnly(await examine(`http://${hostname}:${port}/`), code, /from the router/)
  })

  it("cannot be looked up", async () => {
    const { port } = await servers.router({ store: { get: () => ({ status: "unknown" }) } })
    expectOnly(await examine(`http://misha.ingress.test:${port}/`), "ROUTE_UNKNOWN")
  })

  it("is told from its name in Proxy-Status where the headers have another prefix", async () => {
    const port = await servers.http((_, response) => {
      response.writeHead(404, { "proxy-status": "ingress-router; error=destination_not_found" })
      response.end(JSON.stringify({ error: "ROUTE_NOT_FOUND", message: "Not\u001b[2Jfound." }))
    })
    const findings = await examine(`http://misha.ingress.test:${port}/`)
    expectOnly(findings, "ROUTE_NOT_FOUND")
    expect(JSON.stringify(findings)).not.toContain("\\u001b")
  })

  it("loops: a machine whose address is the router's, an app that redirects to itself", async () => {
    const { port, store } = await servers.router()
    const metadata = { origin: `http://127.0.0.1:${port}` }
    const machine = { id: "mach_2", type: "upstream", externalId: "loop", metadata }
    store.attach("p:loop", { machine, appOrigin: "public" })
    expectOnly(await examine(`http://loop.ingress.test:${port}/`), "LOOP_DETECTED")
    const app = await servers.http((_, response) => response.writeHead(302, { location: "/again" }).end())
    expectOnly(await examine(`http://${app}__misha.ingress.test:${port}/`), "REDIRECT_LOOP", /forwardedProto/)
  })

  it("ends in an app, or before the router, with an error that is not ours", async () => {
    expectOnly(await examine(`http://misha.ingress.test:${await respond(500)}/`), "APP_FAILED")
    expectOnly(
      await examine(`http://misha.ingress.test:${await respond(522, { server: "cloudflare" })}/`),
      "EDGE_FAILED",
    )
  })

  it("is read as far as it is needed, from a response without an end and from one that is hostile", async () => {
    const endless = await servers.http((_, response) => {
      response.writeHead(404, { "x-iterate-proxy-error": "ROUTE_NOT_FOUND" })
      const more = (): void => {
        while (!response.destroyed && response.write("x".repeat(10_000)));
      }
      response.on("drain", more)
      more()
    })
    expectOnly(await examine(`http://misha.ingress.test:${endless}/`), "ROUTE_NOT_FOUND")
    const slow = await servers.http(
      (_, response) => void response.writeHead(404, { "x-iterate-proxy-error": "A" }).write("{"),
    )
    expectOnly(await examine(`http://misha.ingress.test:${slow}/`, { timeoutMs: 300 }), "A")
    for (const code of ["A\tB", "<b>", "x".repeat(65)]) {
      const port = await respond(404, { "x-iterate-proxy-error": code })
      expect(problemsOf(await examine(`http://misha.ingress.test:${port}/`))).toEqual([])
    }
    for (const code of ["constructor", "__proto__"]) {
      const port = await respond(404, { "x-iterate-proxy-error": code })
      expectOnly(await examine(`http://misha.ingress.test:${port}/`), code, /See docs\/errors/)
    }
  })

  it("that leads elsewhere is not followed there", async () => {
    let asked = 0
    const other = await servers.http((_, response) => response.end(String(++asked)))
    const port = await respond(301, { location: `http://127.0.0.1:${other}/` })
    const findings = await examine(`http://misha.ingress.test:${port}/`)
    expect([findings.map(({ code }) => code).includes("REDIRECTS"), asked]).toEqual([true, 0])
  })
})

describe("the machine", () => {
  const url = async (options: Parameters<Servers["router"]>[0], app?: number) => {
    const { port } = await servers.router(options)
    return `http://${app ?? (await servers.http((_, response) => response.end()))}__misha.ingress.test:${port}/`
  }

  it("verifies tickets by another key", async () => {
    const other = await generateTicketKeys("doctor")
    const unproven = { unprovenMachines: true, verifying: async () => other.verification }
    expectOnly(await examine(await url(unproven)), "TICKET_INVALID", /from the machine proxy.*signingKey/)
    expectOnly(
      await examine(await url({ verifying: async () => other.verification })),
      "MACHINE_UNPROVEN",
      /signingKey/,
    )
  })

  it("has another router's key, which only the router's console can tell", async () => {
    const other = await generateTicketKeys("doctor")
    const recent = recentEvents()
    const { port, router } = await servers.router({
      verifying: () => machineKey(other.signing, "mach_1"),
      onEvent: recent.onEvent,
    })
    const ask = createConsole(router, {
      authorize: ({ headers }) => headers.get("authorization") === "Bearer t0ken",
      recent,
    })
    const consolePort = await servers.http((request, response) => {
      const asked = new Request(`http://localhost${request.url}`, {
        headers: { authorization: request.headers.authorization ?? "" },
      })
      void ask(asked).then(async (found) =>
        response.writeHead(found.status, [...found.headers].flat()).end(await found.text()),
      )
    })
    const access = (token: string | undefined) => ({
      console: { url: new URL(`http://127.0.0.1:${consolePort}/`), token },
    })
    const at = `http://misha.ingress.test:${port}/`
    expect(problemsOf(await examine(at, access("t0ken")))).toEqual(["PROVIDER_UNAVAILABLE", "WRONG_KEY"])
    const refused = await examine(at, access("wr0ng"))
    expect(problemsOf(refused)).toEqual(["PROVIDER_UNAVAILABLE", "CONSOLE_FAILED"])
    expect(JSON.stringify(refused)).not.toContain("wr0ng")
    expect(problemsOf(await examine(`http://nobody.ingress.test:${port}/`, access("t0ken")))).toEqual([
      "ROUTE_NOT_FOUND",
      "ROUTE_NOT_FOUND",
    ])
  })

  it("cannot prove which one it is", async () => {
    expectOnly(await examine(await url({ verifying: async (_, verification) => verification })), "MACHINE_UNPROVEN")
  })

  it("has no app on the port", async () => {
    expectOnly(await examine(await url({}, await closedPort())), "PORT_CLOSED", /--machine/)
  })

  it("has an app on another address than the machine proxy connects to", async (ctx) => {
    const own = ownAddresses().find((address) => !address.includes(":"))
    if (own === undefined) return ctx.skip("this computer has no address but loopback")
    const app = await servers.http((_, response) => response.end(), own)
    const findings = await examine(await url({}, app), { machine: { port: undefined } })
    expect(problemsOf(findings)).toEqual(["APP_BOUND_ELSEWHERE", "PORT_CLOSED"])
    return expect(findings[0]?.detail).toContain(`${own}:${app}`)
  })

  it("has nothing on the port, or an app as it should be", async () => {
    const closed = await closedPort()
    const findings = await examine(await url({}, closed), { machine: { port: undefined } })
    expect(problemsOf(findings)).toEqual(["APP_NOT_LISTENING", "PORT_CLOSED"])
    const well = await examine(await url({}), { machine: { port: undefined } })
    expect([well[0]?.code, problemsOf(well)]).toEqual(["APP_LISTENS", []])
  })
})

describe("a console", () => {
  const explanation = {
    hostname: "x",
    parsed: "target",
    key: "p:misha",
    port: 3000,
    machine: { id: "m" },
    trace: [],
    steps: [],
  }
  const recent = { since: 0, errors: [], machines: [], store: { state: "working" } }
  it.each([
    [{ explanation: { ...explanation, parsed: "foreign" } }, ["NOT_OURS"]],
    [{ explanation: { ...explanation, stop: { after: 1, status: 503, code: "ROUTE_UNKNOWN" } } }, ["ROUTE_UNKNOWN"]],
    [{ explanation: { ...explanation, stop: { after: 1, status: 302 } } }, []],
    [{ explanation: { ...explanation, stale: true, ageMs: 90_000 } }, ["ROUTE_STALE"]],
    [
      { explanation: { ...explanation, provider: { circuit: { error: "ProviderAuth", retryAfterMs: 1 } } } },
      ["CIRCUIT_OPEN"],
    ],
    [
      { explanation: { ...explanation, provider: { failures: [{ operation: "start", error: "X", reason: "no" }] } } },
      ["MACHINE_FAILED"],
    ],
    [{ explanation, recent: { ...recent, store: { state: "failing", reason: "ECONNREFUSED" } } }, ["STORE_FAILING"]],
    [{ explanation, recent }, []],
  ])("that says %j adds %j", async (data, codes) => {
    const port = await servers.http((_, response) => response.end(JSON.stringify({ scope: "process", ...data })))
    const url = new URL(`http://127.0.0.1:${port}/`)
    const app = await respond(204)
    const findings = await examine(`http://misha.ingress.test:${app}/`, { console: { url, token: undefined } })
    expect(problemsOf(findings)).toEqual(codes)
  })

  it.each([
    ["is no console", (response: ServerResponse) => response.end("<html>")],
    ["redirects to a sign-in page", (response: ServerResponse) => response.writeHead(302, { location: "/in" }).end()],
    ["has another JSON", (response: ServerResponse) => response.end("[1]")],
    ["ends the connection", (response: ServerResponse) => response.destroy()],
  ])("that %s is a warning", async (_, listener) => {
    const port = await servers.http((_, response) => void listener(response))
    const url = new URL(`http://127.0.0.1:${port}/`)
    const findings = await examine(`http://misha.ingress.test:${await respond(204)}/`, {
      console: { url, token: "hunter2" },
    })
    expectOnly(findings, "CONSOLE_FAILED")
    expect(JSON.stringify(findings)).not.toContain("hunter2")
  })
})

describe("the clock", () => {
  it.each([
    [120, "ahead of"],
    [-3_600, "behind"],
  ])("is off by %s s", async (seconds, words) => {
    const port = await respond(204, { date: at(seconds * 1_000).toUTCString() })
    const findings = await examine(`http://misha.ingress.test:${port}/`)
    expectOnly(findings, "CLOCK_SKEW", new RegExp(`(120|119|3600|3599|3601) s ${words}`))
  })

  it("is forgiven some seconds, and a Date that is none", async () => {
    for (const date of [at(-4_000).toUTCString(), at(4_000).toUTCString(), "soon"]) {
      const port = await respond(204, { date })
      expect(problemsOf(await examine(`http://misha.ingress.test:${port}/`))).toEqual([])
    }
  })
})

describe("a target", () => {
  it.each([
    ["misha.ingress.test", "misha.ingress.test", 443, true],
    ["http://misha.ingress.test/a?b#c", "misha.ingress.test", 80, false],
    ["https://[::1]:8443", "::1", 8443, true],
  ])("is read from %s", (text, hostname, port, secure) => {
    expect(readTarget(text)).toMatchObject({ hostname, port, secure })
  })

  it.each(["", "https://", "ftp://x", "https://user:hunter2@x", "http://a b", "https://x:99999"])(
    "cannot be %j",
    (text) => {
      const problem = readTarget(text)
      expect(problem).toEqual(expect.any(String))
      expect(problem).not.toContain("hunter2")
    },
  )
})
