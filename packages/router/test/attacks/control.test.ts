// Who must not reach the control channel, and what must not come out of it.
import { once } from "node:events"
import * as http from "node:http"
import { createServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { generateTicketKeys, machineKey, signTicket } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { beforeEach, describe, expect, it } from "vitest"
import { secretOfKey } from "../../../forward/src/machine-secret.ts"
import { stampOf } from "../../../forward/src/stamp.ts"
import { defineAccess, portIndex } from "../../src/access.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { AccessDenied, createRouter } from "../../src/router.ts"
import type { Policy, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { closedAfterEach } from "../control/closing.ts"
import { openStream, startMachine, startStreamApp } from "../control/streams.ts"
import type { Running, StreamApp } from "../control/streams.ts"

const { signing } = await generateTicketKeys("test")
const { closing, opened } = closedAfterEach()
const listening = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

let app: StreamApp
let machine: Running
beforeEach(async () => {
  app = opened(await startStreamApp())
  machine = opened(await startMachine(signing, "mach_1"))
})

const session: Policy = {
  name: "session",
  onRoute: ({ header }) => {
    const subject = header("x-user")
    return subject === undefined
      ? undefined
      : { visitor: { subject, by: "session", id: `s-${subject}`, mayInspect: true } }
  },
}
const authorize: Policy = {
  name: "authorize",
  enforces: ["visibility"],
  onRoute: ({ visitor }, { settings }) =>
    settings.visibility === "private" && visitor?.subject !== "owner" ? { deny: new AccessDenied() } : undefined,
}

const attached = (id: string, port: number) => ({ machine: { id, type: "local", externalId: id, metadata: { port } } })

const routerWith = (records: Parameters<typeof memoryStore>[0], more: Partial<RouterOptions> = {}) =>
  createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore(records),
    providers: [local()],
    signingKey: signing,
    policies: [session, authorize, portIndex(defineAccess({ keys: [signing] }))],
    ...more,
  })

const serve = async (router: ReturnType<typeof routerWith>): Promise<number> => {
  const { port, close } = await serveNode(router).listen({ hostname: "127.0.0.1" })
  closing.push(() => close({ deadlineMs: 0 }))
  return port
}

const ask = async (port: number, path: string, headers: http.OutgoingHttpHeaders, method = "GET", body = "") => {
  const request = http.request({ host: "127.0.0.1", port, path, method, headers, agent: false }).end(body)
  const [response] = (await once(request, "response")) as [http.IncomingMessage]
  let text = ""
  for await (const chunk of response) text += String(chunk)
  return { status: response.statusCode!, headers: response.headers, text }
}

