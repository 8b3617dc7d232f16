/** Cases of the systems that this router replaces, by their ids. `OURS` says where our result is another one on purpose. */
import { describe, expect, it } from "vitest"
import { ProviderUnavailable } from "@project-ingress/providers"
import { authorize, canonicalHost, hideForbidden, visibility } from "../../src/policies.ts"
import type { Decide } from "../../src/policies.ts"
import { memoryRegistry } from "../../src/stores/memory.ts"
import { fake, hostnames, machine, setup, stamped, tunnelled, values } from "../fakes.ts"
import type { Setup } from "../fakes.ts"
import { named } from "../attacks/visit.ts"

const visit = async ({ router }: Setup, host: string, init: RequestInit & { readonly path?: string } = {}) => {
  const { path = "/", ...rest } = init
  const response = (await router.fetch(new Request(`http://${host}${path}`, { redirect: "manual", ...rest })))!
  return { response, code: response.headers.get("x-iterate-proxy-error"), text: await response.text() }
}
const targetOf = ({ sent }: Setup) => values(sent.at(-1)!.headers, "x-iterate-proxy-target-host")

describe("S0: the worker's responses", () => {
  const isVisitor = named()
  const signedIn = { headers: { "x-visitor": "anna" } }
  const membersOf = (decide: Decide) => [isVisitor, visibility({ grammar: hostnames }), authorize(decide)]

  it("0-40: a host that is not canonical is redirected for good, with path and query", async () => {
    const made = setup({ policies: [canonicalHost({ grammar: hostnames })] })
    const { response } = await visit(made, "4096.misha.iterate.app", { path: "/a?b=1" })
    expect([response.status, response.headers.get("location")]).toEqual([301, "http://4096__misha.iterate.app/a?b=1"])
  })

  it("0-42: an unknown project is 404 to who is signed in, as to everybody", async () => {
    const made = setup({ policies: membersOf(() => true) })
    expect((await visit(made, "nobody.iterate.app", signedIn)).code).toBe("ROUTE_NOT_FOUND")
    expect((await visit(made, "nobody.iterate.app")).code).toBe("ROUTE_NOT_FOUND")
  })

  it("0-43: who is no member is 403; OURS: or the very 404 of an unknown project", async () => {
    const policies = membersOf(() => false)
    const { response, code } = await visit(setup({ policies }), "misha.iterate.app", signedIn)
    expect([response.status, code]).toEqual([403, "ACCESS_DENIED"])
    const hidden = setup({ policies: hideForbidden(policies) })
    const responses = [
      await visit(hidden, "misha.iterate.app", signedIn),
      await visit(hidden, "nobod.iterate.app", signedIn),
    ]
    const [refused, unknown] = responses.map(({ response: { status, headers }, text }) => {
      const id = headers.get("x-iterate-proxy-request-id")!
      return JSON.stringify([status, [...headers], text])
        .replaceAll(id, "")
        .replaceAll("nobod", "misha")
    })
    expect(responses[0]!.response.status).toBe(404)
    expect(refused).toBe(unknown)
  })

  it("0-49: while the auth service is down, nobody is let in: 502, without a word of what it said", async () => {
    const made = setup({ policies: membersOf(() => Promise.reject(new Error("hunter2"))) })
    const { response, code, text } = await visit(made, "misha.iterate.app", signedIn)
    expect([response.status, code, made.sent.length]).toEqual([502, "AUTH_UNAVAILABLE", 0])
    expect(text + JSON.stringify([...response.headers])).not.toContain("hunter2")
  })

  it("0-45: a machine that is not attached is reached by its id", async () => {
    const registry = memoryRegistry({ grammar: hostnames })
    await registry.putMachine({ ...machine("mach_1"), visibility: "public" })
    const made = setup({ store: registry })
    expect((await visit(made, "mach_1.machines.iterate.app")).response.status).toBe(200)
    expect((await visit(made, "4096__mach_1.machines.iterate.app")).response.status).toBe(200)
  })

  it("0-46: OURS: a project without a machine is 503, because it will be there again", async () => {
    const registry = memoryRegistry({ grammar: hostnames })
    await registry.create({ name: "misha", visibility: "public" })
    const { response, code } = await visit(setup({ store: registry }), "misha.iterate.app")
    expect([response.status, code]).toEqual([503, "MACHINE_DETACHED"])
  })

  it("0-48: a provider that throws is 502, without a word of what it said", async () => {
    for (const cause of [
      new Error("hunter2"),
      new ProviderUnavailable({ provider: "fake", machine: "mach_1", reason: "hunter2" }),
    ]) {
      const providers = [fake({ resolve: () => Promise.reject(cause) })]
      const { response, text } = await visit(setup({ providers }), "misha.iterate.app")
      expect(response.status).toBe(502)
      expect(text + JSON.stringify([...response.headers])).not.toContain("hunter2")
    }
  })

  it("0-51: the port that no hostname names is the project's, and one that is named is that", async () => {
    const made = setup()
    made.routes.attach("p:misha", { machine: machine("mach_1"), port: 5000 })
    await visit(made, "misha.iterate.app")
    expect(targetOf(made)).toEqual(["5000__misha.iterate.app"])
    await visit(made, "4096__misha.iterate.app")
    expect(targetOf(made)).toEqual(["4096__misha.iterate.app"])
  })

  it("0-52: a service on a custom domain is its port, and never the host that was typed", async () => {
    const made = setup()
    made.routes.attach("d:templestein.com", { machine: machine("mach_1") })
    await visit(made, "opencode.templestein.com")
    expect(targetOf(made)).toEqual(["4096__templestein.com"])
  })

  it("0-55: a redirect of the app is the visitor's to follow", async () => {
    const made = setup({ answer: () => stamped(null, { status: 302, headers: { location: "https://x.example/" } }) })
    const { response } = await visit(made, "misha.iterate.app")
    expect([response.status, response.headers.get("location"), made.sent.length]).toEqual([
      302,
      "https://x.example/",
      1,
    ])
  })
})

