import { once } from "node:events"
import * as http from "node:http"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { defineAccess, portIndex } from "../../src/access.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { AccessDenied, createRouter } from "../../src/router.ts"
import type { ListeningPort, Policy, PolicyInput, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { startMachine, startStreamApp } from "./streams.ts"
import type { Running, StreamApp } from "./streams.ts"

const { signing } = await generateTicketKeys("test")
const access = defineAccess({ keys: [signing] })

let app: StreamApp
let secret: StreamApp
let machine: Running
const closing: (() => unknown)[] = []
beforeAll(async () => {
  app = await startStreamApp()
  secret = await startStreamApp()
  machine = await startMachine(signing, "mach_1")
})
afterAll(async () => {
  for (const close of closing.toReversed()) await close()
  await Promise.all([app, secret, machine].map((each) => each.close()))
})

/** Visitors by a field: `owner` may open every port, `guest` the public ones, and both may inspect; `stranger` may not. */
const session: Policy = {
  name: "session",
  onRoute: ({ header }) => {
    const subject = header("x-user")
    if (subject === undefined) return undefined
    return { visitor: { subject, by: "session", id: `s-${subject}`, mayInspect: subject !== "stranger" } }
  },
}
const authorize: Policy = {
  name: "authorize",
  enforces: ["visibility"],
  onRoute: ({ visitor }, { settings }) =>
    settings.visibility === "private" && visitor?.subject !== "owner" ? { deny: new AccessDenied() } : undefined,
}

const routerWith = (
  policies: readonly PolicyInput[] = [session, authorize, portIndex(access)],
  more: Partial<RouterOptions> = {},
) =>
  createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({
      "p:misha": {
        machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port: machine.port } },
        port: app.port,
        ports: { [secret.port]: { visibility: "private" } },
      },
      "p:gone": { machine: { id: "mach_2", type: "local", externalId: "dev", metadata: { port: 1 } }, port: 3000 },
    }),
    providers: [local()],
    signingKey: signing,
    policies,
    ...more,
  })

interface Asked {
  readonly user?: string
  readonly host?: string
  readonly accept?: string
  readonly method?: string
}
interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** The same router on both hosts. */
const hosts = [
  {
    name: "fetch",
    start:
      async (router: ReturnType<typeof routerWith>) =>
      async (path: string, asked: Asked): Promise<Answered> => {
        const { host = "misha.iterate.app", user, accept = "application/json", method = "GET" } = asked
        const headers = { accept, ...(user === undefined ? {} : { "x-user": user }) }
        const response = (await router.fetch(new Request(`http://${host}${path}`, { headers, method })))!
        return { status: response.status, headers: response.headers, text: await response.text() }
      },
  },
  {
    name: "sockets",
    start: async (router: ReturnType<typeof routerWith>) => {
      const { port, close } = await serveNode(router).listen({ hostname: "127.0.0.1" })
      closing.push(() => close({ deadlineMs: 0 }))
      return async (path: string, asked: Asked): Promise<Answered> => {
        const { host = "misha.iterate.app", user, accept = "application/json", method = "GET" } = asked
        const headers = { host, accept, ...(user === undefined ? {} : { "x-user": user }) }
        const request = http.request({ host: "127.0.0.1", port, path, method, headers, agent: false }).end()
        const [response] = (await once(request, "response")) as [http.IncomingMessage]
        let text = ""
        for await (const chunk of response) text += String(chunk)
        return { status: response.statusCode!, headers: new Headers(response.headers as Record<string, string>), text }
      }
    },
  },
]

const listed = ({ text }: Answered) => (JSON.parse(text) as { ports: ListeningPort[] }).ports

describe.each(hosts)("the port index, by $name", ({ start }) => {
  let ask: (path: string, asked: Asked) => Promise<Answered>
  beforeAll(async () => {
    ask = await start(routerWith())
  })

  it("lists port, process, link and visibility to who may open them", async () => {
    const response = await ask("/_/ports.json", { user: "owner" })
    const ports = listed(response)
    expect(response.headers.get("cache-control")).toBe("no-store")
    expect(ports.find(({ port }) => port === app.port)).toEqual({
      port: app.port,
      process: expect.any(String),
      url: "http://misha.iterate.app/",
      visibility: "public",
    })
    expect(ports.find(({ port }) => port === secret.port)).toMatchObject({
      url: `http://${secret.port}__misha.iterate.app/`,
      visibility: "private",
    })
  })

  it("has no port that the visitor may not open", async () => {
    const ports = listed(await ask("/_/ports.json", { user: "guest" })).map(({ port }) => port)
    expect(ports).toContain(app.port)
    expect(ports).not.toContain(secret.port)
    expect((await ask("/_/ports", { user: "guest" })).text).not.toContain(String(secret.port))
  })

  it("is a page without scripts, with links", async () => {
    const { headers, text } = await ask("/_/ports", { user: "owner" })
    expect(headers.get("content-security-policy")).toContain("default-src 'none'")
    expect(text).toContain(`<a href="http://${secret.port}__misha.iterate.app/">${secret.port}</a>`)
    expect(text).toContain("color-scheme:light dark")
    expect(text).not.toMatch(/<script/i)
  })

  it.each(["stranger", undefined])("is 403 for %s, and no app ever gets the path", async (user) => {
    const before = app.seen.length
    const asked = user === undefined ? {} : { user }
    for (const path of ["/_/ports", "/_/ports.json", "/_/ports?wait=1"]) {
      const { status, headers } = await ask(path, asked)
      expect([status, headers.get("x-iterate-proxy-error")]).toEqual([403, "ACCESS_DENIED"])
    }
    expect(app.seen).toHaveLength(before)
  })

  it("can only be read", async () => {
    const { status, headers } = await ask("/_/ports", { user: "owner", method: "POST" })
    expect([status, headers.get("allow")]).toEqual([405, "GET, HEAD"])
  })

  it("waits for a port that the visitor may open, and not for another", async () => {
    const { version } = JSON.parse((await ask("/_/ports.json", { user: "owner" })).text) as { version: string }
    const waiting = ask(`/_/ports.json?wait=25000&since=${version}`, { user: "owner" })
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    const { port } = server.address() as AddressInfo
    expect(listed(await waiting).map((each) => each.port)).toContain(port)
    server.close()
  })

  it("says so when the machine cannot be asked", async () => {
    const { status, headers, text } = await ask("/_/ports.json", { user: "owner", host: "gone.iterate.app" })
    expect([status, headers.get("retry-after"), JSON.parse(text)]).toMatchObject([503, "5", { error: "PORTS_UNKNOWN" }])
    expect((await ask("/_/ports", { user: "owner", host: "gone.iterate.app" })).text).toContain("Look again")
  })
})

