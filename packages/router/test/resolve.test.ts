/** Where hostnames lead: record kinds, rules, replicas, settings, custom domains. */
import { defineGrammar } from "@project-ingress/hostname"
import { describe, expect, it } from "vitest"
import type { Policy, Route, RouteStore } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import type { RouteInput } from "../src/stores/memory.ts"
import { machine, setup, values } from "./fakes.ts"

const ask = async (
  routes: Readonly<Record<string, RouteInput>>,
  url: string,
  { clientAddress = "", ...init }: RequestInit & { readonly clientAddress?: string } = {},
) => {
  let route: Route | undefined
  const look: Policy = { name: "look", enforces: ["visibility"], onRoute: (_, on) => void (route = on) }
  const options = { store: memoryStore(routes), policies: [look], clientAddress: () => clientAddress }
  const { router, sent } = setup(options)
  const response = await router.fetch(new Request(url, init))
  return { response, route, target: sent.flatMap(({ headers }) => values(headers, "x-iterate-proxy-target-host"))[0] }
}

describe("a record without a machine", () => {
  it.each([
    [{ kind: "detached" }, 503, "MACHINE_DETACHED"],
    [{ kind: "removed" }, 410, "ROUTE_REMOVED"],
  ] as const)("%j is a %i %s, after the policies were asked", async (record, status, code) => {
    const { response, route } = await ask({ "p:misha": record }, "http://misha.iterate.app/")
    expect([response?.status, response?.headers.get("x-iterate-proxy-error")]).toEqual([status, code])
    expect(route).toMatchObject({ key: "p:misha", record })
    expect(route?.machine).toBeUndefined()
  })

  it.each([
    ["http://old.iterate.app/a?b", "http://new.iterate.app/a?b"],
    ["http://4096__old.iterate.app:8787/", "http://4096__new.iterate.app:8787/"],
    ["https://web--old.iterate.app//evil.example", "https://web--new.iterate.app//evil.example"],
  ])("redirects %s to %s: another project, with the visitor's own port and service", async (from, to) => {
    const record = { kind: "redirect", to: { project: "new" }, status: 308 } as const
    const { response } = await ask({ "p:old": record }, from, { redirect: "manual" })
    expect([response?.status, response?.headers.get("location")]).toEqual([308, to])
  })

  it.each([
    ["__", ["4096__new", "4096__new", "4096__new", "web--new", "web--new"]],
    ["--", ["4096--new", "4096--new", "4096--new", "web--new", "web--new"]],
    [".", ["4096.new", "4096.new", "4096.new", "web.new", "web.new"]],
  ] as const)(
    "redirects to the form that a grammar with %s writes, whichever the visitor used",
    async (separator, to) => {
      const record = { kind: "redirect", to: { project: "new" }, status: 308 } as const
      const { router } = setup({
        grammar: defineGrammar({ domains: ["iterate.app"], separator }),
        store: memoryStore({ "p:old": record }),
      })
      const locations = ["4096__old", "4096--old", "4096.old", "web--old", "web.old"].map(async (labels) => {
        const request = new Request(`https://${labels}.iterate.app/x`, { redirect: "manual" })
        return (await router.fetch(request))?.headers.get("location")
      })
      expect(await Promise.all(locations)).toEqual(to.map((labels) => `https://${labels}.iterate.app/x`))
    },
  )

  it.each([
    ["https://example.com", "https://example.com/a?b"],
    ["https://example.com/", "https://example.com/"],
    ["https://example.com/landing", "https://example.com/landing"],
  ])("redirects to the URL %s as %s", async (to, location) => {
    const { response } = await ask({ "p:old": { kind: "redirect", to, status: 302 } }, "http://old.iterate.app/a?b", {
      redirect: "manual",
    })
    expect([response?.status, response?.headers.get("location")]).toEqual([302, location])
  })
})

