import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { createRouter } from "@project-ingress/router"
import type { RouteStore } from "@project-ingress/router"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { describe, expect, it } from "vitest"
import type { Ingress } from "../../src/resource/ingress.ts"
import { ingressStore } from "../../src/routes/ingress-store.ts"
import type { Grant } from "../../src/storage/ingress-storage.ts"
import { declared } from "../declared.ts"

const keys = await generateTicketKeys("test")
const grammar = defineGrammar({ domains: ["iterate.app"] })
const machine = (id: string) => ({ id, type: "local", externalId: id, metadata: { port: 9 } })

const platform = () =>
  memoryStore({
    "m:mach_1": { machine: machine("mach_1"), owner: "a", ports: { 4096: { visibility: "public" } } },
    "m:mach_2": { machine: machine("mach_2"), owner: "b" },
    "p:misha": { machine: machine("mach_1"), owner: "a", externalId: "misha", port: 4096, services: { api: 1 } },
    "p:anna": {
      machine: machine("mach_3"),
      replicas: [machine("mach_4")],
      owner: "a",
      externalId: "anna",
      generation: 2,
    },
    "p:gone": { kind: "detached", owner: "a" },
    "p:old": { kind: "redirect", to: { project: "misha" }, status: 308 },
    "d:proven.example.com": { machine: machine("mach_9"), owner: "b" },
    "d:*.wild.example.com": { machine: machine("mach_9"), owner: "a" },
  })

interface World {
  readonly ingresses: readonly (readonly [document: Ingress, owner?: string | undefined])[]
  readonly grants?: readonly Grant[]
  readonly inner?: RouteStore
  readonly publicPorts?: Readonly<Record<number, number>>
}

const routerOf = async ({ ingresses, grants = [], inner = platform(), publicPorts = {} }: World) => {
  const all = await Promise.all(
    ingresses.map(([document, owner], at) => declared(document, { at, ...(owner === undefined ? {} : { owner }) })),
  )
  const view = { revision: 7, ingresses: all, grants }
  const store = ingressStore({ grammar, view: () => view, inner, publicPorts })
  return createRouter({ grammar, store, providers: [], signingKey: keys.signing })
}

/** Where a request is led: machine and port, or the code that it ends with. */
const leadsTo = async (world: World, host: string, asked: object = {}): Promise<string> => {
  const explained = await (await routerOf(world)).explain(host, asked)
  if (explained.parsed === "foreign" || explained.lookup === "miss") return "not ours"
  if (explained.lookup === "unknown") return "unknown"
  if (explained.stop?.location !== undefined) return explained.stop.location
  if (explained.machine !== undefined && explained.port !== undefined)
    return `${explained.machine.id}:${explained.port}`
  return explained.stop?.code ?? "?"
}

const one = (hostname: string, target: object, more: object = {}): World => ({
  ingresses: [[{ name: "one", rules: [{ match: { hostname }, target, ...more }] }, "a"]],
})

