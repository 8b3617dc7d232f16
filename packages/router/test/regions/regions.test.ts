import { once } from "node:events"
import { request } from "node:http"
import type { IncomingMessage } from "node:http"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { generateTicketKeys } from "@project-ingress/forward"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { selfSigned } from "../../../../test/apps/certificate.ts"
import { AccessDenied } from "../../src/router.ts"
import type { Policy, PolicyRequest, RouteStore } from "../../src/router.ts"
import { startMachine } from "../machine.ts"
import type { StampedServer } from "../machine.ts"
import { ask, machineAt, openEcho, startBalancer, startPost, startRegion } from "./regions.ts"
import type { RegionSetup, TestBalancer, TestRegion } from "./regions.ts"

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

let app: StampedServer
beforeEach(async () => {
  app = await startMachine()
  closing.push(() => app.close())
})

const balancer = async (...to: Parameters<typeof startBalancer>): Promise<TestBalancer> => {
  const started = await startBalancer(...to)
  closing.push(started.close)
  return started
}

const start = async (setup: RegionSetup): Promise<TestRegion> => {
  const region = await startRegion(setup)
  closing.push(region.close)
  return region
}

const urlOf = ({ port }: TestBalancer): string => `http://127.0.0.1:${port}`

/** Two regions with one machine, in fra. `iad` and `fra`: what is different there. */
const twoRegions = async ({
  fra = {},
  iad = {},
}: { readonly fra?: Partial<RegionSetup>; readonly iad?: Partial<RegionSetup> } = {}) => {
  const balancers = { fra: await balancer(), iad: await balancer() }
  const urls = { fra: urlOf(balancers.fra), iad: urlOf(balancers.iad) }
  const records = { "p:misha": { owner: "org_1", machine: machineAt(app.port), region: "fra" } }
  const regions = {
    fra: await start({ self: "fra", balancers: urls, records, ...fra }),
    iad: await start({ self: "iad", balancers: urls, records, ...iad }),
  }
  balancers.fra.to = regions.fra.port
  balancers.iad.to = regions.iad.port
  return { ...regions, balancers }
}

/** Notes what a policy is called with for each request. */
const watching = (
  asked: Pick<PolicyRequest, "host" | "scheme" | "clientAddress" | "method" | "path" | "upgrade">[],
): Policy => ({
  name: "watch",
  onRoute: ({ host, scheme, clientAddress, method, path, upgrade }) =>
    void asked.push({ host, scheme, clientAddress, method, path, upgrade }),
})

const codeOf = ({ status, headers }: { readonly status: number; readonly headers: Readonly<Record<string, string>> }) =>
  `${status} ${headers["x-iterate-proxy-error"] ?? ""}`

const reasonsOf = ({ events }: TestRegion, outcome: string): string[] =>
  events.flatMap((event) => (event.type === "region" && event.outcome === outcome ? [event.reason] : []))

const requestsIn = ({ sent }: TestBalancer): number => sent.match(/^[A-Z]+ \S+ HTTP\/1\.1\r$/gm)?.length ?? 0

const requestsOf = ({ events }: TestRegion) => events.filter((event) => event.type === "request")