describe("a visitor", () => {
  it.each(["/__ingress/ports", "/__ingress/end-sessions"])(
    "asks the app for %s, never the machine proxy",
    async (path) => {
      const paths: string[] = []
      const own = await listening(
        http.createServer((request, response) => void (paths.push(request.url!), response.end("app"))),
      )
      const port = await serve(routerWith({ "p:misha": { ...attached("mach_1", machine.port), port: own } }))
      const method = path.endsWith("ports") ? "GET" : "POST"
      const { text } = await ask(port, path, { host: "misha.iterate.app" }, method, '{"sessions":"all"}')
      expect([text, paths]).toEqual(["app", [path]])
    },
  )

  it("cannot take the target off its request: the ticket in it opens no other path", async () => {
    const port = await serve(routerWith({ "p:misha": { ...attached("mach_1", machine.port), port: app.port } }))
    const headers = { host: "misha.iterate.app", connection: "x-iterate-proxy-target-host, x-iterate-proxy-ticket" }
    await ask(port, "/page", headers)
    expect(app.seen).toHaveLength(1)
  })

  it("cannot name another's session, under any spelling", async () => {
    const router = routerWith({ "p:misha": { ...attached("mach_1", machine.port), port: app.port } })
    const port = await serve(router)
    const claimed = {
      "x-iterate-proxy-session": "s-bob",
      X_Iterate_Proxy_Session: "s-bob",
      "x-iterate-proxy-fwd-x-iterate-proxy-session": "s-bob",
    }
    const anna = opened(await openStream(port, { host: "misha.iterate.app", "x-user": "anna", ...claimed }))
    const anonymous = opened(await openStream(port, { host: "misha.iterate.app", ...claimed }))
    expect(await router.withdraw("misha.iterate.app", { sessions: ["s-bob"] })).toMatchObject({ ended: 0 })
    expect([anna.isOpen(), anonymous.isOpen()]).toEqual([true, true])
    expect(await router.withdraw("misha.iterate.app", { sessions: "all" })).toMatchObject({ ended: 1 })
    expect(await anna.ended).toBe("broken")
    expect(anonymous.isOpen()).toBe(true)
    expect(app.seen.flatMap((headers) => Object.keys(headers)).filter((name) => /session/i.test(name))).toEqual([])
  })

  it("is not told a session by an app, either", async () => {
    const own = await listening(
      http.createServer((_, response) => response.setHeader("x-iterate-proxy-session", "s-bob").end()),
    )
    const port = await serve(routerWith({ "p:misha": { ...attached("mach_1", machine.port), port: own } }))
    const { headers } = await ask(port, "/", { host: "misha.iterate.app", "x-user": "anna" })
    expect(headers).not.toHaveProperty("x-iterate-proxy-session")
  })

  it.each(["a b", "a\r\nb", "", "é", "x".repeat(129), "a,b"])(
    "with the id %j is none, and gets no further",
    async (id) => {
      const odd: Policy = { name: "odd", onRoute: () => ({ visitor: { subject: "s", by: "session", id } }) }
      const record = { ...attached("mach_1", machine.port), port: app.port }
      const port = await serve(routerWith({ "p:misha": record }, { policies: [odd] }))
      expect((await ask(port, "/page", { host: "misha.iterate.app" })).status).toBe(500)
      expect(app.seen).toEqual([])
    },
  )

  it("learns nothing of a port that is closed to them, not by what a wait does", { timeout: 30_000 }, async () => {
    const secret = createServer()
    const secretPort = await listening(secret)
    secret.close()
    const open = createServer()
    const openPort = await listening(open)
    open.close()
    const port = await serve(
      routerWith({
        "p:misha": {
          ...attached("mach_1", machine.port),
          port: app.port,
          visibility: "private",
          ports: { [openPort]: { visibility: "public" }, [app.port]: { visibility: "public" } },
        },
      }),
    )
    const guest = { host: "misha.iterate.app", "x-user": "guest", accept: "application/json" }
    const list = async (query: string) =>
      JSON.parse((await ask(port, `/_/ports.json${query}`, guest)).text) as {
        ports: { port: number }[]
        version: string
      }
    const before = await list("")
    const waiting = list(`?wait=25000&since=${before.version}`)
    let isOver = false
    void waiting.then(() => (isOver = true))
    secret.listen(secretPort, "127.0.0.1")
    // The machine has told of it by now.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(isOver).toBe(false)
    const during = await list("")
    expect(during).toEqual(before)
    open.listen(openPort, "127.0.0.1")
    const after = await waiting
    expect(after.ports.map((each) => each.port).toSorted((a, b) => a - b)).toEqual(
      [app.port, openPort].toSorted((a, b) => a - b),
    )
    open.close()
    secret.close()
  })

  it("who floods it with waits delays nobody's list", { timeout: 30_000 }, async () => {
    const port = await serve(routerWith({ "p:misha": { ...attached("mach_1", machine.port), port: app.port } }))
    const as = (user: string) => ({ host: "misha.iterate.app", "x-user": user, accept: "application/json" })
    const flood = Array.from({ length: 200 }, () => {
      const options = {
        host: "127.0.0.1",
        port,
        path: "/_/ports.json?wait=30000",
        headers: as("mallory"),
        agent: false,
      }
      const request = http.get(options)
      request.on("error", () => undefined)
      return request
    })
    await new Promise((resolve) => setTimeout(resolve, 500))
    const { status, text } = await ask(port, "/_/ports.json", as("owner"))
    expect([status, text]).toEqual([200, expect.stringContaining(String(app.port))])
    expect((await ask(port, "/page", { host: "misha.iterate.app" })).text).toBe("page")
    for (const request of flood) request.destroy()
  })
})