describe("a declared hostname", () => {
  it.each([
    ["a machine", { machine: "mach_1", port: 8080 }, "mach_1:8080"],
    ["a project at its own port", { project: "misha" }, "mach_1:4096"],
    ["a project at a port", { project: "misha", port: 5173 }, "mach_1:5173"],
    ["a project by its former name", { project: "old" }, "mach_1:4096"],
    ["an address", { url: "http://10.0.0.5:3000" }, "url http://10.0.0.5:3000:3000"],
    ["no machine that is there", { machine: "mach_0", port: 1 }, "MACHINE_DETACHED"],
    ["a project without a machine", { project: "gone", port: 1 }, "MACHINE_DETACHED"],
    ["a machine of another owner", { machine: "mach_2", port: 1 }, "MACHINE_DETACHED"],
    ["what is not spoken yet", { machine: "mach_1", port: 1, protocol: "h2c" }, "MACHINE_DETACHED"],
  ])("leads to %s", async (_, target, expected) => {
    expect(await leadsTo(one("app.example.com", target), "app.example.com")).toBe(expected)
  })

  it("is taken in any case, with a root dot and a port, and no other name is", async () => {
    const world = one("App.example.com", { machine: "mach_1", port: 1 })
    for (const host of ["APP.example.com", "app.example.com.", "app.example.com:8443"]) {
      expect([host, await leadsTo(world, host)]).toEqual([host, "mach_1:1"])
    }
    for (const host of ["example.com", "x.app.example.com", "4096.app.example.com", "api.app.example.com"]) {
      expect([host, await leadsTo(world, host)]).toEqual([host, "not ours"])
    }
  })

  it("may be a pattern, of which each star and capture is one label", async () => {
    const world = one("{machine}.dev.example.com", { capture: "machine", port: 80 })
    expect(await leadsTo(world, "mach-1.dev.example.com")).toBe("mach_1:80")
    expect(await leadsTo(world, "misha.dev.example.com")).toBe("mach_1:80")
    expect(await leadsTo(world, "mach-2.dev.example.com")).toBe("MACHINE_DETACHED")
    expect(await leadsTo(world, "mach-0.dev.example.com")).toBe("MACHINE_DETACHED")
    for (const host of ["dev.example.com", "a.mach-1.dev.example.com", "mach-1.dev.example.org"]) {
      expect([host, await leadsTo(world, host)]).toEqual([host, "not ours"])
    }
  })

  it("has one key for all names of a pattern, so that a name that a visitor made up causes no signature", async () => {
    for (const [pattern, hosts, key] of [
      ["*.dev.example.com", ["a.dev.example.com", "b.dev.example.com"], "d:*.dev.example.com"],
      ["a.*.*.example.com", ["a.b.c.example.com", "a.d.e.example.com"], "d:*.example.com"],
      ["*.*.*.*.com", ["a.b.c.d.com"], "d:*.com"],
      ["x.example.com", ["x.example.com"], "d:x.example.com"],
    ] as const) {
      const router = await routerOf(one(pattern, { machine: "mach_1", port: 1 }))
      for (const host of hosts) {
        expect([host, (await router.explain(host, { localPort: 80 })).key]).toEqual([host, key])
      }
    }
    await expect(
      declared({ name: "a", rules: [{ match: { hostname: "*.*.*.*.*.com" }, target: { url: "http://a:1" } }] }),
    ).rejects.toThrow("among the first 4 labels")
  })

  it("counts the port that the visitor connects to", async () => {
    const rules = [
      { match: { hostname: "x.example.com" }, target: { machine: "mach_1", port: 1 } },
      { match: { hostname: "x.example.com", port: 8080 }, target: { machine: "mach_1", port: 2 } },
      { match: { hostname: "x.example.com" }, target: { machine: "mach_1", port: 3 }, tls: true },
    ]
    const world: World = { ingresses: [[{ name: "one", rules }, "a"]], publicPorts: { 30443: 443 } }
    const at = (localPort?: number) => leadsTo(world, "x.example.com", localPort === undefined ? {} : { localPort })
    expect(await Promise.all([at(80), at(8080), at(443), at(30443), at(81), at()])).toEqual([
      "mach_1:1",
      "mach_1:2",
      "mach_1:3",
      "mach_1:3",
      "not ours",
      "mach_1:3",
    ])
  })

  it("redirects http where the rule says so", async () => {
    const world = one("x.example.com", { machine: "mach_1", port: 1 }, { tls: true, redirectHttp: true })
    expect(await leadsTo(world, "x.example.com", { localPort: 80, path: "/a?b" })).toBe("https://x.example.com/a?b")
    expect(await leadsTo(world, "x.example.com", { localPort: 443 })).toBe("mach_1:1")
    const pattern = one("*.example.com", { machine: "mach_1", port: 1 }, { tls: true, redirectHttp: true })
    expect(await leadsTo(pattern, "Y.example.com", { localPort: 80 })).toBe("https://y.example.com/")
    const other = one("x.example.com", { machine: "mach_1", port: 1 }, { tls: true })
    expect(await leadsTo(other, "x.example.com", { localPort: 80 })).toBe("not ours")
  })

  it("takes requests by its most specific rule, and has 404 for those that none takes", async () => {
    const rules = [
      { match: { hostname: "x.example.com", path: "/api" }, target: { machine: "mach_1", port: 1 } },
      { match: { hostname: "x.example.com", path: { exact: "/api" } }, target: { project: "anna", port: 2 } },
      { match: { hostname: "x.example.com", path: "/api/v2" }, target: { machine: "mach_1", port: 3 } },
      { match: { hostname: "x.example.com", path: "/api", method: "POST" }, target: { machine: "mach_1", port: 4 } },
      {
        match: { hostname: "x.example.com", path: "/api", headers: { "x-a": "1" } },
        target: { machine: "mach_1", port: 5 },
      },
      { match: { hostname: "x.example.com", path: "/gone" }, target: { machine: "mach_0", port: 6 } },
      { match: { hostname: "*.example.com" }, target: { machine: "mach_1", port: 9 } },
    ]
    const world: World = { ingresses: [[{ name: "one", rules }, "a"]] }
    const at = (path: string, more: object = {}) =>
      leadsTo(world, "x.example.com", { path, clientAddress: "10.1.1.1", ...more })
    expect(await at("/api/x")).toBe("mach_1:1")
    expect(await at("/api")).toMatch(/^mach_[34]:2$/)
    expect(await at("/api/v2/x")).toBe("mach_1:3")
    expect(await at("/api/x", { method: "POST" })).toBe("mach_1:4")
    expect(await at("/api/x", { headers: { "x-a": "1" } })).toBe("mach_1:5")
    expect(await at("/apix")).toBe("ROUTE_NOT_FOUND")
    // No router has a provider of that type: 500.
    expect(await at("/gone")).toBe("missing:1")
    expect(await leadsTo(world, "y.example.com")).toBe("mach_1:9")
  })

  it("has the settings of the port arrived at, whichever name leads there", async () => {
    const router = await routerOf({
      ingresses: [
        [
          {
            name: "one",
            rules: [
              { match: { hostname: "x.example.com", path: "/a" }, target: { project: "anna", port: 4096 } },
              { match: { hostname: "x.example.com" }, target: { machine: "mach_1", port: 4096 } },
            ],
          },
          "a",
        ],
      ],
    })
    expect((await router.explain("x.example.com", { path: "/a" })).settings).toEqual({})
    expect((await router.explain("x.example.com")).settings).toEqual(
      (await router.explain("4096__mach-1.machines.iterate.app")).settings,
    )
    expect((await router.explain("x.example.com")).settings).toEqual({ visibility: "public" })
  })
})

