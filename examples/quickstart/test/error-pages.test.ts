/** What a person and a program see when something is wrong, through router and machine proxy, in a real browser. */
import { createServer as createHttpServer, request as httpRequest } from "node:http"
import type { IncomingMessage } from "node:http"
import { createServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { text } from "node:stream/consumers"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { createMachineProxy } from "@project-ingress/machine-proxy"
import { MachineStarting } from "@project-ingress/providers"
import { local } from "@project-ingress/providers/local"
import { AccessDenied, createRouter, LoginRequired } from "@project-ingress/router"
import type { RequestEvent } from "@project-ingress/router"
import { serveNode } from "@project-ingress/router/node"
import { memoryStore } from "@project-ingress/router/stores/memory"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { TestContext } from "vitest"
import { WebSocket } from "ws"
import { startWorker } from "../../os-worker/test/workerd.ts"
import { need, startBrowser } from "./browser.ts"

const { signing } = await generateTicketKeys("pages")
const undo: (() => unknown)[] = []
/** The event of each request of the Node host, by the request's id. */
const events = new Map<string, RequestEvent>()
let isStarting = true
let browser: Browser | undefined
let noBrowser: string | undefined
/** The port that each host listens on. */
const ports = { node: 0, workerd: 0 }

const listen = async (server: Server, port = 0): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
  return (server.address() as AddressInfo).port
}

/** A port that nothing listens on, and what makes an app listen on it. */
const closedPort = async () => {
  const free = createServer()
  const port = await listen(free)
  await new Promise((resolve) => free.close(resolve))
  const requests: string[] = []
  const app = createHttpServer(({ method, url }, response) => {
    requests.push(`${method} ${url}`)
    response.setHeader("content-type", "text/html")
    response.end("<h1>the app</h1>")
  })
  undo.push(() => app.close())
  return { port, requests, open: () => listen(app, port) }
}

beforeAll(async () => {
  ;({ browser, noBrowser } = await startBrowser())
  const proxy = createMachineProxy({
    machine: "mach_1",
    keys: [await machineKey(signing, "mach_1")],
    ports: { deny: [22] },
  })
  const server = createServer(proxy.connection)
  const port = await listen(server)
  undo.push(
    () => server.close(),
    () => proxy.drain({ deadlineMs: 0 }),
  )
  const machine = { id: "mach_1", type: "local", externalId: "m", metadata: { host: "127.0.0.1", port } }

  const worker = await startWorker({ signing })
  undo.push(() => worker.dispose())
  await worker.attach("p:misha", { machine })
  ports.workerd = Number(new URL(worker.url).port)

  const starting = {
    ...local(),
    type: "slow",
    resolve: async (...args: Parameters<ReturnType<typeof local>["resolve"]>) => {
      if (isStarting) throw new MachineStarting({ provider: "slow", machine: "m" })
      return local().resolve(...args)
    },
  }
  const router = createRouter({
    grammar: defineGrammar({ domains: ["localhost"] }),
    store: memoryStore({
      "p:misha": { machine },
      "p:slow": { machine: { ...machine, type: "slow" } },
      "p:empty": { kind: "detached" },
      "p:secret": { machine },
      "p:members": { machine },
    }),
    providers: [local(), starting],
    machines: { wake: false },
    policies: [
      (_, { key }) => (key === "p:secret" ? { deny: new AccessDenied() } : undefined),
      (_, { key }) => (key === "p:members" ? { deny: new LoginRequired({ location: "/login" }) } : undefined),
    ],
    signingKey: signing,
    onEvent: (event) => event.type === "request" && events.set(event.requestId, event),
  })
  const listening = await serveNode(router).listen({ hostname: "127.0.0.1" })
  undo.push(() => listening.close({ deadlineMs: 0 }))
  ports.node = listening.port
})
afterAll(async () => {
  await browser?.close()
  for (const end of undo.toReversed()) await end()
})

/** A page in a context of its own, with everything that the browser complained about. */
const openPage = async (ctx: TestContext, options: BrowserContextOptions = {}) => {
  need(ctx, noBrowser)
  const context = await browser!.newContext(options)
  ctx.onTestFinished(() => context.close())
  const page = await context.newPage()
  const complaints: string[] = []
  page.on("pageerror", (error) => complaints.push(error.message))
  page.on("console", (message) => {
    // Of the response's own status.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      complaints.push(message.text())
  })
  return { page, complaints }
}

const shown = (page: Page, selector = "body"): Promise<string> => page.locator(selector).innerText()

/** Red, green and blue together, 0 to 765. */
const brightness = (page: Page, property: "color" | "backgroundColor"): Promise<number> =>
  page.evaluate((name) => {
    const [red = 0, green = 0, blue = 0] = getComputedStyle(document.body)[name].match(/\d+/g)!.map(Number)
    return red + green + blue
  }, property)

