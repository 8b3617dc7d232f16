import { once } from "node:events"
import { createServer as createHttpServer } from "node:http"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { setTimeout } from "node:timers/promises"
import { generateTicketKeys, signTicket } from "@project-ingress/forward"
import type { Browser } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { TestContext } from "vitest"
import { label } from "../src/docker-machines.ts"
import { startLocal } from "../src/local-machines.ts"
import { Undo } from "../src/machines.ts"
import { need, startBrowser, visit } from "./browser.ts"
import { ask, runningChildren, spawnDemo, startDemo } from "./demo.ts"
import { api, madeBy, noEngine } from "./engine.ts"
import type { Reply, Demo } from "./demo.ts"

let browser: Browser | undefined
let noBrowser: string | undefined
beforeAll(async () => {
  ;({ browser, noBrowser } = await startBrowser())
})
afterAll(() => browser?.close())

const container = async (demo: Demo, machine: string): Promise<string> =>
  (await madeBy(demo.pid)).find(({ Labels }) => Labels[`${label}.machine`] === machine)!.Id

const fails = (answer: Reply, status: number, code: string): void => {
  expect([answer.status, answer.headers["x-iterate-proxy-error"]]).toEqual([status, code])
  // One line, with the code and what to do; JSON where the request could not be read.
  expect(answer.body).toMatch(new RegExp(`^(?:${status} ${code}: |\\{"error":"${code}","message":").+\\n$`))
  expect(answer.headers).toMatchObject({ "cache-control": "no-store" })
  expect(answer.headers["proxy-status"]).toMatch(/^ingress-(?:router|machine); error=[a-z_]+$/)
}

/** How machine mach_a ends, step by step, and what its project answers then. */
const endings = {
  docker: [
    {
      end: async (demo: Demo) => api!.call("POST", `/containers/${await container(demo, "mach_a")}/stop?t=5`),
      status: 503,
      code: "MACHINE_NOT_RUNNING",
      retry: true,
    },
    {
      end: async (demo: Demo) => api!.call("DELETE", `/containers/${await container(demo, "mach_a")}?force=1`),
      status: 404,
      code: "MACHINE_NOT_FOUND",
      retry: false,
    },
  ],
  // Nobody can be asked what became of a process: only that nothing listens where its proxy was.
  local: [
    {
      end: async ({ output }: Demo) => {
        const pid = Number(/mach_a runs as process (\d+)/.exec(output())![1])
        process.kill(pid, "SIGKILL")
        while (runningChildren(output()).includes(pid)) await setTimeout(20)
      },
      status: 502,
      code: "PORT_CLOSED",
      retry: true,
    },
  ],
} as const