describe("rules", () => {
  const api = { machine: machine("mach_api") }
  const record: RouteInput = {
    machine: machine("mach_1"),
    rules: [
      { match: { path: { exact: "/health" } }, targets: [{ port: 9000 }] },
      { match: { path: { prefix: "/api" }, method: "POST" }, targets: [{ port: 9001 }] },
      { match: { path: { prefix: "/api/" } }, targets: [api] },
      { match: { headers: { "x-canary": "yes" } }, targets: [{ ...api, port: 9002 }] },
    ],
  }
  it.each([
    ["GET", "/", {}, "mach_1", 3000],
    ["GET", "/health", {}, "mach_1", 9000],
    ["GET", "/health/x", {}, "mach_1", 3000],
    ["POST", "/api?x", {}, "mach_1", 9001],
    ["GET", "/api", {}, "mach_api", 3000],
    ["GET", "/api/x", {}, "mach_api", 3000],
    ["GET", "/apix", {}, "mach_1", 3000],
    ["GET", "/x", { "x-canary": "yes" }, "mach_api", 9002],
    ["GET", "/x", { "x-canary": "yes, no" }, "mach_1", 3000],
  ])("%s %s %j goes to %s:%i", async (method, path, headers, id, port) => {
    const { route } = await ask({ "p:misha": record }, `http://misha.iterate.app${path}`, { method, headers })
    expect([route?.machine?.id, route?.port]).toEqual([id, port])
  })

  it("do not apply to a hostname that names a port", async () => {
    const { route } = await ask({ "p:misha": record }, "http://4096__misha.iterate.app/health")
    expect([route?.machine?.id, route?.port]).toEqual(["mach_1", 4096])
  })

  it("may be all that there is: what none takes is 404, after the policies were asked, and a port is not", async () => {
    const exhaustive: RouteInput = { ...record, unmatched: "not-found" }
    const at = (url: string) => ask({ "p:misha": exhaustive }, url)
    const { response, route, target } = await at("http://misha.iterate.app/x")
    expect([response?.status, response?.headers.get("x-iterate-proxy-error")]).toEqual([404, "ROUTE_NOT_FOUND"])
    expect([route?.key, route?.machine, target]).toEqual(["p:misha", undefined, undefined])
    expect((await at("http://misha.iterate.app/health")).route?.port).toBe(9000)
    expect((await at("http://4096__misha.iterate.app/x")).route?.port).toBe(4096)
  })

  it("divide by weight, and a visitor stays where it was", async () => {
    const weighted: RouteInput = {
      machine: machine("mach_1"),
      rules: [{ match: {}, targets: [{ port: 1, weight: 3 }, { port: 2 }, { port: 3, weight: 0 }] }],
    }
    const counts = new Map<number, number>()
    for (let i = 0; i < 400; i++) {
      const clientAddress = `192.0.${i >> 8}.${i % 256}`
      const { route } = await ask({ "p:misha": weighted }, "http://misha.iterate.app/", { clientAddress })
      const { route: again } = await ask({ "p:misha": weighted }, "http://misha.iterate.app/", { clientAddress })
      expect(again?.port).toBe(route?.port)
      counts.set(route!.port!, (counts.get(route!.port!) ?? 0) + 1)
    }
    expect(new Set(counts.keys())).toEqual(new Set([1, 2]))
    // 300 are expected; 9 standard deviations are 78.
    expect(counts.get(1)).toBeGreaterThan(222)
    expect(counts.get(1)).toBeLessThan(378)
  })
})

describe("replicas", () => {
  it("share the visitors, each of whom stays with one", async () => {
    const record: RouteInput = { machine: machine("mach_1"), replicas: [machine("mach_2"), machine("mach_3")] }
    const seen = new Set<string>()
    for (let i = 0; i < 60; i++) {
      const clientAddress = `198.51.100.${i}`
      const { route } = await ask({ "p:misha": record }, "http://misha.iterate.app/", { clientAddress })
      const { route: again } = await ask({ "p:misha": record }, "http://misha.iterate.app/", { clientAddress })
      expect(again?.machine?.id).toBe(route?.machine?.id)
      seen.add(route!.machine!.id)
    }
    expect([...seen].toSorted()).toEqual(["mach_1", "mach_2", "mach_3"])
  })
})

it("a service that nobody knows is a 404 after the policies decided, so that a private project shows none", async () => {
  const record: RouteInput = { machine: machine("mach_1"), visibility: "private" }
  const store = memoryStore({ "p:misha": record })
  const { router } = setup({ store })
  const status = async (host: string) => (await router.fetch(new Request(`http://${host}/`)))?.status
  expect([await status("nothing--misha.iterate.app"), await status("4096--misha.iterate.app")]).toEqual([403, 403])
  expect(
    (await ask({ "p:misha": { machine: machine("mach_1") } }, "http://nothing--misha.iterate.app/")).response?.status,
  ).toBe(404)
})

