import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { filesFront } from "../../src/files/files-front.ts"
import { document, failure, fakeFront, platform, proofs, storedRules, toA1, toB1 } from "./fakes.ts"
import { memoryStore } from "@project-ingress/router/stores/memory"

const a = { owner: "org_a" }
const b = { owner: "org_b" }
const SECRET = "0123456789abcdef0123456789abcdef"

describe("an owner", () => {
  it("finds nothing of another's: by id, by name, by prefix, in lists, in ambiguity", async () => {
    const { ingresses } = await platform()
    const { ingress } = await ingresses.create(document("api", "api.example.com", toA1), a)
    const notFound = { _tag: "NotFound", kind: "ingress" }
    for (const reference of [ingress.id, ingress.name, ingress.id.slice(0, 3)]) {
      expect(await failure(ingresses.read(reference, b))).toMatchObject(notFound)
      expect(await failure(ingresses.status(reference, b))).toMatchObject(notFound)
      expect(await failure(ingresses.remove(reference, b))).toMatchObject(notFound)
      const other = document("mine", "mine.example.com", toB1)
      expect(await failure(ingresses.replace(reference, other, b))).toMatchObject(notFound)
    }
    expect((await ingresses.list(b)).ingresses).toEqual([])
    // Ids of everybody begin with these; only one's own are in the way of each other.
    for (let at = 0; at < 40; at++) await ingresses.create(document(`b${at}`, `b${at}.example.com`, toB1), b)
    const own = new Set((await ingresses.list(b)).ingresses.map(({ id }) => id))
    for (const reference of "0123456789abcdefghjkmnpqrstvwxyz") {
      const found = await failure(ingresses.read(reference, b).then((found) => Promise.reject(found)))
      const ids = found["_tag"] === "NotFound" ? [] : ((found["matches"] as string[] | undefined) ?? [found["id"]])
      for (const id of ids) expect(own).toContain(id)
    }
  })

  it("reads its own by a name that is the beginning of another's id", async () => {
    const { ingresses, options } = await platform()
    const common = { version: 1, createdAt: 0, updatedAt: 0 }
    const put = [
      {
        kind: "ingress" as const,
        id: "aaaa",
        name: "one",
        owner: "org_b",
        ...common,
        rules: storedRules("a.example.com"),
      },
      {
        kind: "ingress" as const,
        id: "bbbb",
        name: "aaaa",
        owner: "org_a",
        ...common,
        rules: storedRules("b.example.com"),
      },
    ]
    await options.storage.commit({ ifRevision: 0, put, remove: [] })
    expect(await ingresses.read("aaaa", a)).toMatchObject({ id: "bbbb" })
    expect(await ingresses.read("aaaa", b)).toMatchObject({ id: "aaaa" })
    // An id comes first for whoever sees both.
    expect(await ingresses.read("aaaa")).toMatchObject({ id: "aaaa" })
  })

  it("is nobody if it is empty, never the operator", async () => {
    const { ingresses } = await platform()
    for (const owner of ["", 0, null, "a\nb"]) {
      const options = { owner } as never
      await expect(ingresses.create(document("x", "x.example.com", toA1), options)).rejects.toThrow(TypeError)
      await expect(ingresses.list(options)).rejects.toThrow(TypeError)
    }
    await expect(ingresses.read("x", { ower: "org_a" } as never)).rejects.toThrow(/did you mean owner/)
  })

  it("does not take a hostname of another's, on whatever path, nor learns whose it is", async () => {
    const { ingresses } = await platform()
    await ingresses.create(document("api", "api.example.com", toA1), a)
    const rule = { match: { hostname: "api.example.com", path: "/mine" }, target: toB1 }
    const error = await failure(ingresses.create({ name: "b", rules: [rule] }, b))
    expect(error).toMatchObject({ _tag: "HostnameInUse", ingress: undefined })
    expect(String(error)).not.toContain("ingress api")
    // The operator is another owner, too, and learns it.
    expect(await failure(ingresses.create({ name: "b", rules: [{ ...rule, target: toA1 }] }))).toMatchObject({
      ingress: "api",
    })
    await ingresses.create({ name: "b", rules: [{ ...rule, target: toA1 }] }, a)
  })

  it("does not rename an ingress over another's, or move it to another's hostname", async () => {
    const { ingresses } = await platform()
    await ingresses.create(document("api", "api.example.com", toA1), a)
    await ingresses.create(document("mine", "mine.example.com", toB1), b)
    const renamed = ingresses.replace("mine", document("api", "mine.example.com", toB1), b)
    expect(await failure(renamed)).toMatchObject({ _tag: "NameTaken" })
    const moved = ingresses.replace("mine", document("mine", "api.example.com", toB1), b)
    expect(await failure(moved)).toMatchObject({ _tag: "HostnameInUse" })
  })

  it("does not lead to another's machine or project, or to the platform's own", async () => {
    const { ingresses, registry } = await platform()
    const metadata = { origin: "http://10.9.9.9" }
    await registry.putMachine({ id: "mach_own", type: "upstream", externalId: "", metadata })
    const lead = (target: object) => failure(ingresses.create(document("b", "b.example.com", target), b))
    expect(await lead(toA1)).toMatchObject({ _tag: "GrantRequired", field: "rules.0.target.machine" })
    expect(await lead({ machine: "MACH_A1", port: 1 })).toMatchObject({ _tag: "GrantRequired" })
    expect(await lead({ project: "misha" })).toMatchObject({ _tag: "GrantRequired", field: "rules.0.target.project" })
    expect(await lead({ machine: "mach_own", port: 1 })).toMatchObject({ _tag: "TargetNotFound" })
    expect(await lead({ machine: "../m:mach_a1", port: 1 })).toMatchObject({ _tag: "TargetNotFound" })
    // Not by a former name, either.
    await registry.rename("misha", "anna")
    expect(await lead({ project: "misha" })).toMatchObject({ _tag: "GrantRequired" })
    await expect(ingresses.create(document("op", "b.example.com", { project: "anna" }))).resolves.toBeDefined()
  })

  it("does not put settings on a port that a grant leads to", async () => {
    const { ingresses } = await platform()
    await ingresses.grant({ owner: "org_a", to: "org_b", target: { machine: "mach_a1" } })
    const allowCidrs = ["10.0.0.0/8"]
    expect(await failure(ingresses.create(document("b", "b.example.com", toA1, { allowCidrs }), b))).toMatchObject({
      _tag: "FrontRefused",
      front: "router",
      field: "rules.0.allowCidrs",
    })
    // Harmless ones are left out, and reported.
    const responseHeaders = { set: { "x-powered-by": "b" } }
    await ingresses.create(document("b", "b.example.com", toA1, { responseHeaders }), b)
    const { parents } = await ingresses.status("b", b)
    expect(parents[0]!.conditions[0]).toMatchObject({ status: "False", reason: "UnsupportedValue" })
  })

  it("does not get around the access control of a port by a grant, at a front either", async () => {
    const front = fakeFront("caddy")
    const { ingresses } = await platform({ fronts: [front] })
    const allowCidrs = ["10.0.0.0/8"]
    await ingresses.create(document("a", "a.example.com", { machine: "mach_a2", port: 3000 }, { allowCidrs }), a)
    // Project misha is served by mach_a2, and 3000 is the port of a hostname that names none.
    await ingresses.grant({ owner: "org_a", to: "org_b", target: { project: "misha" } })
    await ingresses.create(document("b", "b.example.com", { project: "misha" }), b)
    expect(front.running.split("\n")).toEqual([
      "a.example.com: -> 10.0.0.2:3000 only 10.0.0.0/8",
      "b.example.com: -> 10.0.0.2:3000 only 10.0.0.0/8",
    ])
  })

  it("gives and takes back grants of its own targets alone", async () => {
    const { ingresses } = await platform()
    const target = { machine: "mach_a1" }
    expect(await failure(ingresses.grant({ owner: "org_b", to: "org_c", target }))).toMatchObject({
      _tag: "TargetNotFound",
    })
    for (const wrong of [{}, { machine: "mach_a1", project: "misha" }, { url: "x" }, null, { machine: "" }]) {
      const given = { owner: "org_a", to: "org_b", target: wrong as never }
      expect(await failure(ingresses.grant(given))).toMatchObject({ _tag: "IngressInvalid" })
    }
    expect(await failure(ingresses.grant({ owner: "org_a", to: "org_a", target }))).toMatchObject({ field: "to" })
    const { id } = await ingresses.grant({ owner: "org_a", to: "org_b", target })
    expect((await ingresses.grant({ owner: "org_a", to: "org_b", target })).id).toBe(id)
    expect(await failure(ingresses.revokeGrant(id, b))).toMatchObject({ _tag: "NotFound", kind: "grant" })
    expect(await ingresses.listGrants(b)).toHaveLength(1)
    expect(await ingresses.listGrants({ owner: "org_c" })).toEqual([])
    await ingresses.revokeGrant(id, a)
    expect(await ingresses.listGrants()).toEqual([])
  })

  it("reaches no machine through a captured name at a front, which asks nobody whose it is", async () => {
    const front = fakeFront("caddy")
    const { ingresses, options } = await platform({ fronts: [front], internalZone: "machines.internal" })
    const pattern = document("all", "{machine}.b.example.com", { capture: "machine", port: 80 })
    expect(await failure(ingresses.create(pattern, b))).toMatchObject({
      _tag: "FrontRefused",
      field: "rules.0.target.capture",
    })
    await ingresses.create(pattern)
    expect(front.running).toBe("{machine}.b.example.com: -> machine:80")
    // One that was stored before there were fronts is not given to them.
    const stored = (await ingresses.list()).ingresses[0]!
    const { revision } = await options.storage.read(0)
    const put = [{ kind: "ingress" as const, ...stored, owner: "org_b" }]
    await options.storage.commit({ ifRevision: revision, put, remove: [] })
    await ingresses.reconcile()
    expect(front.running).toBe("")
  })

  it("has a front dial no address that nobody allowed", async () => {
    const given = document("b", "b.example.com", { url: "http://127.0.0.1:2019" })
    const fronts = [fakeFront("caddy")]
    const { ingresses } = await platform({ fronts })
    expect(await failure(ingresses.create(given, b))).toMatchObject({
      _tag: "IngressInvalid",
      field: "rules.0.target.url",
    })
    await ingresses.create(given)
    const asked: unknown[] = []
    const careful = await platform({
      fronts,
      authorizeUrl: (request) => {
        asked.push(request)
        return (request.host === "10.1.1.1" ? true : "false") as boolean
      },
    })
    expect(await failure(careful.ingresses.create(given, b))).toMatchObject({ field: "rules.0.target.url" })
    await careful.ingresses.create(document("b", "b.example.com", { url: "http://10.1.1.1:80" }), b)
    expect(asked[0]).toEqual({ host: "127.0.0.1", port: 2019, protocol: "http", owner: "org_b" })
  })

  it("does not read back the secret of a required header, nor do errors and diffs hold it", async () => {
    const front = fakeFront("caddy")
    const { ingresses, options, events } = await platform({ fronts: [front] })
    const rule = { requireHeader: { name: "x-key", value: SECRET } }
    const created = await ingresses.create(document("a", "a.example.com", toA1, rule), a)
    const seen = [created, await ingresses.read("a"), await ingresses.list(), await ingresses.status("a"), events]
    expect(JSON.stringify(seen)).not.toContain(SECRET)
    // Fronts need it, and whoever writes back what was read does not lose it.
    const { name, rules } = await ingresses.read("a", a)
    const requireHeader = rules[0]!.requireHeader!
    await ingresses.replace("a", document(name, "a2.example.com", toA1, { requireHeader }), a)
    const { documents } = await options.storage.read(0)
    expect(JSON.stringify(documents)).toContain(SECRET)
    const wrong = { requireHeader: { name: "x-key", value: SECRET, sha256: "0".repeat(64) } }
    const error = await failure(ingresses.create(document("b", "b.example.com", toA1, wrong), a))
    expect(JSON.stringify([error, String(error)])).not.toContain(SECRET)
  })

  it("does not show the secret that a change takes away", async () => {
    const folder = await mkdtemp(join(tmpdir(), "secrets-"))
    const front = filesFront({
      name: "files",
      folder,
      export: ({ ingresses }) => ({
        files: [
          {
            path: "all.json",
            text: JSON.stringify(
              ingresses.map(({ rules }) => rules),
              undefined,
              1,
            ),
          },
        ],
        problems: [],
      }),
    })
    const { ingresses } = await platform({ fronts: [front] })
    const rule = (value: string) => ({ requireHeader: { name: "x-key", value } })
    await ingresses.create(document("a", "a.example.com", toA1, rule(SECRET)))
    const replaced = await ingresses.replace("a", document("a", "a.example.com", toA1, rule(`${SECRET}-and-more`)))
    const gone = await ingresses.replace("a", document("a", "a.example.com", toA1))
    expect(replaced.diffs.map(({ front }) => front)).toEqual(["router", "files"])
    expect(JSON.stringify([replaced, gone])).not.toMatch(/0123456789|and-more/)
    await rm(folder, { recursive: true })
  })

  it("sees in no diff what others declared", async () => {
    const { ingresses } = await platform({ fronts: [fakeFront("caddy")] })
    await ingresses.create(document("a", "a.example.com", toA1), a)
    const [asOwner, asOperator] = [
      await ingresses.create(document("b", "b.example.com", toB1), { ...b, dryRun: true }),
      await ingresses.create(document("b", "b.example.com", toB1), { dryRun: true }),
    ]
    expect(JSON.stringify(asOwner)).not.toContain("a.example.com")
    expect(asOperator.diffs).toEqual([{ front: "caddy", diff: expect.stringContaining("a.example.com") }])
  })

  it("changes nothing by changing what it was given", async () => {
    const { ingresses } = await platform()
    const { ingress } = await ingresses.create(document("a", "a.example.com", toA1), a)
    const open = ingress as unknown as { owner: string; rules: unknown[] }
    open.owner = "org_b"
    open.rules.length = 0
    expect(await ingresses.read("a", a)).toMatchObject({ owner: "org_a", rules: [{}] })
  })
})

