import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decodeRecord } from "../src/stores/decode-record.ts"
import { RECORD_LIMITS } from "../src/stores/frozen-json.ts"
import { settingsOf } from "../src/stores/settings.ts"
import { machine } from "./fakes.ts"

const at = { version: 3, epoch: 2 } as const
const base = { kind: "machine", machine: machine("mach_1"), ...at } as const
const problemOf = (record: unknown) => {
  const { problem } = decodeRecord(record)
  return problem && `${problem.code} ${problem.field}`
}

describe("a record of each kind", () => {
  const everything = {
    ...base,
    owner: "org_1",
    generation: 4,
    externalId: "prj_ext",
    expiresAt: 1_900_000_000_000,
    metadata: { plan: ["a", { b: null }] },
    replicas: [machine("mach_2", { port: 8080 })],
    balance: "least-requests",
    healthCheck: { path: "/healthz?deep=1", intervalMs: 1_000, statuses: [200, 204] },
    port: 5173,
    services: { web: 8000, "open-code": 4096 },
    visibility: "private",
    appOrigin: "public",
    protocol: "http",
    allowCidrs: ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"],
    requireHeader: { name: "x-key", sha256: "0".repeat(64) },
    responseHeaders: { set: { "x-a": "1", "x-frame-options": "DENY" }, remove: ["server"] },
    ports: { 4096: { visibility: "public", appOrigin: { host: "app.internal:80" } }, 65535: {} },
    rules: [
      {
        match: { path: { prefix: "/api" }, method: "GET", headers: { "x-canary": "1" } },
        targets: [{ machine: machine("mach_3"), port: 9000, weight: 9 }, { weight: 0 }],
      },
      { match: { path: { exact: "/" } }, targets: [{}] },
    ],
    machines: { mach_3: { visibility: "private", ports: { 9000: { visibility: "public" } } } },
  }
  it.each([
    base,
    everything,
    { kind: "detached", ...at, visibility: "public" },
    { kind: "redirect", ...at, to: "https://example.com/x?y#z", status: 302 },
    { kind: "redirect", ...at, to: { project: "new-name" }, status: 308, visibility: "private" },
    { kind: "removed", ...at, owner: "org_1" },
  ])("is decoded as it is: $kind", (record) => {
    const before = structuredClone(record)
    expect(decodeRecord(record)).toEqual({ record: before })
    expect(decodeRecord(JSON.parse(JSON.stringify(record)))).toEqual({ record: before })
  })

  it("is a frozen copy: nobody changes it afterwards", () => {
    const given = structuredClone(everything)
    const { record } = decodeRecord(given)
    given.services.web = 1
    Object.assign(given.rules[0]!.targets[0]!, { port: 1 })
    expect(record).toMatchObject({ services: { web: 8000 }, rules: [{ targets: [{ port: 9000 }, {}] }, {}] })
    const isFrozen = (value: unknown): boolean =>
      typeof value !== "object" || value === null || (Object.isFrozen(value) && Object.values(value).every(isFrozen))
    expect(isFrozen(record)).toBe(true)
  })
})