/** Root in a machine: it has the machine's key, and says what it likes with a good stamp. */
const hostileMachine = async (
  id: string,
  say: () => { readonly status?: number; readonly body: string; readonly code?: string; readonly isEndless?: boolean },
) => {
  const tickets: string[] = []
  const secret = (await secretOfKey(await machineKey(signing, id), id))!
  const server = http.createServer((request, response) => {
    const ticket = String(request.headers["x-iterate-proxy-ticket"])
    tickets.push(ticket)
    const claims = JSON.parse(Buffer.from(ticket.split(".")[1]!, "base64url").toString()) as never as {
      jti: string
      scope?: "inspect"
      port: number
      name: string
    }
    const { jti, scope, port, name } = claims
    const {
      status = 200,
      body,
      code,
      isEndless,
    } = scope === undefined ? { status: 502, body: "{}", code: "PORT_CLOSED" } : say()
    const use = scope === undefined ? { port, name } : { scope }
    void stampOf(secret, status < 400 ? "response" : "refusal", { machine: id, id: jti, ...use }).then((stamp) => {
      response.setHeader("x-iterate-proxy-stamp", stamp)
      if (code !== undefined) response.setHeader("x-iterate-proxy-error", code)
      response.writeHead(status).write(body)
      if (isEndless !== true) response.end()
    })
  })
  const port = await listening(server)
  closing.push(() => server.closeAllConnections())
  return { port, tickets }
}

describe("a tenant with root in its machine", () => {
  const list = (ports: unknown, version: unknown = "1") => JSON.stringify({ ports, version })

  it("writes no markup into a page by the name of a process", async () => {
    const process = `"'><script>alert(1)</script><img src=x onerror=alert(1)>`
    const hostile = await hostileMachine("mach_9", () => ({ body: list([{ port: 5173, process }]) }))
    const port = await serve(routerWith({ "p:misha": { ...attached("mach_9", hostile.port), port: 3000 } }))
    const owner = { host: "misha.iterate.app", "x-user": "owner", accept: "text/html" }
    for (const path of ["/_/ports", "/"]) {
      const { text } = await ask(port, path, owner)
      expect(text).toContain("5173")
      expect(text).not.toMatch(/<script>alert|<img/)
    }
    // JSON is not sniffed for a page.
    const json = await ask(port, "/_/ports.json", owner)
    expect(json.headers).toMatchObject({ "content-type": "application/json", "x-content-type-options": "nosniff" })
  })

  it.each([
    ["text for a port", list([{ port: "5173" }])],
    ["a port out of range", list([{ port: 70_000 }])],
    ["a hundred thousand ports", list(Array.from({ length: 100_000 }, (_, at) => ({ port: (at % 65_535) + 1 })))],
    ["a version that breaks a link", list([], '"><script>')],
    ["a version without an end", list([], "x".repeat(65))],
    ["no JSON", "<html>"],
    ["null", "null"],
    ["null for a port", list([null])],
  ])("is not believed: %s", async (_, body) => {
    const hostile = await hostileMachine("mach_9", () => ({ body }))
    const port = await serve(routerWith({ "p:misha": { ...attached("mach_9", hostile.port), port: 3000 } }))
    const owner = { host: "misha.iterate.app", "x-user": "owner", accept: "application/json" }
    expect((await ask(port, "/_/ports.json", owner)).status).toBe(503)
    const closed = await ask(port, "/", owner)
    expect([closed.status, JSON.parse(closed.text)]).toEqual([
      502,
      expect.not.objectContaining({ listening: expect.anything() }),
    ])
  })

  it("that ends no wait makes nobody wait longer than they asked, and is not asked in a loop", async () => {
    let version = 0
    const hostile = await hostileMachine("mach_9", () => ({ body: list([], String(version++)) }))
    const port = await serve(routerWith({ "p:misha": { ...attached("mach_9", hostile.port), port: 3000 } }))
    const owner = { host: "misha.iterate.app", "x-user": "owner", accept: "application/json" }
    expect((await ask(port, "/_/ports.json?wait=2500", owner)).status).toBe(200)
    // At the beginning twice, then once a second.
    expect(hostile.tickets.length).toBeLessThanOrEqual(5)
  })

  it("that begins a response and never ends it holds up no withdrawal and no list", { timeout: 30_000 }, async () => {
    const hostile = await hostileMachine("mach_9", () => ({ body: '{"ended":', isEndless: true }))
    const router = routerWith({
      "p:misha": {
        ...attached("mach_1", machine.port),
        port: app.port,
        replicas: [attached("mach_9", hostile.port).machine],
      },
      "p:evil": { ...attached("mach_9", hostile.port), port: 3000 },
    })
    const port = await serve(router)
    const { machines } = await router.withdraw("misha.iterate.app", { sessions: ["s-anna"] })
    expect(machines).toEqual([
      { machine: "mach_1", ended: 0 },
      { machine: "mach_9", ended: 0, error: "NotSupported" },
    ])
    const owner = { host: "evil.iterate.app", "x-user": "owner", accept: "application/json" }
    expect((await ask(port, "/_/ports.json", owner)).status).toBe(503)
  })

  it("cannot use the router's tickets, nor its own key, on another's machine", async () => {
    const hostile = await hostileMachine("mach_9", () => ({ body: '{"ended":0}' }))
    const router = routerWith({
      "p:evil": { ...attached("mach_9", hostile.port), port: 3000 },
      "p:misha": { ...attached("mach_1", machine.port), port: app.port },
    })
    const port = await serve(router)
    const stream = opened(await openStream(port, { host: "misha.iterate.app", "x-user": "anna" }))
    await router.withdraw("evil.iterate.app", { sessions: ["s-anna"] })
    const replayed = hostile.tickets.at(-1)!
    const end = (ticket: string) =>
      ask(
        machine.port,
        "/__ingress/end-sessions",
        { "x-iterate-proxy-ticket": ticket },
        "POST",
        '{"sessions":["s-anna"]}',
      )
    expect((await end(replayed)).status).toBe(421)
    // What it holds: the public half, and its own secret.
    const { machineSecret } = await machineKey(signing, "mach_9")
    const forged = await signTicket(
      { kty: "oct", alg: "HS256", kid: "test", k: machineSecret },
      { machine: "mach_1", scope: "control" },
    )
    expect((await end(forged)).status).toBe(401)
    expect(stream.isOpen()).toBe(true)
  })

  it("says nothing of other machines: a stamp without its key is worth nothing", async () => {
    const impostor = await hostileMachine("mach_8", () => ({ body: list([{ port: 5173 }]) }))
    const port = await serve(routerWith({ "p:misha": { ...attached("mach_1", impostor.port), port: 3000 } }))
    const owner = { host: "misha.iterate.app", "x-user": "owner", accept: "application/json" }
    expect((await ask(port, "/_/ports.json", owner)).status).toBe(503)
  })
})