describe("what belongs to the platform", () => {
  const looking = async () => {
    const asked: string[] = []
    const store = memoryStore()
    const { ingresses } = await platform({
      store: {
        get: (key) => {
          asked.push(key)
          return store.get(key)
        },
      },
      reservedHostnames: ["console.example.com"],
      authorizeHostname: () => true,
    })
    return { ingresses, asked }
  }

  it.each([
    "iterate.app",
    "misha.iterate.app",
    "4096--misha.iterate.app",
    "WWW.Iterate.App.",
    "a.b.c.iterate.app",
    "*.iterate.app",
    "{x}.iterate.app",
    "*.app",
    "{a}.{b}.app",
    "console.example.com",
    "*.example.com",
    "{console}.example.com",
  ])("is refused before anything is looked up: %s", async (hostname) => {
    const { ingresses, asked } = await looking()
    const error = await failure(ingresses.create(document("x", hostname, toA1)))
    expect(error).toMatchObject({ _tag: "HostnameReserved", field: "rules.0.match.hostname" })
    expect(asked).toEqual([])
  })

  it("is not what only looks like it", async () => {
    const { ingresses } = await looking()
    for (const hostname of ["*.b.app", "iterate.app.example.com", "xiterate.app", "a.console.example.com"]) {
      expect(await failure(ingresses.create(document("x", hostname, toA1)))).toMatchObject({ _tag: "TargetNotFound" })
    }
  })

  it("is refused whatever it is spelt like", async () => {
    const { ingresses } = await platform()
    const label = fc.constantFrom("iterate", "ITERATE", "*", "{x}", "misha", "4096--misha", "mach_1")
    const name = fc.tuple(fc.array(label, { maxLength: 3 }), fc.constantFrom("app", "APP", "app."))
    await fc.assert(
      fc.asyncProperty(name, async ([labels, last]) => {
        const hostname = [...labels, "iterate", last].join(".")
        const error = await failure(ingresses.create(document("x", hostname, toA1)))
        expect(["HostnameReserved", "IngressInvalid"]).toContain(error["_tag"])
      }),
      { numRuns: 200 },
    )
    expect((await ingresses.list()).ingresses).toEqual([])
  })

  it("stays off fronts where a storage has it all the same", async () => {
    const front = fakeFront("caddy")
    const { ingresses, options } = await platform({ fronts: [front] })
    await ingresses.create(document("x", "x.example.com", toA1))
    const { documents } = await options.storage.read(0)
    const edited = JSON.parse(JSON.stringify(documents).replaceAll("x.example.com", "misha.iterate.app"))
    await options.storage.commit({ ifRevision: 1, put: edited, remove: [] })
    await ingresses.reconcile()
    expect(front.running).toBe("")
  })
})