describe("a request for a machine", () => {
  it("of this region is sent to it, and of another one to that region's load balancer", async () => {
    const { fra, iad, balancers } = await twoRegions()
    expect((await ask(fra.port, "/direct")).status).toBe(200)
    expect(balancers.fra.connections).toBe(0)
    expect((await ask(iad.port, "/hop")).status).toBe(200)
    expect(balancers.fra.connections).toBe(1)
    expect(app.requests.map(({ url }) => url)).toEqual(["/direct", "/hop"])
  })

  it("of a record without a region is sent to it from everywhere", async () => {
    const records = { "p:misha": { machine: machineAt(app.port) } }
    const { iad, balancers } = await twoRegions({ iad: { records } })
    expect((await ask(iad.port)).status).toBe(200)
    expect(balancers.fra.connections).toBe(0)
  })

  it("of a region without a load balancer is 502, and the event says which region", async () => {
    const records = { "p:misha": { machine: machineAt(app.port), region: "constructor" } }
    const { iad } = await twoRegions({ iad: { records } })
    const got = await ask(iad.port)
    expect(codeOf(got)).toBe("502 REGION_UNREACHABLE")
    expect(got.body).not.toContain("constructor")
    expect(requestsOf(iad).at(-1)).toMatchObject({
      error: "RegionUnreachable",
      reason: "region constructor cannot be reached: no load balancer of this region is configured",
    })
  })

  it("is explained: in this region, in another one, in one that cannot be reached", async () => {
    const { fra, iad } = await twoRegions()
    const steps = async ({ router }: TestRegion) => (await router.explain("misha.iterate.app")).steps
    expect(await steps(fra)).toContain("in this region, fra")
    expect(await steps(fra)).toContain("reached through provider local")
    expect(await steps(iad)).toContain("sent to the load balancer of region fra")
    expect(await steps(iad)).not.toContain("reached through provider local")
    iad.routes.attach("p:misha", { machine: machineAt(app.port), region: "syd" })
    expect(await steps(iad)).toContain("in region syd, which has no load balancer here: 502")
    await ask(iad.port)
    const trace = requestsOf(iad).at(-1)
    expect(trace).toMatchObject({ trace: expect.arrayContaining([expect.objectContaining({ step: "region" })]) })
  })
})

describe("three regions", () => {
  it("serve every project from each of them, by one hop at most", async () => {
    const names = ["fra", "iad", "syd"] as const
    const balancers = new Map<string, TestBalancer>()
    const machines = new Map<string, StampedServer>()
    for (const name of names) {
      balancers.set(name, await balancer())
      const machine = await startMachine(name)
      machines.set(name, machine)
      closing.push(() => machine.close())
    }
    const urls = Object.fromEntries([...balancers].map(([name, each]) => [name, urlOf(each)]))
    const records = Object.fromEntries(
      names.map((name) => [`p:in-${name}`, { machine: machineAt(machines.get(name)!.port, name), region: name }]),
    ) as RegionSetup["records"]
    const routers = new Map<string, TestRegion>()
    for (const self of names) {
      routers.set(self, await start({ self, balancers: urls, records }))
      balancers.get(self)!.to = routers.get(self)!.port
    }
    for (const [self, { port }] of routers) {
      for (const name of names) {
        const got = await ask(port, `/from-${self}`, { host: `in-${name}.iterate.app`, from: "127.0.0.9" })
        expect([self, got.status, got.headers["x-machine"]]).toEqual([self, 200, name])
      }
    }
    expect([...balancers.values()].map(requestsIn)).toEqual([2, 2, 2])
    for (const { requests } of machines.values()) {
      expect(requests.map(({ url }) => url)).toEqual(["/from-fra", "/from-iad", "/from-syd"])
      const clients = requests.map(({ headers }) => headers["x-iterate-proxy-fwd-x-forwarded-for"])
      expect(new Set(clients)).toEqual(new Set(["127.0.0.9"]))
    }
  })
})

/** Fields that name one request, or say how it came. */
const ofTheWay = ["x-iterate-proxy-ticket", "x-iterate-proxy-request-id", "via", "cdn-loop"]

const without = (headers: NodeJS.Dict<string | string[]>, names: readonly string[]) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name)))

