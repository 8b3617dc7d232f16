import { describe, expect, it } from "vitest"
import { matchPort } from "../../src/resource/ingress.ts"
import { decodeIngress } from "../../src/resource/decode-ingress.ts"
import { document, failure, fakeFront, platform, storedRules, toA1 } from "./fakes.ts"

/** The documented cases of S4, by id, at the controller. */
describe("an ingress manager's cases", () => {
  it("4-01: creates with an id and the time", async () => {
    const { ingresses } = await platform({ now: () => 4_711 })
    const { ingress } = await ingresses.create(document("my-api", "api.example.com", toA1), { owner: "org_a" })
    expect(ingress).toMatchObject({ name: "my-api", owner: "org_a", version: 1, createdAt: 4_711, updatedAt: 4_711 })
    expect(ingress.id).toMatch(/^[a-z\d]{20}$/)
    expect(await ingresses.read(ingress.id)).toEqual(ingress)
  })

  it("4-02: listens on 80 where no port is given", async () => {
    const { ingresses } = await platform()
    const { ingress } = await ingresses.create({
      name: "ports",
      rules: [
        { match: { hostname: "a.example.com" }, target: toA1 },
        { match: { hostname: "b.example.com", port: 8080 }, target: toA1 },
      ],
    })
    expect(ingress.rules.map(({ match }) => match.port)).toEqual([undefined, 8080])
    expect(ingress.rules.map(matchPort)).toEqual([80, 8080])
  })

  it.each<readonly [id: string, given: object, field: string]>([
    ...["Invalid_Name", "-a", "a-", "has spaces", "UPPER", "", "has.period", "a".repeat(64)].map(
      (name) => ["4-03", document(name, "a.example.com", toA1), "name"] as const,
    ),
    ["4-04", { name: "a", rules: [] }, "rules"],
    ["4-04", document("a", "", toA1), "rules.0.match.hostname"],
    ["4-04", document("a", "a.example.com", { instance: "", port: 1 }), "rules.0.target.instance"],
    ...[0, -1, 70_000].map(
      (port) => ["4-04", document("a", "a.example.com", { instance: "mach_a1", port }), "rules.0.target.port"] as const,
    ),
    ...[-1, 70_000].map(
      (port) =>
        [
          "4-04",
          { name: "a", rules: [{ match: { hostname: "a.example.com", port }, target: toA1 }] },
          "rules.0.match.port",
        ] as const,
    ),
    ["4-06", document("a", "a.example.com", toA1, { redirect_http: true }), "rules.0.redirectHttp"],
  ])("%s: refuses %j", async (_, given, field) => {
    const { ingresses, options } = await platform()
    expect(await failure(ingresses.create(given))).toMatchObject({ _tag: "IngressInvalid", field })
    expect((await options.storage.read(0)).documents).toEqual([])
  })

  it.each(["a", "ab", "my-ingress", "a1b2c3"])("4-03: takes the name %s", async (name) => {
    await expect(decodeIngress(document(name, "a.example.com", toA1))).resolves.toMatchObject({ name })
  })

  it("4-05: takes a wildcard for one label", async () => {
    const { ingresses } = await platform()
    const { ingress } = await ingresses.create(document("all", "*.example.com", toA1))
    expect(ingress.rules[0]!.match.hostname!.wildcard).toBe("*.example.com")
  })

  it("4-07: refuses a machine that there is not", async () => {
    const { ingresses } = await platform()
    const given = document("a", "a.example.com", { instance: "mach_gone", port: 1 })
    const error = { _tag: "TargetNotFound", kind: "machine", reference: "mach_gone", field: "rules.0.target.machine" }
    expect(await failure(ingresses.create(given))).toMatchObject(error)
  })

  it("4-07: finds a machine by a name of the platform's", async () => {
    const { ingresses } = await platform({
      findMachine: (name, { owner }) => (name === "my-api" && owner === "org_a" ? "mach_a1" : undefined),
    })
    const given = document("a", "a.example.com", { instance: "my-api", port: 1 })
    const { ingress } = await ingresses.create(given, { owner: "org_a" })
    expect(ingress.rules[0]!.targets[0]).toMatchObject({ kind: "machine", machine: "mach_a1" })
    const other = await failure(
      ingresses.create(document("b", "b.example.com", { instance: "my-api", port: 1 }), { owner: "org_b" }),
    )
    expect(other).toMatchObject({ _tag: "TargetNotFound", reference: "my-api" })
  })

  it("4-08: refuses a name twice, and a hostname on one port; another port is free", async () => {
    const { ingresses } = await platform()
    await ingresses.create(document("one", "api.example.com", toA1))
    expect(await failure(ingresses.create(document("one", "b.example.com", toA1)))).toMatchObject({ _tag: "NameTaken" })
    expect(await failure(ingresses.create(document("two", "API.example.com.", toA1)))).toMatchObject({
      _tag: "HostnameInUse",
      hostname: "api.example.com",
      port: 80,
      ingress: "one",
    })
    const other = { match: { hostname: "api.example.com", port: 8080 }, target: toA1 }
    await expect(ingresses.create({ name: "two", rules: [other] })).resolves.toBeDefined()
  })

  it("4-08: refuses two patterns that take the same hostnames, whatever their captures are called", async () => {
    const { ingresses } = await platform()
    const to = (capture: string) => ({ capture, port: 80 })
    await ingresses.create(document("one", "{machine}.example.com", to("machine")))
    const two = document("two", "{instance}.example.com", to("instance"))
    expect(await failure(ingresses.create(two))).toMatchObject({ _tag: "HostnameInUse" })
  })

  it("4-08: refuses duplicates in one document", async () => {
    const { ingresses } = await platform()
    const rule = { match: { hostname: "a.example.com" }, target: toA1 }
    expect(await failure(ingresses.create({ name: "a", rules: [rule, rule] }))).toMatchObject({
      _tag: "HostnameInUse",
      field: "rules.1.match.hostname",
    })
    const paths = ["/", "/api", { exact: "/api" }].map((path) => ({ match: { ...rule.match, path }, target: toA1 }))
    await expect(ingresses.create({ name: "a", rules: paths })).resolves.toBeDefined()
  })

  it("4-10: refuses tls outside the domains that have it", async () => {
    const { ingresses } = await platform({ tlsDomains: ["www.example.com", "*.dev.example.com"] })
    const tls = { tls: true }
    for (const hostname of ["a.example.com", "a.b.dev.example.com", "dev.example.com", "*.example.com"]) {
      expect(await failure(ingresses.create(document("a", hostname, toA1, tls)))).toMatchObject({
        _tag: "HostnameNotAllowed",
        hostname,
      })
    }
    await ingresses.create(document("a", "www.example.com", toA1, tls))
    await ingresses.create(document("b", "*.dev.example.com", toA1, tls))
    await ingresses.create(document("c", "plain.example.com", toA1))
  })

  it("4-12: removes by name and by prefix, and nothing by an ambiguous one", async () => {
    const { ingresses, options } = await platform()
    const ids = ["aaaa1", "aaaa2", "bbbb1"]
    const put = ids.map((id, at) => {
      return {
        kind: "ingress" as const,
        id,
        name: `n${at}`,
        version: 1,
        createdAt: 0,
        updatedAt: 0,
        rules: storedRules(`${id}.example.com`),
      }
    })
    await options.storage.commit({ ifRevision: 0, put, remove: [] })
    expect(await failure(ingresses.remove("aaaa"))).toMatchObject({
      _tag: "AmbiguousReference",
      matches: ["aaaa1", "aaaa2"],
    })
    expect((await ingresses.list()).ingresses).toHaveLength(3)
    await ingresses.remove("b")
    await ingresses.remove("n0")
    await ingresses.remove("aaaa2")
    expect((await ingresses.list()).ingresses).toEqual([])
    expect(await failure(ingresses.remove(""))).toMatchObject({ _tag: "NotFound" })
  })

  it("4-24: stores nothing that a front refuses, and leaves the old configuration", async () => {
    const front = fakeFront("caddy")
    const { ingresses, options } = await platform({ fronts: [front] })
    await ingresses.create(document("one", "one.example.com", toA1))
    const before = front.running
    const { FrontRefused, PortInUse } = await import("../../src/resource/errors.ts")
    for (const refusal of [
      new FrontRefused({ front: "caddy", reason: "no" }),
      new PortInUse({ front: "caddy", port: 80 }),
    ]) {
      front.failing.add("validate")
      front.failure = refusal
      expect(await failure(ingresses.create(document("two", "two.example.com", toA1)))).toBe(refusal)
      expect(front.running).toBe(before)
    }
    expect((await options.storage.read(0)).documents).toHaveLength(1)
  })

  it("4-28: leaves out a rule whose target has no address, and keeps the others", async () => {
    const front = fakeFront("envoy")
    const { ingresses, registry, options } = await platform({ fronts: [front] })
    await ingresses.create(document("one", "one.example.com", toA1))
    await ingresses.create(document("two", "two.example.com", { machine: "mach_b1", port: 1 }))
    await registry.removeMachine("mach_a1")
    const { createIngresses } = await import("../../src/control/create-ingresses.ts")
    const again = createIngresses(options)
    await again.start()
    expect(front.running).toBe("two.example.com: -> 10.0.1.1:1")
    const { parents } = await again.status("one")
    const states = parents.map(({ parent, conditions }) => [parent, conditions.map(({ reason }) => reason)])
    expect(states).toEqual([
      ["router", ["Accepted", "BackendNotFound", "Programmed", "NotServed"]],
      ["envoy", ["Accepted", "BackendNotFound", "Invalid"]],
    ])
  })
})