describe("a field that is not valid", () => {
  it.each<[string, unknown]>([
    ["", undefined],
    ["", null],
    ["", "text"],
    ["", []],
    ["kind", {}],
    ["kind", { ...base, kind: "machin" }],
    ["kind", { ...base, kind: "constructor" }],
    ["kind", { ...base, kind: ["machine"] }],
    ["version", { ...base, version: undefined }],
    ["version", { ...base, version: -1 }],
    ["version", { ...base, version: 1.5 }],
    ["version", { ...base, version: "1" }],
    ["version", { ...base, version: 2 ** 53 }],
    ["version", { ...base, version: NaN }],
    ["epoch", { kind: "detached", version: 1 }],
    ["machine", { kind: "machine", ...at }],
    ["machine", { ...base, machine: [] }],
    ["machine.id", { ...base, machine: { ...machine("x"), id: "" } }],
    ["machine.type", { ...base, machine: { ...machine("x"), type: 5 } }],
    ["machine.externalId", { ...base, machine: { ...machine("x"), externalId: null } }],
    ["machine.metadata", { ...base, machine: { ...machine("x"), metadata: [] } }],
    ["machine.extra", { ...base, machine: { ...machine("x"), extra: 1 } }],
    ["replicas", { ...base, replicas: machine("x") }],
    ["replicas.1.id", { ...base, replicas: [machine("x"), { ...machine("y"), id: 7 }] }],
    ["balance", { ...base, balance: "random" }],
    ["balance", { ...base, balance: null }],
    ["healthCheck", { ...base, healthCheck: "/healthz" }],
    ["healthCheck.path", { ...base, healthCheck: {} }],
    ["healthCheck.path", { ...base, healthCheck: { path: "healthz" } }],
    ["healthCheck.path", { ...base, healthCheck: { path: "/a b" } }],
    ["healthCheck.intervalMs", { ...base, healthCheck: { path: "/", intervalMs: 999 } }],
    ["healthCheck.statuses", { ...base, healthCheck: { path: "/", statuses: [] } }],
    ["ports.80.healthCheck.statuses.0", { ...base, ports: { 80: { healthCheck: { path: "/", statuses: [99] } } } }],
    ["port", { ...base, port: 0 }],
    ["port", { ...base, port: 65_536 }],
    ["port", { ...base, port: "80" }],
    ["port", { ...base, port: null }],
    ["services", { ...base, services: [] }],
    ["services.web", { ...base, services: { web: 70_000 } }],
    ["services.Web", { ...base, services: { Web: 80 } }],
    ["services.__proto__", { ...base, services: JSON.parse('{"__proto__": 80}') as unknown }],
    ["__proto__", JSON.parse('{"__proto__": {"kind": "machine"}}') as unknown],
    ["ports.0", { ...base, ports: { 0: {} } }],
    ["ports.080", { ...base, ports: { "080": {} } }],
    ["ports.65536", { ...base, ports: { 65536: {} } }],
    ["ports.80", { ...base, ports: { 80: "public" } }],
    ["ports.4096.visibility", { ...base, ports: { 4096: { visibility: "Public" } } }],
    ["ports.4096.visibilty", { ...base, ports: { 4096: { visibilty: "private" } } }],
    ["ports.4096.ports", { ...base, ports: { 4096: { ports: {} } } }],
    ["visibility", { ...base, visibility: true }],
    ["appOrigin", { ...base, appOrigin: "preserve" }],
    ["appOrigin.name", { ...base, appOrigin: { name: "x" } }],
    ["appOrigin.host", { ...base, appOrigin: { host: "evil\r\nx: 1" } }],
    ["appOrigin.host", { ...base, appOrigin: { host: "a/b" } }],
    ["appOrigin.host", { ...base, appOrigin: {} }],
    ["protocol", { ...base, protocol: "gopher" }],
    ["allowCidrs", { ...base, allowCidrs: "10.0.0.0/8" }],
    ["allowCidrs.0", { ...base, allowCidrs: ["10.0.0.0"] }],
    ["allowCidrs.1", { ...base, allowCidrs: ["10.0.0.0/8", "10.0.0.1/8"] }],
    ["allowCidrs.0", { ...base, allowCidrs: ["0.0.0.0/0"] }],
    ["allowCidrs.0", { ...base, allowCidrs: ["::/0"] }],
    ["allowCidrs.0", { ...base, allowCidrs: ["::ffff:10.0.0.0/104"] }],
    ["allowCidrs.0", { ...base, allowCidrs: ["10.0.0.0/33"] }],
    ["allowCidrs.0", { ...base, allowCidrs: ["fe80::%eth0/64"] }],
    ["ports.80.allowCidrs.0", { ...base, ports: { 80: { allowCidrs: ["010.0.0.0/8"] } } }],
    ["requireHeader.sha256", { ...base, requireHeader: { name: "x-key" } }],
    ["requireHeader.sha256", { ...base, requireHeader: { name: "x-key", sha256: "A".repeat(64) } }],
    ["requireHeader.name", { ...base, requireHeader: { name: "X-Key", sha256: "0".repeat(64) } }],
    ["requireHeader.name", { ...base, requireHeader: { name: "host", sha256: "0".repeat(64) } }],
    ["responseHeaders.set.Server", { ...base, responseHeaders: { set: { Server: "x" } } }],
    ["responseHeaders.set.content-length", { ...base, responseHeaders: { set: { "content-length": "1" } } }],
    ["responseHeaders.set.set-cookie", { ...base, responseHeaders: { set: { "set-cookie": "a=1" } } }],
    ["responseHeaders.set.x-accel-redirect", { ...base, responseHeaders: { set: { "x-accel-redirect": "/etc" } } }],
    ["responseHeaders.set.x-a", { ...base, responseHeaders: { set: { "x-a": "1\r\nx: 2" } } }],
    ["responseHeaders.remove.0", { ...base, responseHeaders: { remove: ["transfer-encoding"] } }],
    ["minBodyRate", { ...base, minBodyRate: -1 }],
    ["host", { ...base, host: "localhost" }],
    ["rules", { ...base, rules: {} }],
    ["unmatched", { ...base, unmatched: "refuse" }],
    ["rules.0.match", { ...base, rules: [{ targets: [{}] }] }],
    ["rules.0.targets", { ...base, rules: [{ match: {} }] }],
    ["rules.0.targets", { ...base, rules: [{ match: {}, targets: [] }] }],
    ["rules.0.targets", { ...base, rules: [{ match: {}, targets: [{ weight: 0 }] }] }],
    ["rules.0.targets.0.weight", { ...base, rules: [{ match: {}, targets: [{ weight: -1 }] }] }],
    ["rules.0.targets.1.port", { ...base, rules: [{ match: {}, targets: [{}, { port: 0 }] }] }],
    ["rules.0.match.path.prefix", { ...base, rules: [{ match: { path: { prefix: "api" } }, targets: [{}] }] }],
    ["rules.0.match.path.exact", { ...base, rules: [{ match: { path: { prefix: "/", exact: "/" } }, targets: [{}] }] }],
    ["rules.0.match.path.exact", { ...base, rules: [{ match: { path: {} }, targets: [{}] }] }],
    ["rules.0.match.method", { ...base, rules: [{ match: { method: "get" }, targets: [{}] }] }],
    ["rules.0.match.headers.X-A", { ...base, rules: [{ match: { headers: { "X-A": "1" } }, targets: [{}] }] }],
    ["machines.mach_2.visibility", { ...base, machines: { mach_2: { visibility: 1 } } }],
    ["owner", { ...base, owner: "" }],
    ["generation", { ...base, generation: -1 }],
    ["externalId", { ...base, externalId: 5 }],
    // Seconds would be over since 1970.
    ["expiresAt", { ...base, expiresAt: 1_900_000_000 }],
    ["metadata", { ...base, metadata: "x" }],
    ["to", { kind: "redirect", ...at, status: 308 }],
    ["to", { kind: "redirect", ...at, status: 308, to: "/path" }],
    ["to", { kind: "redirect", ...at, status: 308, to: "javascript:alert(1)" }],
    ["to", { kind: "redirect", ...at, status: 308, to: "https://a b/" }],
    ["to", { kind: "redirect", ...at, status: 308, to: "https://user:hunter2@example.com/" }],
    ["to.project", { kind: "redirect", ...at, status: 308, to: { project: "A.b" } }],
    ["status", { kind: "redirect", ...at, status: 200, to: "https://example.com/" }],
    ["machine", { kind: "removed", ...at, machine: machine("x") }],
  ])("is named: %s", (field, record) => {
    expect(problemOf(record)).toBe(`RECORD_INVALID ${field}`)
  })

  it("is described without its value", () => {
    const { problem } = decodeRecord({ kind: "redirect", ...at, status: 308, to: "https://user:hunter2@example.com/" })
    expect(problem?.accepted).toMatch(/URL without credentials/)
    expect(JSON.stringify(problem)).not.toContain("hunter2")
  })
})