describe("a hop", () => {
  it("shows the app the same request as the direct way does, whatever the client claims", async () => {
    const { fra, iad } = await twoRegions()
    const headers = [
      "X-Forwarded-For: 6.6.6.6",
      "X-Forwarded-Host: evil.example.com",
      "Forwarded: for=6.6.6.6",
      "X-Iterate-User: admin",
      "X-Iterate-Proxy-Fwd-Cookie: admin=1",
      "Cookie: a=1",
      "Accept: */*",
    ]
    const options = { from: "127.0.0.9", headers, host: "4096__misha.iterate.app:8443" }
    for (const region of [fra, iad]) expect((await ask(region.port, "/a?b=%2F", options)).status).toBe(200)
    const [direct, hop] = app.requests
    expect(hop!.url).toBe(direct!.url)
    expect(direct!.headers).toMatchObject({ "x-iterate-proxy-fwd-x-forwarded-for": "127.0.0.9" })
    expect(without(hop!.headers, ofTheWay)).toEqual(without(direct!.headers, ofTheWay))
    expect(hop!.headers["cdn-loop"]).toBe("ingress-router")
    expect(hop!.headers["via"]).toBe("1.1 ingress-router, 1.1 ingress-router")
  })

  it("gives the visitor the same response as the direct way does: fields, cookies, errors", async () => {
    const { fra, iad } = await twoRegions()
    for (const path of ["/", "/closed", "/redirect"]) {
      const [direct, hop] = [await ask(fra.port, path), await ask(iad.port, path)]
      const ids = ["x-iterate-proxy-request-id", "date"]
      expect({ ...hop, headers: without(hop.headers, ids) }).toEqual({
        ...direct,
        headers: without(direct.headers, ids),
      })
    }
    const other = { host: "nobody.iterate.app" }
    iad.routes.attach("p:nobody", { machine: machineAt(app.port), region: "fra" })
    const [direct, hop] = [await ask(fra.port, "/", other), await ask(iad.port, "/", other)]
    expect([codeOf(hop), hop.headers["proxy-status"]]).toEqual(["404 ROUTE_NOT_FOUND", direct.headers["proxy-status"]])
  })

  it("has one request id in both regions", async () => {
    const deny: Policy = { name: "deny", onRoute: () => ({ deny: new AccessDenied() }) }
    const { fra, iad } = await twoRegions({ fra: { policies: [deny] } })
    const id = (await ask(iad.port)).headers["x-iterate-proxy-request-id"]
    expect(id).toMatch(/^[a-z\d]{10}-/)
    expect([fra, iad].map((region) => requestsOf(region).at(-1)?.requestId)).toEqual([id, id])
  })

  it("keeps the visitor's Host, so that a balancer may route by it", async () => {
    const { iad, balancers } = await twoRegions()
    await ask(iad.port, "/", { host: "4096__misha.iterate.app" })
    expect(balancers.fra.sent).toMatch(/^GET \/ HTTP\/1\.1\r\nHost: 4096__misha\.iterate\.app\r\n/)
  })

  it("is kept by no cache between the regions, and the visitor gets the app's own fields about caching", async () => {
    const { iad, balancers } = await twoRegions()
    const got = await ask(iad.port)
    expect(balancers.fra.received).toMatch(/\r\nCache-Control: private, no-store\r\n/)
    expect(got.headers).not.toHaveProperty("cache-control")
  })

  it("passes a stream's body both ways while it lasts", async () => {
    const { iad } = await twoRegions()
    const { posted, pieces } = await startPost(iad.port)
    expect(String((await pieces.next()).value)).toBe("first")
    posted.end("second")
    expect(String((await pieces.next()).value)).toBe("second")
    expect((await pieces.next()).done).toBe(true)
  })

  it("passes a WebSocket", async () => {
    const { iad, balancers } = await twoRegions()
    const socket = await openEcho(iad.port)
    closing.push(() => socket.terminate())
    socket.send("over the sea")
    expect(String((await once(socket, "message"))[0])).toBe("over the sea")
    expect(socket.protocol).toBe("echo")
    expect(balancers.fra.connections).toBe(1)
  })

  it("says on which port the visitor came, for rules of a listening port", async () => {
    const { fra, iad } = await twoRegions()
    for (const { routes } of [fra, iad]) {
      routes.attach(`d:${iad.port}:www.example.com`, { machine: machineAt(app.port), region: "fra" })
    }
    const host = { host: "www.example.com" }
    expect([(await ask(iad.port, "/", host)).status, (await ask(fra.port, "/", host)).status]).toEqual([200, 404])
  })

  it("shares its connections with requests of the same owner only", async () => {
    const records = Object.fromEntries(
      ["misha", "second", "anna"].map((name) => [
        `p:${name}`,
        { owner: name === "anna" ? "org_2" : "org_1", machine: machineAt(app.port, name), region: "fra" },
      ]),
    ) as RegionSetup["records"]
    const { iad, balancers } = await twoRegions({ fra: { records }, iad: { records } })
    for (const name of ["misha", "second", "misha"]) await ask(iad.port, "/", { host: `${name}.iterate.app` })
    expect(balancers.fra.connections).toBe(1)
    await ask(iad.port, "/", { host: "anna.iterate.app" })
    expect(balancers.fra.connections).toBe(2)
  })
})