describe("settings", () => {
  const record: RouteInput = {
    machine: machine("mach_1"),
    appOrigin: "public",
    ports: { 4096: { visibility: "public" }, 9000: { appOrigin: "localhost" } },
    services: { web: 4096 },
    rules: [{ match: { path: { prefix: "/deep" } }, targets: [{ port: 9000 }] }],
  }
  it.each([
    ["http://4096__misha.iterate.app/", { visibility: "public", appOrigin: "public" }],
    ["http://web--misha.iterate.app/", { visibility: "public", appOrigin: "public" }],
    ["http://misha.iterate.app/deep", { appOrigin: "localhost" }],
    ["http://misha.iterate.app/", { appOrigin: "public" }],
  ])("of %s are those of the port arrived at: %j", async (url, settings) => {
    expect((await ask({ "p:misha": record }, url)).route?.settings).toEqual(settings)
  })

  it("of a machine that the record says nothing of are private", async () => {
    const rules = [{ match: {}, targets: [{ machine: machine("mach_9") }] }]
    const { route } = await ask({ "p:misha": { ...record, rules } }, "http://misha.iterate.app/")
    expect(route?.settings).toEqual({ visibility: "private" })
  })
})

describe("custom domains", () => {
  const owned = { machine: machine("mach_1"), owner: "o1" }
  const routes = {
    "d:www.example.com": owned,
    "d:*.wild.example.com": { machine: machine("mach_wild") },
    "m:mach_1": owned,
    "m:mach_2": { machine: machine("mach_2"), owner: "o2" },
    "m:mach_3": { machine: machine("mach_3") },
    "d:nobody.example.com": { machine: machine("mach_3") },
  } satisfies Record<string, RouteInput>
  it.each([
    ["http://www.example.com/", "mach_1", 3000],
    ["http://4096.www.example.com/", "mach_1", 4096],
    ["http://4096__mach_1.www.example.com/", "mach_1", 4096],
    ["http://a.wild.example.com/", "mach_wild", 3000],
    ["http://a.b.c.wild.example.com/", "mach_wild", 3000],
  ])("%s reaches %s:%i", async (url, id, port) => {
    const { route, response } = await ask(routes, url)
    expect([response?.status, route?.machine?.id, route?.port]).toEqual([200, id, port])
  })

  it.each([
    ["of another owner", "http://4096__mach_2.www.example.com/"],
    ["of no owner", "http://4096__mach_3.www.example.com/"],
    ["under a domain of no owner", "http://4096__mach_3.nobody.example.com/"],
    ["that is not there", "http://4096__mach_8.www.example.com/"],
  ])("never reach a machine %s: 404", async (_, url) => {
    expect((await ask(routes, url)).response?.status).toBe(404)
  })

  it.each([
    [{ kind: "removed", owner: "o1" }, 410],
    [{ kind: "detached", owner: "o1" }, 503],
    [{ kind: "redirect", owner: "o1", to: "https://elsewhere.example", status: 308 }, 308],
  ] as const)("without a machine show no machine of their owner: %j", async (record, status) => {
    const { response, route } = await ask(
      { ...routes, "d:www.example.com": record },
      "http://4096__mach_1.www.example.com/",
      { redirect: "manual" },
    )
    expect([response?.status, route?.machine]).toEqual([status, undefined])
  })

  it("leave labels that are neither port nor service to the wildcard above, and else to the caller", async () => {
    const shop = { machine: machine("mach_shop") }
    const wild = { "d:example.com": { ...owned, services: { web: 8000 } }, "d:*.example.com": shop }
    expect((await ask(wild, "http://shop.example.com/")).route?.machine?.id).toBe("mach_shop")
    expect((await ask(wild, "http://web.example.com/")).route?.port).toBe(8000)
    expect((await ask(wild, "http://4096.example.com/")).route?.machine?.id).toBe("mach_1")
  })

  it("that nobody registered are the caller's own", async () => {
    expect((await ask(routes, "http://shop.example.org/")).response).toBeUndefined()
  })

  it("that cannot be looked up are a 503, never a wildcard's and never the caller's", async () => {
    const asked: string[] = []
    const store: RouteStore = {
      get: (key) => {
        asked.push(key)
        return key === "d:a.wild.example.com" ? { status: "unknown" } : { status: "miss" }
      },
    }
    const { router } = setup({ store })
    expect((await router.fetch(new Request("http://a.wild.example.com/")))?.status).toBe(503)
    expect(asked).toEqual(["d:a.wild.example.com"])
  })

  it("are never looked up for a name under the platform's own domains", async () => {
    const asked: string[] = []
    const store: RouteStore = { get: (key) => (asked.push(key), { status: "miss" }) }
    const { router } = setup({ store })
    for (const host of ["iterate.app", "www.iterate.app", "x.www.iterate.app"]) {
      expect(await router.fetch(new Request(`http://${host}/`))).toBeUndefined()
    }
    await router.fetch(new Request("http://misha.iterate.app/"))
    expect(asked).toEqual(["p:misha"])
  })
})