describe.each(["docker", "local"] as const)("the demo with %s machines", (engine) => {
  const app = "4096__misha"
  let demo: Demo | undefined
  beforeAll(async () => {
    if (engine === "docker" && noEngine !== undefined) return
    demo = await startDemo({ INGRESS_DEMO_ENGINE: engine })
  })
  afterAll(() => demo?.[Symbol.asyncDispose]())

  const running = (ctx: TestContext): Demo => {
    if (engine === "docker") need(ctx, noEngine)
    return demo!
  }
  const at = (label: string): string => `${label}.localhost:${demo!.port}`

  it("says what it took, and where the projects are", (ctx) => {
    const { output, port } = running(ctx)
    expect(output()).toContain(engine === "docker" ? "Machines are containers" : "Machines are processes")
    expect(output()).toContain(`misha → mach_a: http://${app}.localhost:${port}/`)
  })

  it("serves a page, a WebSocket, an event stream and an upload, and follows attach and detach", async (ctx) => {
    const { port, attach, detach } = running(ctx)
    need(ctx, noBrowser)
    const seen = await visit(browser!, {
      page: `http://${app}.localhost:${port}/`,
      attach: (machine) => attach("misha", machine),
      detach: () => detach("misha"),
      detached: { status: 503, code: "MACHINE_DETACHED" },
    })
    expect(seen).toEqual(["mach_a", "mach_b", "mach_a"])
  })

  it("has a page for a detached project that waits for a machine, whoever opened it when", async (ctx) => {
    const { port, attach, detach } = running(ctx)
    need(ctx, noBrowser)
    await detach("banana")
    const page = await browser!.newPage()
    const gone = await page.goto(`http://banana.localhost:${port}/`)
    expect([gone?.status(), gone?.headers()["x-iterate-proxy-error"]]).toEqual([503, "MACHINE_DETACHED"])
    expect(await page.locator("h1").innerText()).toBe("No machine is attached to banana")
    await attach("banana", "mach_b")
    await expect.poll(() => page.locator("#machine").innerText(), { timeout: 60_000 }).toBe("mach_b")
    await page.close()
  })

  it("has a plain page that follows as well", async (ctx) => {
    const { port, attach } = running(ctx)
    need(ctx, noBrowser)
    const page = await browser!.newPage()
    await page.goto(`http://banana.localhost:${port}/`)
    const machine = page.locator("#machine")
    expect(await machine.innerText()).toBe("mach_b")
    await attach("banana", "mach_a")
    await expect.poll(() => machine.innerText()).toBe("mach_a")
    await attach("banana", "mach_b")
    await page.close()
  })

  it("marks the attached machine on its own page, whoever attached it, and says what each link shows", async (ctx) => {
    const { port, attach, detach } = running(ctx)
    need(ctx, noBrowser)
    const page = await browser!.newPage()
    await page.goto(`http://localhost:${port}/`)
    const section = page.locator("section", { hasText: "banana" })
    const marked = section.locator("button[aria-pressed=true]")
    await expect.poll(() => marked.allInnerTexts()).toEqual(["mach_b is attached"])
    expect(await section.locator("p").allInnerTexts()).toEqual([
      `http://4096__banana.localhost:${port}/ the app: a WebSocket, an event stream, an upload`,
      `http://banana.localhost:${port}/ port 3000, where a name without a port leads`,
    ])
    await attach("banana", "mach_a")
    await expect.poll(() => marked.allInnerTexts()).toEqual(["mach_a is attached"])
    await detach("banana")
    await expect.poll(() => section.locator("h2").innerText()).toBe("banana is detached")
    expect(await marked.count()).toBe(0)
    expect(await section.getByRole("button", { name: "detach" }).isDisabled()).toBe(true)
    await attach("banana", "mach_b")
    await page.close()
  })

  it("is operated from its own page, by no other", async (ctx) => {
    const { port } = running(ctx)
    need(ctx, noBrowser)
    const page = await browser!.newPage()
    await page.goto(`http://localhost:${port}/`)
    const heading = page.locator("section", { has: page.locator("h2", { hasText: "banana" }) }).locator("h2")
    await expect.poll(() => heading.innerText()).toBe("banana → mach_b")
    await page.locator("section", { hasText: "banana" }).getByText("attach mach_a").click()
    await expect.poll(() => heading.innerText()).toBe("banana → mach_a")
    await page.goto(`http://${app}.localhost:${port}/`)
    await page.evaluate(
      (url) => fetch(url, { method: "POST", mode: "no-cors" }).then(() => undefined),
      `http://localhost:${port}/attach?project=banana&machine=mach_b`,
    )
    await page.goto(`http://localhost:${port}/`)
    await expect.poll(() => heading.innerText()).toBe("banana → mach_a")
    await page.close()
  })

  it.for([
    ["another origin", { origin: "http://evil.example" }, "localhost", 403],
    ["an opaque origin", { origin: "null" }, "localhost", 403],
    ["the same site", { "sec-fetch-site": "same-site" }, "localhost", 403],
    ["a name that leads here", {}, "evil.example", 404],
  ] as const)("refuses attach from %s", async ([, headers, host, status], ctx) => {
    const { port } = running(ctx)
    const path = "/attach?project=misha&machine=mach_b"
    expect((await ask(port, `${host}:${port}`, { method: "POST", path, headers })).status).toBe(status)
    const state = await ask(port, `localhost:${port}`, { path: "/state" })
    expect(JSON.parse(state.body)).toMatchObject({ projects: [{ project: "misha", machine: "mach_a" }, {}] })
  })

  it("refuses attach by GET, of unknown projects and to unknown machines", async (ctx) => {
    const { port } = running(ctx)
    const path = "/attach?project=misha&machine=mach_b"
    expect((await ask(port, `localhost:${port}`, { path })).status).toBe(405)
    for (const wrong of ["/attach?project=nobody&machine=mach_a", "/attach?project=misha&machine=mach_z", "/attach"]) {
      expect((await ask(port, `localhost:${port}`, { method: "POST", path: wrong })).status).toBe(404)
    }
  })

  it("leads a hostname without port to the plain page", async (ctx) => {
    const { port } = running(ctx)
    const answer = await ask(port, at("misha"))
    expect(answer.status).toBe(200)
    expect(answer.body).toContain("Another port of")
  })

  it("answers bad input with a code, as a line of text or as a page, and goes on", async (ctx) => {
    const { port } = running(ctx)
    fails(await ask(port, at("4096__nobody")), 404, "ROUTE_NOT_FOUND")
    fails(await ask(port, at("99999__misha")), 400, "HOSTNAME_MALFORMED")
    fails(await ask(port, at("4097__misha")), 502, "PORT_CLOSED")
    fails(await ask(port, at("22__misha")), 403, "PORT_FORBIDDEN")
    fails(await ask(port, at(app), { headers: { "x-big": "x".repeat(70_000) } }), 431, "REQUEST_HEAD_TOO_LARGE")

    const page = await ask(port, at("4096__nobody"), {
      headers: { "sec-fetch-mode": "navigate", accept: "text/html,*/*" },
    })
    expect(page.status).toBe(404)
    expect(page.headers).toMatchObject({
      "content-type": "text/html; charset=utf-8",
      "x-iterate-proxy-error": "ROUTE_NOT_FOUND",
    })
    expect((await ask(port, at(app))).status).toBe(200)
  })

  it("believes no client about target, ticket and address", async (ctx) => {
    const { port } = running(ctx)
    const answer = await ask(port, at(app), {
      path: "/headers",
      headers: {
        "x-iterate-proxy-target-host": "3000__misha.localhost",
        "x-iterate-proxy-ticket": "forged",
        "x-iterate-proxy-via": "forged",
        "x-forwarded-host": "evil.example",
        "x-forwarded-for": "192.0.2.1",
      },
    })
    expect(answer.status).toBe(200)
    const { headers } = JSON.parse(answer.body) as { headers: Record<string, string> }
    expect(headers).not.toHaveProperty("x-forwarded-host")
    expect(headers["x-iterate-proxy-public-origin"]).toBe(`http://${at(app)}`)
    expect(headers["x-forwarded-for"]).toMatch(/^(?:127\.0\.0\.1|::1)$/)
    expect(headers).not.toHaveProperty("x-iterate-proxy-ticket")
    expect(headers).not.toHaveProperty("x-iterate-proxy-target-host")
    expect(headers["x-iterate-proxy-via"]).not.toBe("forged")
  })

  it("takes nothing at a machine's own door without its ticket", async (ctx) => {
    const { port, output } = running(ctx)
    const [, host, published] = /machine mach_a runs .* at ([\d.]+):(\d+)/.exec(output())!
    expect(Number(published)).toBeGreaterThan(0)
    const door = { host: host!, port: Number(published) }
    const target = { "x-iterate-proxy-target-host": "4096__misha.localhost" }
    const forged = { ...target, "x-iterate-proxy-ticket": "a.b.c" }
    fails(await ask(door, "machine", { headers: target }), 401, "TICKET_REQUIRED")
    fails(await ask(door, "machine", { headers: forged }), 401, "TICKET_INVALID")
    // Nor by way of its hostname: in a container its own port is 8080, whatever it is published as.
    const own = engine === "docker" ? 8080 : door.port
    fails(await ask(port, at(`${own}__misha`)), 508, "LOOP_DETECTED")
  })

  it("says what became of a machine that ended, and serves from the other", async (ctx) => {
    const { port, attach } = running(ctx)
    await attach("misha", "mach_a")
    expect((await ask(port, at(app))).status).toBe(200)
    for (const { end, status, code, retry } of endings[engine]) {
      await end(demo!)
      const answer = await ask(port, at(app))
      fails(answer, status, code)
      expect("retry-after" in answer.headers).toBe(retry)
    }
    await attach("misha", "mach_b")
    expect((await ask(port, at(app))).status).toBe(200)
  })

  it("leaves nothing behind", async (ctx) => {
    const { pid, output, stop } = running(ctx)
    expect(await stop("SIGINT")).toBe(0)
    expect(output()).toContain("nothing is left running")
    expect(runningChildren(output())).toEqual([])
    expect(await madeBy(pid)).toEqual([])
  })
})