describe("policies", () => {
  it("are asked in both regions, and see the same visitor", async () => {
    const asked = { fra: [] as never[], iad: [] as never[] }
    const { iad } = await twoRegions({
      fra: { policies: [watching(asked.fra)] },
      iad: { policies: [watching(asked.iad)] },
    })
    await ask(iad.port, "/x", { from: "127.0.0.9" })
    expect(asked.iad).toMatchObject([{ host: "misha.iterate.app", clientAddress: "127.0.0.9", path: "/x" }])
    expect(asked.fra).toEqual(asked.iad)
  })

  it("of the first region keep what they refuse from crossing", async () => {
    const deny: Policy = { name: "deny", onRoute: () => ({ deny: new AccessDenied() }) }
    const { iad, balancers } = await twoRegions({ iad: { policies: [deny] } })
    expect(codeOf(await ask(iad.port))).toBe("403 ACCESS_DENIED")
    expect(balancers.fra.connections).toBe(0)
  })

  it("of the region of the machine refuse what the first one let through", async () => {
    const deny: Policy = { name: "deny", onRoute: () => ({ deny: new AccessDenied() }) }
    const { iad } = await twoRegions({ fra: { policies: [deny] } })
    expect(codeOf(await ask(iad.port))).toBe("403 ACCESS_DENIED")
    expect(app.requests).toEqual([])
  })

  it("edit fields once, where the machine is: a cookie that one takes out is there for the other region's", async () => {
    const session: Policy = {
      name: "session",
      onRoute: ({ header }) => (header("cookie") === undefined ? { deny: new AccessDenied() } : undefined),
      onForward: (edit) => edit.remove("cookie"),
      onResponse: (_, edit) => edit.append("x-edited", "once"),
    }
    const { iad } = await twoRegions({ fra: { policies: [session] }, iad: { policies: [session] } })
    const got = await ask(iad.port, "/", { headers: ["Cookie: session=1"] })
    expect([got.status, got.headers["x-edited"]]).toEqual([200, "once"])
    expect(app.requests[0]!.headers).not.toHaveProperty("cookie")
  })
})