it("a misspelt field is named with the one that was meant, else with all there are", () => {
  const acceptedOf = (record: unknown) => decodeRecord(record).problem?.accepted
  expect(acceptedOf({ ...base, visiblity: "private" })).toBe("absent (did you mean visibility?)")
  expect(acceptedOf({ ...base, ports: { 80: { wakes: "never" } } })).toBe("absent (did you mean wake?)")
  expect(acceptedOf({ ...base, nonsense: 1 })).toMatch(/^absent; the fields are kind, version, /)
})

describe("what a port speaks", () => {
  it.each([
    [{ protocol: "https" }],
    [{ protocol: "h2c" }],
    [{ protocol: "https", tls: { verify: false } }],
    [{ protocol: "https", tls: { verify: true, serverName: "App.internal" } }],
  ])("is %j", (settings) => {
    expect(decodeRecord({ ...base, ...settings }).record).toMatchObject(settings)
    expect(decodeRecord({ ...base, ports: { 80: settings } }).record).toMatchObject({ ports: { 80: settings } })
  })
  it.each([
    ["protocol", { protocol: "h2" }],
    ["tls.verify", { tls: { serverName: "app.internal" } }],
    ["tls.serverName", { tls: { verify: true, serverName: "127.0.0.1" } }],
    ["tls.serverName", { tls: { verify: true, serverName: 'a";verify=?0' } }],
    ["tls.serverName", { tls: { verify: true, serverName: "" } }],
    ["tls.ca", { tls: { verify: true, ca: "x" } }],
  ])("has an invalid %s", (field, settings) => {
    expect(problemOf({ ...base, ...settings })).toBe(`RECORD_INVALID ${field}`)
  })
})

describe("embed", () => {
  it.each([[[]], [["https://www.example.com", "http://localhost:3000"]]])("takes origins: %j", (embed) => {
    expect(decodeRecord({ ...base, embed }).record).toMatchObject({ embed })
  })
  it.each([
    "*",
    "null",
    "'self'",
    "https:",
    "www.example.com",
    "https://*.example.com",
    "https://www.example.com/",
    "https://www.example.com;script-src",
    "https://www.example.com,https://evil.example",
    "https://WWW.example.com",
    "https://a b.example",
    "https://user@www.example.com",
  ])("takes nothing else: %s", (origin) => {
    expect(problemOf({ ...base, embed: [origin] })).toBe("RECORD_INVALID embed.0")
  })
})