describe("a machine proxy", () => {
  it("without keys ends and lists nothing", async () => {
    const insecure = opened(await startMachine(signing, "mach_1", { keys: "insecure" }))
    const record = { ...attached("mach_1", insecure.port), port: app.port }
    const router = routerWith({ "p:misha": record }, { unprovenMachines: true })
    const port = await serve(router)
    const stream = opened(await openStream(port, { host: "misha.iterate.app", "x-user": "owner" }))
    const { machines } = await router.withdraw("misha.iterate.app", { sessions: ["s-nobody"] })
    expect(machines).toEqual([{ machine: "mach_1", ended: 0, error: "NotSupported" }])
    expect((await ask(port, "/_/ports.json", { host: "misha.iterate.app", "x-user": "owner" })).status).toBe(503)
    expect(stream.isOpen()).toBe(true)
  })

  it("that is older and knows no scopes is not taken for one that has ended something", async () => {
    // It refuses a ticket without a port, of which it can say nothing with a stamp of the machine's.
    const old = http.createServer((_, response) => {
      response.setHeader("x-iterate-proxy-stamp", "unproven").setHeader("x-iterate-proxy-error", "TICKET_INVALID")
      response.writeHead(401).end("{}")
    })
    const oldPort = await listening(old)
    closing.push(() => old.closeAllConnections())
    const router = routerWith({ "p:misha": attached("mach_1", oldPort) })
    const { machines } = await router.withdraw("misha.iterate.app", { sessions: ["s"] })
    expect(machines).toEqual([{ machine: "mach_1", ended: 0, error: expect.stringMatching(/^Machine/) }])
    const port = await serve(router)
    expect((await ask(port, "/_/ports.json", { host: "misha.iterate.app", "x-user": "owner" })).status).toBe(503)
  })
})