const ask = (port: number, host: string, headers: Record<string, string> = {}, method = "GET") =>
  new Promise<{ response: IncomingMessage; body: string }>((resolve, reject) => {
    httpRequest({ host: "127.0.0.1", port, method, headers: { host, ...headers }, agent: false }, (response) => {
      void text(response).then((body) => resolve({ response, body }), reject)
    })
      .on("error", reject)
      .end()
  })

describe.each(["node", "workerd"] as const)("a closed port, by the host %s,", (host) => {
  const url = (port: number, path = "/") => `http://${port}__misha.localhost:${ports[host]}${path}`

  it("has a page that fits a phone, in light and in dark, and says which port and what to do", async (ctx) => {
    const { port } = await closedPort()
    for (const colorScheme of ["light", "dark"] as const) {
      const { page, complaints } = await openPage(ctx, { colorScheme, viewport: { width: 320, height: 560 } })
      const response = await page.goto(url(port))
      expect([response?.status(), response?.headers()["retry-after"]]).toEqual([502, "1"])
      expect(await shown(page, "h1")).toBe(`Port ${port} is not listening yet.`)
      const all = await shown(page)
      for (const said of ["Start the app", "This page reloads when it answers.", "502 PORT_CLOSED"]) {
        expect(all).toContain(said)
      }
      expect(all).toContain(response!.headers()["x-iterate-proxy-request-id"])
      const [color, background] = [await brightness(page, "color"), await brightness(page, "backgroundColor")]
      expect(colorScheme === "dark" ? color - background : background - color).toBeGreaterThan(450)
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0)
      expect(complaints).toEqual([])
    }
  })

  it("is looked at without a reload until an app listens, then the page shows the app", async (ctx) => {
    const { port, open, requests } = await closedPort()
    const { page, complaints } = await openPage(ctx)
    const polls: string[] = []
    let navigations = 0
    page.on("request", (request) => {
      if (request.isNavigationRequest()) navigations += 1
      else if (request.method() === "HEAD") polls.push(request.url())
    })
    await page.goto(url(port, "/a/b?token=once"))
    await expect.poll(() => polls.length).toBeGreaterThan(1)
    expect(navigations).toBe(1)
    await open()
    await expect.poll(() => shown(page, "h1")).toBe("the app")
    expect(navigations).toBe(2)
    expect(complaints).toEqual([])
    // The query is sent by the navigation only: a link may be good for one use.
    expect(new Set(polls)).toEqual(new Set([url(port, "/a/b")]))
    expect(requests.filter((each) => each.includes("token"))).toEqual(["GET /a/b?token=once"])
  })

  it("has a page that is readable without scripts, and reloads", async (ctx) => {
    const { port, open } = await closedPort()
    const { page } = await openPage(ctx, { javaScriptEnabled: false })
    await page.goto(url(port))
    expect(await shown(page)).toContain(`Port ${port} is not listening yet.`)
    await open()
    await expect.poll(() => shown(page, "h1")).toBe("the app")
  })

  it("has a page that reloads in a frame without an origin", async (ctx) => {
    const { port, open } = await closedPort()
    const { page } = await openPage(ctx)
    await page.setContent(`<iframe sandbox="allow-scripts" src="${url(port)}"></iframe>`)
    const heading = page.frameLocator("iframe").locator("h1")
    await expect.poll(() => heading.innerText()).toBe(`Port ${port} is not listening yet.`)
    await open()
    await expect.poll(() => heading.innerText()).toBe("the app")
  })

  it("does not send a form again", async (ctx) => {
    const { port } = await closedPort()
    const { page } = await openPage(ctx)
    await page.setContent(`<form method="post" action="${url(port)}"><button>send</button></form>`)
    await page.click("button")
    await expect.poll(() => shown(page)).toContain("Go back, and send the form again in a moment.")
    expect(await page.locator("script, noscript, meta[http-equiv]").count()).toBe(0)
  })

  it("says the same to a script, and to curl in one line", async (ctx) => {
    const { port } = await closedPort()
    const { page } = await openPage(ctx)
    await page.goto(url(port))
    const data = await page.evaluate(async () => {
      const response = await fetch(location.href, { headers: { accept: "text/html" } })
      return [response.headers.get("content-type"), await response.json()] as const
    })
    const message = expect.stringContaining(`Port ${port} is not listening yet.`)
    expect(data).toMatchObject(["application/json", { error: "PORT_CLOSED", message, retryable: true }])

    const { response, body } = await ask(ports[host], `${port}__misha.localhost`, { accept: "*/*" })
    const id = response.headers["x-iterate-proxy-request-id"] as string
    expect(body).toMatch(
      new RegExp(`^502 PORT_CLOSED: Port ${port} is not listening yet\\..*\\(request ${id}, https://.*\\n$`),
    )
    expect(body.match(/\n/g)).toHaveLength(1)
    expect((await ask(ports[host], `${port}__misha.localhost`, {}, "HEAD")).body).toBe("")
  })

  it("refuses a WebSocket with JSON, whatever else its handshake says", async () => {
    const { port } = await closedPort()
    const socket = new WebSocket(`ws://127.0.0.1:${ports[host]}/`, {
      headers: { host: `${port}__misha.localhost`, "sec-fetch-mode": "navigate", accept: "text/html" },
    })
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      socket.on("unexpected-response", (_, refusal) => resolve(refusal)).on("error", reject)
    })
    expect(JSON.parse(await text(response))).toMatchObject({ error: "PORT_CLOSED" })
    expect(response.headers["content-type"]).toBe("application/json")
  })

  it("has a page for a hostname of any length that fits a phone", async (ctx) => {
    const { page } = await openPage(ctx, { viewport: { width: 320, height: 560 } })
    const label = "a".repeat(40)
    await page.goto(`http://${label}.localhost:${ports[host]}/`)
    expect(await shown(page, "h1")).toBe(`There is no project at ${label}.localhost.`)
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0)
  })
})