describe("S0: the store of routes", () => {
  it("0-90: names are read in any case, with a root dot", async () => {
    const made = setup()
    made.routes.attach("d:app.project.example.com", { machine: machine("mach_1") })
    expect((await visit(made, "App.Project.Example.COM.")).response.status).toBe(200)
  })

  it.each(["", "bad pattern.example.com", "a..b.x", "app/project.x", `${"a.".repeat(127)}com`, "*"])(
    "0-92: %j is no domain",
    async (hostname) => {
      const registry = memoryRegistry({ grammar: hostnames })
      await registry.create({ name: "misha" })
      await expect(registry.addDomain("misha", hostname)).rejects.toMatchObject({ _tag: "InvalidInput" })
    },
  )

  it("0-93: an exact name goes before a wildcard", async () => {
    const made = setup()
    made.routes.attach("d:*.example.com", { machine: machine("mach_wild") })
    made.routes.attach("d:a.example.com", { machine: machine("mach_a") })
    await visit(made, "a.example.com")
    await visit(made, "b.example.com")
    expect(made.sent.map(({ origin }) => origin)).toEqual(["http://ext-mach-a.test", "http://ext-mach-wild.test"])
  })

  it("0-91, 0-95: OURS: `*` is a whole label: `__` belongs to ports and machines", async () => {
    const registry = memoryRegistry({ grammar: hostnames })
    await registry.create({ name: "misha" })
    for (const hostname of ["*__proj.example.com", "*.*.example.com"])
      await expect(registry.addDomain("misha", hostname)).rejects.toMatchObject({ _tag: "InvalidInput" })
  })

  it("0-97: a domain that is proven is nobody else's", async () => {
    const proofs: string[] = []
    const registry = memoryRegistry({ grammar: hostnames, resolveTxt: async () => proofs })
    for (const owner of ["o1", "o2"]) await registry.create({ name: `of-${owner}`, owner })
    proofs.push((await registry.addDomain("of-o1", "example.com")).proof.value)
    await registry.verifyDomain("of-o1", "example.com")
    await expect(registry.addDomain("of-o2", "example.com")).rejects.toMatchObject({ _tag: "DomainTaken" })
  })

  it("0-100: OURS: no route has a path of its own: what was asked for is what the app is asked", async () => {
    const made = setup()
    await visit(made, "misha.iterate.app", { path: "/foo/bar?x=1" })
    expect(made.sent[0]!.target).toBe("/foo/bar?x=1")
  })

  it("0-101: the host of the hop is the machine's; OURS: the visitor's stands in the router's own field", async () => {
    const made = setup()
    await visit(made, "misha.iterate.app", { headers: { forwarded: "host=evil", "x-forwarded-host": "evil" } })
    const { headers, origin } = made.sent[0]!
    expect(origin).toBe("http://ext-mach-1.test")
    expect(tunnelled(headers, "x-forwarded-host").concat(values(headers, "x-forwarded-host"))).not.toContain("evil")
    expect(tunnelled(headers, "forwarded").concat(values(headers, "forwarded"))).toEqual([])
  })

  it("0-105: a machine that cannot be reached is 502, and no route is 404", async () => {
    const made = setup({
      answer: () => {
        throw new TypeError("fetch failed")
      },
    })
    const { response, text } = await visit(made, "misha.iterate.app")
    expect(response.status).toBe(502)
    expect(text).not.toContain("fetch failed")
    expect((await visit(made, "nobody.iterate.app")).response.status).toBe(404)
  })
})

describe("S1: EdgeProxy", () => {
  it("1-18: a redirect to another name has that name's port, and not the one it was asked on", async () => {
    const made = setup()
    made.routes.attach("d:old.example.com", { kind: "redirect", to: "https://new.example.com", status: 301 })
    const { response } = await visit(made, "old.example.com:80", { path: "/a?b" })
    expect([response.status, response.headers.get("location")]).toEqual([301, "https://new.example.com/a?b"])
  })

  it("1-20: OURS: no response says which server or machine it came from", async () => {
    const { response } = await visit(setup(), "misha.iterate.app")
    const failed = await visit(setup(), "nobody.iterate.app")
    for (const { headers } of [response, failed.response])
      expect([headers.get("server"), JSON.stringify([...headers]).includes("mach")]).toEqual([null, false])
  })

  it.each([
    ["-a.com", false],
    ["a", false],
    ["a..com", false],
    [`${"a".repeat(63)}.com`, true],
    [`${"a".repeat(64)}.com`, false],
  ])("1-24: %s as a domain: %s", async (hostname, isOne) => {
    const registry = memoryRegistry({ grammar: hostnames })
    await registry.create({ name: "misha" })
    const added = await registry.addDomain("misha", hostname).then(
      () => true,
      (cause: { readonly _tag?: string }) => cause._tag,
    )
    expect(added).toBe(isOne || "InvalidInput")
  })
})