describe("regions whose records disagree", () => {
  it("end with 508 where each names the other: after one hop, with an event that names both", async () => {
    const toIad = { "p:misha": { machine: machineAt(app.port), region: "iad" } }
    const { fra, iad, balancers } = await twoRegions({ fra: { records: toIad } })
    expect(codeOf(await ask(iad.port))).toBe("508 LOOP_DETECTED")
    // Each of the two was asked past its caches: the request is decided twice, and each time ends after one hop.
    expect([requestsIn(balancers.fra), requestsIn(balancers.iad)]).toEqual([2, 0])
    expect(reasonsOf(fra, "disagreement")).toEqual([
      "a request came from region iad, and the record here names region iad: 508",
    ])
    expect(app.requests).toEqual([])
  })

  it("end with 502 where the second one names a third", async () => {
    const toSyd = { "p:misha": { machine: machineAt(app.port), region: "syd" } }
    const syd = await balancer()
    const { iad } = await twoRegions({ fra: { records: toSyd, balancers: { syd: urlOf(syd), iad: urlOf(syd) } } })
    expect(codeOf(await ask(iad.port))).toBe("502 REGION_UNREACHABLE")
    expect(syd.connections).toBe(0)
  })

  it("end with 508 after three hops even if no router believes the other's hops", async () => {
    const { signing } = await generateTicketKeys("other")
    const toIad = { "p:misha": { machine: machineAt(app.port), region: "iad" } }
    const { fra, iad, balancers } = await twoRegions({ fra: { records: toIad, hopKeys: [signing] } })
    expect(codeOf(await ask(iad.port))).toBe("508 LOOP_DETECTED")
    // Decided twice by the first: two hops there and one back, each time.
    expect([requestsIn(balancers.fra), requestsIn(balancers.iad)]).toEqual([2 * 2, 2 * 1])
    expect(reasonsOf(fra, "hop_refused")[0]).toMatch(/^a hop is not signed by a key of this router/)
  })

  it("end with 508 after three hops where a region's load balancer leads back", async () => {
    const back = await balancer()
    const { iad } = await twoRegions({ iad: { balancers: { fra: urlOf(back) } } })
    back.to = iad.port
    expect(codeOf(await ask(iad.port))).toBe("508 LOOP_DETECTED")
    expect(back.sent.match(/^CDN-Loop: /gm)).toHaveLength(2 * (1 + 2 + 3))
    expect(requestsIn(back)).toBe(2 * 3)
    expect(reasonsOf(iad, "hop_refused")).toContainEqual(expect.stringMatching(/^a hop is for another region/))
  })

  /** A store whose cache is behind: what is new is known only past it. */
  const behind = (cached: string, now: string) => {
    const asked: boolean[] = []
    const store: RouteStore = {
      get: (_, { refresh = false }) => {
        asked.push(refresh)
        const region = refresh ? now : cached
        return {
          status: "hit",
          record: { kind: "machine", version: 1, epoch: 1, owner: "org_1", machine: machineAt(app.port), region },
        }
      },
    }
    return { store, asked }
  }

  it("agree at once where the first one's cache is behind: the machine has moved there", async () => {
    const { store, asked } = behind("fra", "iad")
    const toIad = { "p:misha": { machine: machineAt(app.port), region: "iad" } }
    const { iad, balancers } = await twoRegions({ fra: { records: toIad }, iad: { store } })
    expect((await ask(iad.port)).status).toBe(200)
    expect([requestsIn(balancers.fra), asked]).toEqual([1, [false, true]])
  })

  it("agree at once where the second one's cache is behind: the machine has moved there", async () => {
    const { store, asked } = behind("iad", "fra")
    const { iad, balancers } = await twoRegions({ fra: { store } })
    expect((await ask(iad.port)).status).toBe(200)
    expect([requestsIn(balancers.fra), asked]).toEqual([1, [false, true]])
  })

  it("are looked up past caches as often as the machine's budget allows, however many requests there are", async () => {
    const { store, asked } = behind("iad", "iad")
    const { iad } = await twoRegions({ fra: { store } })
    for (let i = 0; i < 30; i++) expect((await ask(iad.port)).status).toBe(508)
    expect(asked.filter((refresh) => refresh).length).toBeLessThan(20)
  })

  it("lose a request whose body is on its way, and send the next one where the machine is", async () => {
    const { store, asked } = behind("fra", "iad")
    const known: RouteStore = {
      // What was learned past the cache is in it from then on.
      get: (key, options) => store.get(key, { ...options, refresh: options.refresh === true || asked.includes(true) }),
    }
    const toIad = { "p:misha": { machine: machineAt(app.port), region: "iad" } }
    const { iad } = await twoRegions({ fra: { records: toIad }, iad: { store: known } })
    const post = async () => {
      const headers = { host: "misha.iterate.app" }
      const posted = request({ port: iad.port, host: "127.0.0.1", method: "POST", headers })
      posted.on("error", () => undefined).write("part of it")
      const [response] = (await once(posted, "response")) as [IncomingMessage]
      posted.destroy()
      return `${response.statusCode} ${String(response.headers["x-iterate-proxy-error"])}`
    }
    expect(await post()).toBe("508 LOOP_DETECTED")
    expect(app.requests).toEqual([])
    expect(await post()).toBe("200 undefined")
  })

  it("serve the request as soon as they agree", async () => {
    const toIad = { "p:misha": { machine: machineAt(app.port), region: "iad" } }
    const { fra, iad } = await twoRegions({ fra: { records: toIad } })
    expect((await ask(iad.port)).status).toBe(508)
    fra.routes.attach("p:misha", { machine: machineAt(app.port), region: "fra" })
    expect((await ask(iad.port)).status).toBe(200)
  })
})