describe("a verified domain of a project", () => {
  const verified = async (...domains: string[]) => {
    const made = await platform()
    for (const domain of domains) {
      const { proof } = await made.registry.addDomain("misha", domain)
      proofs.set(proof.name, [proof.value])
      await made.registry.verifyDomain("misha", domain)
    }
    return made
  }

  it("is no hostname of an ingress, the owner's included", async () => {
    const { ingresses } = await verified("www.example.net")
    for (const options of [a, b, {}]) {
      const target = "owner" in options && options.owner === "org_b" ? toB1 : toA1
      const error = await failure(ingresses.create(document("x", "www.example.net", target), options))
      expect(error).toMatchObject({ _tag: "HostnameInUse", ingress: undefined })
    }
  })

  it("keeps others out of its ports and of what its wildcard takes", async () => {
    const { ingresses } = await verified("www.example.net", "*.example.org")
    for (const hostname of ["4096.www.example.net", "{x}.www.example.net", "a.example.org", "{x}.a.example.org"]) {
      const target = hostname.includes("{") ? { capture: "x", port: 1 } : toB1
      const error = await failure(ingresses.create(document("x", hostname, target), b))
      expect(error, hostname).toMatchObject({ _tag: "HostnameInUse" })
    }
    await ingresses.create(document("own", "a.example.org", toA1), a)
    await ingresses.create(document("beside", "beside.example.net", toB1), b)
  })

  it("that cannot be looked up refuses nothing and allows nothing: the call can be made again", async () => {
    const { ingresses, options } = await platform({
      store: { get: () => ({ status: "unknown", retryAfterMs: 500, cause: new Error("down") }) },
    })
    const error = await failure(ingresses.create(document("x", "www.example.net", toA1)))
    expect(error).toMatchObject({ _tag: "LookupUnavailable", key: "d:www.example.net", retryAfterMs: 500 })
    expect(String(error)).not.toContain("down")
    expect((await options.storage.read(0)).documents).toEqual([])
  })
})

