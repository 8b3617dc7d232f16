import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { local } from "@project-ingress/providers/local"
import { describe, expect, it } from "vitest"
import { nodeMiddleware } from "../../src/hosts/node.ts"
import type { NodeMiddleware, MountOptions } from "../../src/hosts/node.ts"
import { middleware } from "../../src/middleware.ts"
import { createRouter } from "../../src/router.ts"
import type { RouteStore } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { hostnames, keys, setup, stamped } from "../fakes.ts"
import { startMachine } from "../machine.ts"
import { closing, custom, get, Line, own, post, project, slowly, upgrade } from "./world.ts"

type Next = (cause?: unknown) => void

/** A server of middlewares, in the manner of Connect. */
const serve = async (
  before: (request: IncomingMessage, response: ServerResponse, next: Next) => void = (_, __, next) => next(),
  { store = (each) => each, ...options }: MountOptions & { readonly store?: (store: RouteStore) => RouteStore } = {},
) => {
  const machine = await startMachine()
  closing.push(machine.close)
  const attached = { machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port: machine.port } } }
  const router = createRouter({
    grammar: hostnames,
    store: store(memoryStore({ "p:misha": attached, [`d:${custom}`]: attached })),
    providers: [local()],
    signingKey: keys.signing,
    unprovenMachines: true,
  })
  const routed: NodeMiddleware = nodeMiddleware(router, options)
  const server = createServer((request, response) => {
    const end: Next = (cause) => void response.end(cause instanceof Error ? cause.message : `app ${request.url}`)
    before(request, response, () => routed(request, response, end))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => server.close().closeAllConnections())
  return { port: (server.address() as AddressInfo).port, machine, routed }
}

describe("nodeMiddleware", () => {
  it.each([
    ["that knows at once", (store: RouteStore) => store],
    ["that has to be asked", slowly],
  ])("divides requests, with a store %s", async (_, store) => {
    const { port } = await serve(undefined, { store })
    const line = new Line(port).write(
      get(own, "/1") + post(project, "/", "two") + get(own, "/3") + post(custom, "/", "four"),
    )
    expect((await line.until("four")).match(/app \/\d|two$|\btwo|four/gm)).toEqual(["app /1", "two", "app /3", "four"])
  })

  it("sends nothing of earlier middlewares to visitors, and every line of a field", async () => {
    const { port } = await serve((_, response, next) => {
      response.setHeader("X-Powered-By", "Express")
      response.setHeader("Set-Cookie", "own=1")
      next()
    })
    const text = await new Line(port).write(post(project, "/", "the body")).until("the body")
    expect(text.match(/^set-cookie: .*$/gim)).toEqual(["set-cookie: a=1", "set-cookie: b=2"])
    expect(text).not.toContain("Express")
    expect(await new Line(port).write(get(own)).until("app /")).toContain("X-Powered-By: Express")
  })

  it("sends the path on that the client asked for, where Express has taken a part of it", async () => {
    const { port, machine } = await serve((request, _, next) => {
      Object.assign(request, { originalUrl: request.url, url: "/rest" })
      next()
    })
    await new Line(port).write(get(project, "/mounted/rest?a")).until("x-machine")
    expect(machine.requests[0]!.url).toBe("/mounted/rest?a")
  })

  it("responds 501 to a WebSocket, which mount serves", async () => {
    const { port } = await serve()
    const text = await new Line(port).write(upgrade(project)).until("UPGRADE_UNSUPPORTED:")
    expect(text).toContain("501 Not Implemented")
  })

  it("says so where another middleware has read the body, instead of waiting for it", async () => {
    const { port, machine } = await serve((request, _, next) => void request.resume().on("end", () => next()))
    expect(await new Line(port).write(post(project, "/", "hello")).until("read already")).toContain("must come before")
    expect(machine.requests).toEqual([])
  })

  it("ends the connection of each response from the beginning of a drain", async () => {
    const { port, routed } = await serve()
    await routed.drain({ deadlineMs: 0 })
    expect(await new Line(port).write(post(project, "/upload", "hello")).untilClosed()).toContain("Connection: close")
  })

  it("refuses options that it does not know", () => {
    expect(() => nodeMiddleware(setup().router, { proxyProtocol: true } as never)).toThrow(/^nodeMiddleware: /)
  })
})

describe("middleware", () => {
  const { router, sent } = setup({ answer: () => stamped("machine") })
  const routed = middleware(router)
  const ours = () => new Request("http://misha.iterate.app/a")
  const others = () => new Request(`http://${own}/a`)
  const next = () => Promise.resolve("next" as const)
  const textOf = async (result: Response | string) => (typeof result === "string" ? result : result.text())

  it.each([
    ["h3's event", (req: Request) => ({ req })],
    ["Hono's context", (raw: Request) => ({ req: { raw } })],
  ])("divides requests by %s", async (_, event) => {
    expect(await textOf(await routed(event(ours()), next))).toBe("machine")
    expect(await textOf(await routed(event(others()), next))).toBe("next")
    expect(sent.at(-1)!.target).toBe("/a")
  })

  it("takes Hono's context where its runtime has none for work after the response", async () => {
    const event = {
      req: { raw: ours() },
      get executionCtx(): never {
        throw new Error("This context has no ExecutionContext")
      },
    }
    expect(await textOf(await routed(event, next))).toBe("machine")
  })

  it("leaves the body of what is not its own unread", async () => {
    const request = new Request(`http://${own}/`, { method: "POST", body: "hello" })
    await routed({ req: request }, next)
    expect(await request.text()).toBe("hello")
  })

  it("responds 501 to a WebSocket", async () => {
    const request = new Request("http://misha.iterate.app/", {
      headers: { connection: "upgrade", upgrade: "websocket" },
    })
    const response = await routed({ req: request }, next)
    expect(response).toMatchObject({ status: 501 })
  })

  it("refuses what is no router", () => {
    expect(() => middleware({} as never)).toThrow(TypeError)
  })
})