describe("a load balancer", () => {
  it("that is down is 502, and the event has the reason", async () => {
    const { iad, balancers } = await twoRegions()
    await balancers.fra.close()
    const got = await ask(iad.port)
    expect(codeOf(got)).toBe("502 REGION_UNREACHABLE")
    expect(got.headers).toMatchObject({ "retry-after": "1" })
    expect(got.body).not.toMatch(/fra|ECONN|127/)
    expect(requestsOf(iad).at(-1)).toMatchObject({ reason: "region fra cannot be reached: ECONNREFUSED" })
  })

  it("that does not respond is 504", async () => {
    const silent = createServer(() => {})
    silent.listen(0, "127.0.0.1")
    await once(silent, "listening")
    closing.push(() => silent.close())
    const fra = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
    const { iad } = await twoRegions({ iad: { balancers: { fra }, headersTimeoutMs: 100 } })
    expect(codeOf(await ask(iad.port))).toBe("504 REGION_UNREACHABLE")
  })

  const secure = async (trusted: (own: { readonly cert: string; readonly pin: string }) => object) => {
    const own = await selfSigned(["localhost"])
    const tls = await balancer(own)
    const fra = { url: `https://localhost:${tls.port}`, ...trusted({ cert: own.cert, pin: `sha256//${own.spki}` }) }
    const regions = await twoRegions({ iad: { balancers: { fra } } })
    tls.to = regions.fra.port
    return { ...regions, tls }
  }

  it.each([
    ["ca", ({ cert }: { readonly cert: string }) => ({ ca: cert })],
    ["pin", ({ pin }: { readonly pin: string }) => ({ pin })],
  ])("over https is verified by its %s, and gets Host and hop as over http", async (_, trusted) => {
    const { iad, tls } = await secure(trusted)
    expect((await ask(iad.port)).status).toBe(200)
    expect(tls.sent).toMatch(/\r\nx-iterate-proxy-region-hop: [\w-]+\.[\w-]{43}\r\n/)
  })

  it.each([
    ["no authority that is known", async () => ({})],
    ["another authority", async () => ({ ca: (await selfSigned(["localhost"])).cert })],
    ["another pin", async () => ({ pin: `sha256//${(await selfSigned(["localhost"])).spki}` })],
  ])("over https whose certificate has %s gets no byte", async (_, trusted) => {
    const given = await trusted()
    const { iad, tls } = await secure(() => given)
    expect(codeOf(await ask(iad.port))).toBe("502 REGION_UNREACHABLE")
    expect(tls.sent).toBe("")
  })

  it("over https is verified by its ca in router.fetch, too", async () => {
    const { iad, fra } = await secure(({ cert }) => ({ ca: cert }))
    const url = "http://misha.iterate.app/"
    expect((await iad.router.fetch(new Request(url)))?.status).toBe(200)
    expect(requestsOf(fra)).toHaveLength(1)
    const untrusted = await secure(() => ({}))
    expect((await untrusted.iad.router.fetch(new Request(url)))?.status).toBe(502)
    expect(untrusted.tls.sent).toBe("")
  })

  it("over https under another name than its certificate's gets no byte", async () => {
    const own = await selfSigned(["balancer.example.com"])
    const tls = await balancer(own)
    const fra = { url: `https://localhost:${tls.port}`, ca: own.cert }
    const { iad } = await twoRegions({ iad: { balancers: { fra } } })
    expect(codeOf(await ask(iad.port))).toBe("502 REGION_UNREACHABLE")
    expect(tls.sent).toBe("")
  })
})