describe("hostnames that something else leads to, too", () => {
  const of = (hostname: string, owner?: string): World => ({
    ingresses: [[{ name: "one", rules: [{ match: { hostname }, target: { machine: "mach_1", port: 1 } }] }, owner]],
  })

  it.each([
    ["a verified domain is its project's", "proven.example.com", "proven.example.com", "b", "mach_9:3000"],
    ["also to the operator", "proven.example.com", "proven.example.com", undefined, "mach_9:3000"],
    ["and so are its ports", "*.proven.example.com", "4096.proven.example.com", undefined, "mach_9:4096"],
    [
      "a hostname comes before a verified wildcard of its owner",
      "x.wild.example.com",
      "x.wild.example.com",
      "a",
      "mach_1:1",
    ],
    ["and not before one of another", "x.wild.example.com", "x.wild.example.com", "b", "mach_9:3000"],
    ["a wildcard of the same length does not", "*.wild.example.com", "x.wild.example.com", "a", "mach_9:3000"],
    ["names of the platform are the platform's", "*.iterate.app", "misha.iterate.app", undefined, "mach_1:4096"],
  ])("%s", async (_, hostname, host, owner, expected) => {
    expect(await leadsTo(of(hostname, owner), host)).toBe(expected)
  })
})

describe("targets of another owner", () => {
  const world = (grants: readonly Grant[]): World => ({
    ingresses: [
      [{ name: "one", rules: [{ match: { hostname: "x.example.com" }, target: { machine: "mach_2", port: 1 } }] }, "a"],
    ],
    grants,
  })
  const grant: Grant = { id: "g1", owner: "b", to: "a", target: { machine: "mach_2" }, createdAt: 0 }

  it("are led to by a grant, and no longer once it is taken back", async () => {
    expect(await leadsTo(world([grant]), "x.example.com")).toBe("mach_2:1")
    expect(await leadsTo(world([]), "x.example.com")).toBe("MACHINE_DETACHED")
  })

  it.each([
    ["of an owner that is not the target's", { ...grant, owner: "c" }],
    ["to another", { ...grant, to: "c" }],
    ["of another target", { ...grant, target: { machine: "mach_1" } }],
    ["of a project of that name", { ...grant, target: { project: "mach_2" } }],
  ])("are not led to by a grant %s", async (_, other) => {
    expect(await leadsTo(world([other]), "x.example.com")).toBe("MACHINE_DETACHED")
  })

  it("end with the target: another owner of the machine is another question", async () => {
    const inner = memoryStore({ "m:mach_2": { machine: machine("mach_2"), owner: "c" } })
    expect(await leadsTo({ ...world([grant]), inner }, "x.example.com")).toBe("MACHINE_DETACHED")
  })
})

describe("a store that cannot tell", () => {
  it("makes the hostname unknown (503), never missing", async () => {
    const inner: RouteStore = { get: (key) => (key.startsWith("m:") ? { status: "unknown" } : { status: "miss" }) }
    expect(await leadsTo({ ...one("x.example.com", { machine: "mach_1", port: 1 }), inner }, "x.example.com")).toBe(
      "unknown",
    )
  })
})