describe.each(hosts)("a closed port, by $name", ({ start }) => {
  let ask: (path: string, asked: Asked) => Promise<Answered>
  beforeAll(async () => {
    ask = await start(routerWith())
  })
  const closed = "1__misha.iterate.app"

  it("names in JSON what listens instead, as far as the visitor may open it", async () => {
    const ports = async (user: string) =>
      (JSON.parse((await ask("/", { user, host: closed })).text) as { listening?: number[] }).listening
    expect(await ports("owner")).toEqual(expect.arrayContaining([app.port, secret.port]))
    const guest = await ports("guest")
    expect(guest).toContain(app.port)
    expect(guest).not.toContain(secret.port)
  })

  it("links to it on a page, and names it in text", async () => {
    const { status, text } = await ask("/", { user: "owner", host: closed, accept: "text/html" })
    expect(status).toBe(502)
    expect(text).toContain(`<a href="http://${secret.port}__misha.iterate.app/">port ${secret.port}</a>`)
    expect((await ask("/", { user: "owner", host: closed, accept: "*/*" })).text).toContain("Listening: ")
  })

  it.each(["stranger", undefined])("names nothing to %s", async (user) => {
    const { status, text } = await ask("/", { ...(user && { user }), host: closed })
    expect([status, JSON.parse(text)]).toEqual([502, expect.not.objectContaining({ listening: expect.anything() })])
  })
})

describe("a page of the caller's own", () => {
  it("gets what listens", async () => {
    const router = routerWith(undefined, {
      errorResponses: {
        PortClosed: (row, { listening }) => ({
          status: row.status,
          headers: [],
          body: `${listening?.some(({ port }) => port === app.port)}`,
        }),
      },
    })
    const headers = { "x-user": "owner" }
    expect(await (await router.fetch(new Request("http://1__misha.iterate.app/", { headers })))!.text()).toBe("true")
  })
})

describe("portIndex", () => {
  it("checks its options", () => {
    // @ts-expect-error a key is no access
    expect(() => portIndex({ keys: [signing] })).toThrow("portIndex: access must be what defineAccess returns")
    expect(() => portIndex(access, { maxWaitMs: 30_001 })).toThrow("portIndex: maxWaitMs must be")
  })

  it("waits no longer than it is allowed to", async () => {
    const router = routerWith([session, authorize, portIndex(access, { maxWaitMs: 0 })])
    const headers = { "x-user": "owner" }
    const response = await router.fetch(new Request("http://misha.iterate.app/_/ports.json?wait=30000", { headers }))
    expect(response!.status).toBe(200)
  })
})

describe("a policy's inspect", () => {
  const inspecting = (inspect: unknown, phase: "onRequest" | "onRoute" = "onRoute"): Policy => ({
    name: "inspecting",
    [phase]: () => ({ inspect }),
  })
  const statusOf = async (policy: Policy) => {
    const reasons: (string | undefined)[] = []
    const onEvent: RouterOptions["onEvent"] = (event) => {
      if (event.type === "request") reasons.push(event.reason)
    }
    const router = routerWith([policy, authorize], { onEvent })
    const { status } = (await router.fetch(new Request("http://misha.iterate.app/")))!
    return [status, reasons.at(-1)]
  }
  const respond = () => ({ status: 204, headers: [] })

  it.each([
    ["a wait that is too long", { respond, waitMs: 30_001 }],
    ["a version that is none", { respond, since: "a b" }],
    ["no response", {}],
    ["a promise", Promise.resolve()],
  ])("refuses the request for %s", async (_, inspect) => {
    expect(await statusOf(inspecting(inspect))).toEqual([500, expect.stringContaining("or { inspect }")])
  })

  it("refuses it before there is a route, and for a response that is none", async () => {
    expect(await statusOf(inspecting({ respond }, "onRequest"))).toEqual([
      500,
      expect.stringContaining("in onRoute alone"),
    ])
    expect(await statusOf(inspecting({ respond: () => ({ status: 99, headers: [] }) }))).toEqual([
      500,
      expect.stringContaining("inspect.respond of a policy: status must be"),
    ])
    const throwing = inspecting({
      respond: () => {
        throw new Error("x")
      },
    })
    expect((await statusOf(throwing))[0]).toBe(500)
  })

  it("never opens a port that no policy decides about", async () => {
    const router = routerWith([inspecting({ respond })])
    const response = await router.fetch(new Request(`http://${secret.port}__misha.iterate.app/`))
    expect(response!.status).toBe(403)
  })
})