describe("ports", () => {
  const tcp = (port: number, hostname?: string) => ({
    match: { protocol: "tcp", port, ...(hostname === undefined ? {} : { hostname }) },
    target: { machine: "mach_a1", port: 1 },
    ...(hostname === undefined ? {} : { passthrough: true }),
  })
  const http = (port: number, tls: boolean) => ({
    match: { hostname: "a.example.com", port },
    target: { machine: "mach_a1", port: 1 },
    tls,
  })
  const udp = (port: number) => ({ match: { protocol: "udp", port }, target: { machine: "mach_a1", port: 1 } })

  it.each([
    ["tcp beside tcp", tcp(5432), tcp(5432), "HostnameInUse"],
    ["tcp beside another port", tcp(5432), tcp(5433), undefined],
    ["tcp beside plain http", tcp(80), http(80, false), "HostnameInUse"],
    ["tcp beside https", tcp(443), http(443, true), "HostnameInUse"],
    ["tcp by SNI beside https", tcp(443, "db.example.com"), http(443, true), undefined],
    ["tcp by SNI beside https of the same name", tcp(443, "a.example.com"), http(443, true), "HostnameInUse"],
    ["tcp by SNI beside plain http", tcp(443, "db.example.com"), http(443, false), "HostnameInUse"],
    ["tcp by SNI beside tcp by SNI", tcp(443, "db.example.com"), tcp(443, "x.example.com"), undefined],
    ["udp beside tcp", udp(53), tcp(53), undefined],
    ["udp beside udp", udp(53), udp(53), "HostnameInUse"],
  ])("are one's own: %s", async (_, one, other, expected) => {
    const outcome = (made: Promise<unknown>) =>
      made.then(
        () => undefined,
        (cause: { _tag: string }) => cause._tag,
      )
    for (const [first, second] of [
      [one, other],
      [other, one],
    ]) {
      const { ingresses } = await platform({ fronts: [fakeFront("envoy")] })
      const both = { name: "x", rules: [first, second] }
      expect(await outcome(ingresses.create(both, { ...a, dryRun: true }))).toBe(expected)
      await ingresses.create({ name: "one", rules: [first] }, a)
      expect(await outcome(ingresses.create({ name: "two", rules: [second] }, a))).toBe(expected)
    }
  })

  it("of TCP without a name are one owner's alone", async () => {
    const { ingresses } = await platform({ fronts: [fakeFront("envoy")] })
    await ingresses.create({ name: "one", rules: [tcp(443)] }, a)
    const rule = { ...tcp(443, "b.example.com"), target: { machine: "mach_b1", port: 1 } }
    expect(await failure(ingresses.create({ name: "two", rules: [rule] }, b))).toMatchObject({ _tag: "HostnameInUse" })
  })

  it("need a front where the router has none", async () => {
    const { ingresses } = await platform()
    expect(await failure(ingresses.create({ name: "one", rules: [udp(53)] }))).toMatchObject({
      _tag: "FrontRefused",
      front: "router",
      field: "rules.0.match.protocol",
    })
  })
})