describe("a page", () => {
  const cases = [
    ["nobody", 404, "ROUTE_NOT_FOUND", "There is no project at nobody.localhost.", "Check the address"],
    ["99999__misha", 400, "HOSTNAME_MALFORMED", "99999__misha.localhost is not a valid hostname.", "1 to 65535"],
    ["empty", 503, "MACHINE_DETACHED", "No machine is attached to project empty.", "Attach one"],
    ["secret", 403, "ACCESS_DENIED", "You have no access to secret.localhost.", "Ask its owner"],
    ["22__misha", 403, "PORT_FORBIDDEN", "Port 22 is not open to the outside.", "The owner of the machine"],
  ] as const
  it.for(cases)("of %s says what happened and what to do", async ([label, status, code, what, next], ctx) => {
    const { page, complaints } = await openPage(ctx, { viewport: { width: 320, height: 560 } })
    const response = await page.goto(`http://${label}.localhost:${ports.node}/`)
    expect(response?.status()).toBe(status)
    expect([await shown(page, "h1"), await page.title()]).toEqual([what, what])
    expect(await shown(page)).toContain(next)
    expect(await shown(page, "small")).toContain(`${status} ${code}`)
    expect(await page.locator("a").getAttribute("href")).toContain(`/docs/errors/${code}.md`)
    expect(await page.locator("script").count()).toBe(0)
    expect(complaints).toEqual([])
  })

  it("of a machine that starts reloads when the machine runs", async (ctx) => {
    const { port, open } = await closedPort()
    await open()
    const { page } = await openPage(ctx)
    await page.goto(`http://${port}__slow.localhost:${ports.node}/`)
    expect(await shown(page, "h1")).toBe("The machine of project slow is starting.")
    isStarting = false
    await expect.poll(() => shown(page, "h1")).toBe("the app")
  })

  it("reloads when something else is wrong, to say so", async (ctx) => {
    isStarting = true
    const { port } = await closedPort()
    const { page } = await openPage(ctx)
    await page.goto(`http://${port}__slow.localhost:${ports.node}/`)
    isStarting = false
    await expect.poll(() => shown(page, "h1")).toBe(`Port ${port} is not listening yet.`)
  })
})

describe("the id of a request", () => {
  it("is the same in the router's event and in the response, whoever generated that", async () => {
    const { port } = await closedPort()
    const [first, second] = [
      await ask(ports.node, "nobody.localhost"),
      await ask(ports.node, `${port}__misha.localhost`),
    ].map(({ response, body }) => {
      const id = response.headers["x-iterate-proxy-request-id"] as string
      expect(body).toContain(`(request ${id}, `)
      return { by: response.headers["proxy-status"], event: events.get(id) }
    })
    expect(first).toMatchObject({ by: /^ingress-router;/, event: { status: 404, error: "RouteNotFound" } })
    expect(second).toMatchObject({ by: /^ingress-machine;/, event: { status: 502, machine: "mach_1" } })
  })

  it("is not on an app's own response", async () => {
    const { port, open } = await closedPort()
    await open()
    const { response } = await ask(ports.node, `${port}__misha.localhost`, { "x-iterate-proxy-request-id": "mine" })
    expect([response.statusCode, response.headers["x-iterate-proxy-request-id"]]).toEqual([200, undefined])
    expect(events.get("mine")).toBeUndefined()
  })
})

it("a WebSocket is never sent to a login page", async () => {
  const asked = { "sec-fetch-mode": "navigate", accept: "text/html" }
  expect((await ask(ports.node, "members.localhost", asked)).response.headers.location).toBe("/login")
  const upgrade = {
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-key": "x",
    "sec-websocket-version": "13",
  }
  const { response, body } = await ask(ports.node, "members.localhost", { ...asked, ...upgrade })
  expect([response.statusCode, response.headers.location]).toEqual([401, undefined])
  expect(JSON.parse(body)).toMatchObject({ error: "LOGIN_REQUIRED" })
})
