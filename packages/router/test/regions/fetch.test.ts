/** Hops between Workers, which write Host from the URL, and sockets, which keep it. */
import { once } from "node:events"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { serveNode } from "../../src/hosts/node.ts"
import { keys } from "../fakes.ts"
import { startInWorkerd } from "../hosts/hosts.ts"
import { startMachine } from "../machine.ts"
import type { StampedServer } from "../machine.ts"
import { regionRouter } from "./region-router.ts"
import type { RouterSetup } from "./region-router.ts"
import { ask, openEcho, startBalancer, startPost } from "./regions.ts"
import type { TestBalancer } from "./regions.ts"

type HostName = "sockets" | "workerd"

let app: StampedServer
let balancer: TestBalancer
/** Each region on each host: the one of the machine, and the other, whose balancer leads to the one that a test wants. */
const ports = { fra: new Map<HostName, number>(), iad: new Map<HostName, number>() }
const closing: (() => unknown)[] = []

beforeAll(async () => {
  app = await startMachine()
  balancer = await startBalancer()
  closing.push(() => app.close(), balancer.close)
  for (const self of ["fra", "iad"] as const) {
    const balancers = { fra: `http://127.0.0.1:${balancer.port}` }
    const setup: RouterSetup = { self, balancers, machinePort: app.port, signingKey: keys.signing }
    const sockets = await serveNode(regionRouter(setup)).listen({ hostname: "127.0.0.1" })
    const worker = await startInWorkerd(new URL("worker.ts", import.meta.url), setup)
    ports[self].set("sockets", sockets.port).set("workerd", worker.port)
    closing.push(() => sockets.close({ deadlineMs: 0 }), worker.close)
  }
})
afterAll(async () => {
  for (const close of closing.toReversed()) await close()
})

const hosts = ["sockets", "workerd"] as const satisfies HostName[]
const ways = hosts.flatMap((iad) => hosts.map((fra) => ({ iad, fra })))

describe.each(ways)("from a region on $iad to one on $fra", ({ iad, fra }) => {
  const use = (): { readonly direct: number; readonly hop: number } => {
    balancer.to = ports.fra.get(fra)!
    return { direct: balancer.to, hop: ports.iad.get(iad)! }
  }
  const fields = {
    from: "127.0.0.9",
    headers: ["X-Test-Address: 127.0.0.9", "Cache-Control: max-age=0", "Accept: */*"],
  }

  it("the app sees the visitor's name and address, and what the visitor asks of caches", async () => {
    const { hop } = use()
    const before = app.requests.length
    const response = await ask(hop, "/a%2Fb?c=%20", { ...fields, host: "4096__misha.iterate.app" })
    expect(response.status).toBe(200)
    const { url, headers } = app.requests[before]!
    expect(url).toBe("/a%2Fb?c=%20")
    const seen = (name: string) => headers[`x-iterate-proxy-fwd-${name}`] ?? headers[name]
    expect(headers["x-iterate-proxy-target-host"]).toBe("4096__misha.iterate.app")
    expect(seen("x-iterate-proxy-public-origin")).toBe("http://4096__misha.iterate.app")
    expect(seen("x-forwarded-for")).toBe("127.0.0.9")
    expect(seen("cache-control")).toBe("max-age=0")
    // Empty where a Worker says that the visitor sent none.
    expect(seen("pragma") ?? "").toBe("")
  })

  it("the visitor sees what the app and the other router say", async () => {
    const { direct, hop } = use()
    const looked = ["location", "cache-control", "set-cookie", "x-iterate-proxy-error", "proxy-status"]
    const seen = async (port: number, path: string, host = "misha.iterate.app") => {
      const { status, headers } = await ask(port, path, { host })
      return [status, ...looked.map((name) => headers[name])]
    }
    for (const path of ["/", "/redirect", "/closed"]) expect(await seen(hop, path)).toEqual(await seen(direct, path))
    const gone = await seen(hop, "/", "gone.iterate.app")
    expect(gone).toEqual(await seen(direct, "/", "gone.iterate.app"))
    expect(gone.slice(-2)).toEqual(["ROUTE_NOT_FOUND", "ingress-router; error=destination_not_found"])
  })

  it("no cache between may keep a response", async () => {
    const { hop } = use()
    balancer.received = ""
    await ask(hop)
    expect(balancer.received).toMatch(/\r\ncache-control: private, no-store\r\n/i)
  })

  it("a body is streamed", async () => {
    const { hop } = use()
    const { posted, pieces } = await startPost(hop)
    expect(String((await pieces.next()).value)).toBe("first")
    posted.end("second")
    expect(String((await pieces.next()).value)).toBe("second")
    expect((await pieces.next()).done).toBe(true)
  })

  it("a WebSocket is passed", async () => {
    const { hop } = use()
    const socket = await openEcho(hop)
    socket.send("over the sea")
    expect(String((await once(socket, "message"))[0])).toBe("over the sea")
    socket.close()
    await once(socket, "close")
  })
})

describe("router.fetch on Node", () => {
  it("sends the balancer's own name as Host, which its certificate has, and the hop says the visitor's", async () => {
    const setup: RouterSetup = {
      self: "iad",
      balancers: { fra: "https://fra.example.com" },
      machinePort: app.port,
      signingKey: keys.signing,
    }
    const sent: (readonly string[])[] = []
    const router = regionRouter(setup, {
      transport: async ({ origin, target, headers }) => {
        sent.push([origin + target, ...headers])
        return new Response("ok")
      },
    })
    const response = await router.fetch(new Request("https://misha.iterate.app/a?b"))
    expect([response?.status, sent[0]?.[0]]).toEqual([200, "https://fra.example.com/a?b"])
    const names = sent[0]!.map((name) => name.toLowerCase())
    expect(names).not.toContain("host")
    expect(names).toContain("x-iterate-proxy-region-hop")
    expect(names).not.toContain("x-iterate-proxy-ticket")
  })
})