describe("a hostile record", () => {
  class Custom {
    kind = "detached"
    version = 1
    epoch = 1
  }
  const cycle: Record<string, unknown> = { ...base }
  cycle["metadata"] = cycle
  let deep: unknown = {}
  for (let level = 0; level < 50_000; level++) deep = { deep }
  const bomb = () => {
    let list: unknown[] = []
    for (let level = 0; level < 12; level++) list = Array.from({ length: 10 }, () => list)
    return list
  }
  it.each<[string, unknown]>([
    ["a getter", Object.defineProperty({ ...base }, "port", { enumerable: true, get: () => 80 })],
    [
      "a getter that throws",
      Object.defineProperty({ ...base }, "port", { enumerable: true, get: () => expect.fail() }),
    ],
    ["a proxy that throws", new Proxy(base, { ownKeys: () => expect.fail("trap") })],
    ["a proxy that throws later", new Proxy(base, { getOwnPropertyDescriptor: () => expect.fail("trap") })],
    ["a revoked proxy", (({ proxy, revoke }) => (revoke(), proxy))(Proxy.revocable({}, {}))],
    ["a cycle", cycle],
    ["depth", { ...base, metadata: deep }],
    ["a shared list that would unfold to 10^12 values", { ...base, metadata: { list: bomb() } }],
    ["a list of holes", { ...base, rules: Array.from({ length: 2 }).fill(undefined) }],
    ["a list of a length alone", { ...base, rules: Object.assign([], { length: 2 ** 32 - 1 }) }],
    ["very many fields", { ...base, metadata: Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [at, 1])) }],
    ["very many values", { ...base, metadata: { a: Array(9_000).fill(1), b: Array(9_000).fill(1) } }],
    ["a very long text", { ...base, metadata: { text: "x".repeat(RECORD_LIMITS.characters) } }],
    ["a class", new Custom()],
    ["a map", new Map([["kind", "detached"]])],
    ["an inherited kind", Object.create({ kind: "detached", version: 1, epoch: 1 })],
    ["a function", { ...base, metadata: { run: () => 1 } }],
    ["a symbol", { ...base, metadata: { a: Symbol("a") } }],
    ["a big integer", { ...base, metadata: { a: 1n } }],
    ["infinity", { ...base, metadata: { a: Infinity } }],
  ])("is a problem, never a throw: %s", (_, record) => {
    expect(decodeRecord(record)).toEqual({ problem: expect.objectContaining({ code: "RECORD_INVALID" }) })
  })

  it("has a path that is short and printable", () => {
    const { problem } = decodeRecord({ ...base, ["\u001b[31m\n" + "x".repeat(10_000)]: 1 })
    expect(problem?.field).toMatch(/^[\w.?-]{1,200}$/)
  })

  it("changes no prototype", () => {
    decodeRecord(JSON.parse('{"kind":"detached","version":1,"epoch":1,"metadata":{"__proto__":{"polluted":true}}}'))
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  it("never makes the decoder throw, whatever it is", () => {
    const fields = [
      "kind",
      "machine",
      "version",
      "epoch",
      "ports",
      "rules",
      "services",
      "visibility",
      "to",
      "status",
      "x",
    ]
    const value = fc.oneof(
      fc.anything({ withBigInt: true, withMap: true, withDate: true }),
      fc.constantFrom("machine", "redirect", 1),
    )
    const record = fc.oneof(value, fc.dictionary(fc.constantFrom(...fields), value))
    fc.assert(
      fc.property(record, (input) => {
        const { record, problem } = decodeRecord(input)
        expect((record === undefined) !== (problem === undefined)).toBe(true)
      }),
      { numRuns: 3_000 },
    )
  })
})

describe("the settings of the port arrived at", () => {
  const { record } = decodeRecord({
    ...base,
    visibility: "private",
    appOrigin: "public",
    replicas: [machine("mach_2")],
    ports: { 4096: { visibility: "public" } },
    machines: { mach_3: { visibility: "public", ports: { 4096: { visibility: "private" } } } },
  })
  it.each([
    ["mach_1", 3000, { visibility: "private", appOrigin: "public" }],
    ["mach_1", 4096, { visibility: "public", appOrigin: "public" }],
    ["mach_2", 4096, { visibility: "public", appOrigin: "public" }],
    ["mach_3", 3000, { visibility: "public" }],
    ["mach_3", 4096, { visibility: "private" }],
    ["mach_4", 4096, { visibility: "private" }],
    ["constructor", 4096, { visibility: "private" }],
  ] as const)("are those of that machine and port: %s %i", (id, port, expected) => {
    if (record?.kind !== "machine") throw new Error("not decoded")
    expect(settingsOf(record, id, port)).toEqual(expected)
  })
})