describe("a start", () => {
  it("takes processes when the engine answers and cannot run a machine", async () => {
    const broken = createHttpServer((request, response) => {
      response.statusCode = request.url === "/_ping" ? 200 : 500
      request.resume().on("end", () => response.end("no space left on device"))
    })
    broken.listen(0, "127.0.0.1")
    await once(broken, "listening")
    const { port } = broken.address() as AddressInfo
    await using demo = await startDemo({ DOCKER_HOST: `tcp://127.0.0.1:${port}` })
    expect(demo.output()).toContain("Machines are processes: a Docker Engine answers but cannot run them: ")
    expect(demo.output()).toContain("no space left on device")
    broken.close()
  })

  it("gives each machine ports of its own where there is one loopback address", async (ctx) => {
    const undo = new Undo()
    try {
      const { signing } = await generateTicketKeys("demo")
      const said: string[] = []
      const machines = await startLocal(
        { ids: ["mach_a", "mach_b"], signing, signal: ctx.signal, say: (text) => said.push(text) },
        undo,
        // Of the documentation's block (RFC 5737): no computer has it, as macOS has no 127.0.0.2.
        ["192.0.2.1"],
      )
      expect(machines.byPort).toBe(false)
      expect(said.filter((text) => text.includes("machines share 127.0.0.1"))).toHaveLength(1)
      const [a, b] = [machines.routes.get("mach_a")!, machines.routes.get("mach_b")!]
      // A ticket of its own for each request: one lives for 60 s.
      const reach = async (target: number) =>
        ask(a.published, "machine", {
          headers: {
            "x-iterate-proxy-ticket": await signTicket(signing, {
              machine: "mach_a",
              port: target,
              name: "misha.localhost",
            }),
            "x-iterate-proxy-target-host": `${target}__misha.localhost`,
          },
        })
      expect((await reach(a.services.app)).body).toContain("mach_a")
      for (const other of [b.services.app, b.services.plain]) fails(await reach(other), 403, "PORT_FORBIDDEN")
    } finally {
      await undo.run()
    }
  })

  it("beside another has addresses of its own", async () => {
    const environment = { INGRESS_DEMO_ENGINE: "local" }
    const demos = await Promise.all([startDemo(environment), startDemo(environment)])
    try {
      const doors = demos.flatMap(({ output }) => [...output().matchAll(/ at ([\d.]+):\d+/g)].map((match) => match[1]))
      expect(new Set(doors).size).toBe(4)
      for (const { port } of demos) expect((await ask(port, `4096__misha.localhost:${port}`)).status).toBe(200)
    } finally {
      await Promise.all(demos.map(({ stop }) => stop()))
    }
  })

  it("removes what a killed run has left", async (ctx) => {
    need(ctx, noEngine)
    const killed = await startDemo({ INGRESS_DEMO_ENGINE: "docker" })
    await killed.stop("SIGKILL")
    expect(await madeBy(killed.pid)).toHaveLength(3)
    const next = spawnDemo({ INGRESS_DEMO_ENGINE: "docker" })
    await next.said("making the machines' image")
    expect(await madeBy(killed.pid)).toEqual([])
    next.child.kill("SIGTERM")
    await next.exited
  })

  it("that was killed takes its processes with it", async () => {
    const killed = await startDemo({ INGRESS_DEMO_ENGINE: "local" })
    expect(runningChildren(killed.output())).toHaveLength(2)
    await killed.stop("SIGKILL")
    await expect.poll(() => runningChildren(killed.output()), { timeout: 60_000 }).toEqual([])
  })

  it.each([
    [{ PORT: "x" }, "0 to 65535"],
    [{ PORT: "70000" }, "0 to 65535"],
    [{ INGRESS_DEMO_ENGINE: "podman" }, "docker or local"],
    [
      { DOCKER_HOST: "ssh://me@machine" },
      'DOCKER_HOST: "ssh://me@machine" is not accepted; expected unix:///path or tcp://',
    ],
  ])("with %j says what it accepts", async (environment, accepted) => {
    const demo = spawnDemo(environment)
    expect(await demo.exited).toBe(1)
    expect(demo.output()).toContain(accepted)
    expect(demo.output()).not.toContain("    at ")
  })

  it("says that its port is taken", async () => {
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    const { port } = server.address() as AddressInfo
    const demo = spawnDemo({ PORT: String(port), INGRESS_DEMO_ENGINE: "local" })
    expect(await demo.exited).toBe(1)
    expect(demo.output()).toContain(`port ${port} is in use: set PORT to another one`)
    server.close()
  })
})
