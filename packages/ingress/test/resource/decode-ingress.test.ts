import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decodeIngress } from "../../src/resource/decode-ingress.ts"
import { IngressInvalid } from "../../src/resource/errors.ts"

const rule = (more: object = {}, match: object = {}): object => ({
  match: { hostname: "api.example.com", ...match },
  target: { machine: "mach_1", port: 8080 },
  ...more,
})
const document = (...rules: readonly object[]): object => ({ name: "my-api", rules })
const problem = (input: unknown): Promise<readonly [string, string] | undefined> =>
  decodeIngress(input).then(
    () => undefined,
    (cause: IngressInvalid) => [cause.field, cause.accepted] as const,
  )
const accepted = async (input: object) => (await decodeIngress(document(input))).rules[0]!

describe("a document", () => {
  it("is refused for a long hostname before its labels are compared with each other", async () => {
    const hostname = Array.from({ length: 200 }, (_, at) => `{a${at}}`).join(".")
    expect(await problem(document(rule({}, { hostname })))).toEqual([
      "rules.0.match.hostname",
      "a hostname of at most 253 characters",
    ])
    const longest = ["a", "b", "c", "d"].map((letter) => `{${letter.repeat(63)}}.`).join("")
    expect(await problem(document(rule({}, { hostname: `${longest}example.com` })))).toBeUndefined()
  })

  it.each(["a", "ab", "my-ingress", "a1b2c3", "a".repeat(63)])("may be named %s", async (name) => {
    expect(await problem({ name, rules: [rule()] })).toBeUndefined()
  })

  it.each(["Invalid_Name", "-a", "a-", "has spaces", "UPPER", "", "has.period", "a".repeat(64), "ä", "a\n"])(
    "may not be named %j",
    async (name) => expect((await problem({ name, rules: [rule()] }))?.[0]).toBe("name"),
  )

  it.each([
    [null, ""],
    ["text", ""],
    [[], ""],
    [{ rules: [rule()] }, "name"],
    [{ name: "a" }, "rules"],
    [{ name: "a", rules: [] }, "rules"],
    [{ name: "a", rules: {} }, "rules"],
    [{ name: "a", rules: Array.from({ length: 1_001 }, () => rule()) }, "rules"],
    [
      {
        name: "a",
        rules: [
          rule(),
          { match: { hostname: "a.com" }, targets: Array.from({ length: 2_000 }, () => ({ url: "http://a:1" })) },
        ],
      },
      "rules",
    ],
    [{ name: "a", rules: [rule()], owner: "b" }, "owner"],
    [document({ ...rule(), rewrites: 1 }), "rules.0.rewrites"],
    [document({ ...rule(), "a\nlevel=error \u001b[2J": 1 }), "rules.0.a?level=error ?[2J"],
    [document(rule({}, { hostname: "" })), "rules.0.match.hostname"],
    [document(rule({}, { hostname: "api-{x}.example.com" })), "rules.0.match.hostname"],
    [document(rule({}, { hostname: "{i}.{i}.example.com" })), "rules.0.match.hostname"],
    [document(rule({}, { hostname: "*" })), "rules.0.match.hostname"],
    [document(rule({}, { hostname: "a..com" })), "rules.0.match.hostname"],
    [document(rule({}, { hostname: "10.0.0.1" })), "rules.0.match.hostname"],
    [document(rule({}, { hostname: `${"a".repeat(64)}.com` })), "rules.0.match.hostname"],
    [document(rule({}, { hostname: "a.com\nb.com" })), "rules.0.match.hostname"],
    [document(rule({}, { hostname: "a.com`) || Host(`b.com" })), "rules.0.match.hostname"],
    [document(rule({}, { port: 0 })), "rules.0.match.port"],
    [document(rule({}, { port: -1 })), "rules.0.match.port"],
    [document(rule({}, { port: 70_000 })), "rules.0.match.port"],
    [document(rule({}, { port: 1.5 })), "rules.0.match.port"],
    [document(rule({}, { port: "80" })), "rules.0.match.port"],
    [document(rule({}, { path: "api" })), "rules.0.match.path"],
    [document(rule({}, { path: "/a b" })), "rules.0.match.path"],
    [document(rule({}, { method: "get" })), "rules.0.match.method"],
    [document(rule({}, { headers: { "X-A": "1" } })), "rules.0.match.headers.X-A"],
    [document(rule({}, { headers: { "x-a": "1\r\nx-b: 2" } })), "rules.0.match.headers.x-a"],
    [document(rule({ target: { machine: "mach_1" } })), "rules.0.target.port"],
    [document(rule({ target: { machine: "mach_1", port: 0 } })), "rules.0.target.port"],
    [document(rule({ target: {} })), "rules.0.target"],
    [document(rule({ target: { machine: "a", project: "b", port: 1 } })), "rules.0.target"],
    [document(rule({ target: { machine: "a", instance: "b", port: 1 } })), "rules.0.target.instance"],
    [document(rule({ target: { instance: "x{a}", port: 1 } })), "rules.0.target.machine"],
    [document(rule({ target: { capture: "a", port: 1 } })), "rules.0.target.capture"],
    [document(rule({ target: { url: "http://a/b" } })), "rules.0.target.url"],
    [document(rule({ target: { url: "http://u:p@a" } })), "rules.0.target.url"],
    [document(rule({ target: { url: "http://a:0" } })), "rules.0.target.url"],
    [document(rule({ target: { url: "ftp://a" } })), "rules.0.target.url"],
    [document(rule({ target: { url: "tcp://a:1" } })), "rules.0.target.url"],
    [document(rule({ target: { url: "http://a:1", port: 1 } })), "rules.0.target.port"],
    [document({ match: { hostname: "a.com" } }), "rules.0.target"],
    [document({ match: { hostname: "a.com" }, targets: [] }), "rules.0.target"],
    [document({ match: { hostname: "a.com" }, targets: [{ machine: "a", port: 1, weight: 0 }] }), "rules.0.targets"],
    [document(rule({ targets: [{ machine: "a", port: 1 }] })), "rules.0.targets"],
    [document(rule({ redirectHttp: true })), "rules.0.redirectHttp"],
    [document(rule({ passthrough: true })), "rules.0.passthrough"],
    [document(rule({ proxyProtocol: 3 })), "rules.0.proxyProtocol"],
    [document(rule({ allowCidrs: [] })), "rules.0.allowCidrs"],
    [document(rule({ allowCidrs: ["foo"] })), "rules.0.allowCidrs.0"],
    [document(rule({ requireHeader: { name: "x-key" } })), "rules.0.requireHeader"],
    [document(rule({ requireHeader: { name: "x-key", value: "short" } })), "rules.0.requireHeader.value"],
    [document(rule({ requireHeader: { name: "host", value: "v".repeat(32) } })), "rules.0.requireHeader.name"],
    [document(rule({ responseHeaders: { set: { "set-cookie": "a" } } })), "rules.0.responseHeaders.set.set-cookie"],
    [document(rule({ healthCheck: { path: "x" } })), "rules.0.healthCheck.path"],
    [document(rule({}, { protocol: "tcp" })), "rules.0.match.hostname"],
    [document(rule({}, { protocol: "udp", port: 1 })), "rules.0.match.hostname"],
    [document({ match: { protocol: "udp" }, target: { url: "udp://a:1" } }), "rules.0.match.port"],
    [document({ match: { protocol: "tcp", port: 1, path: "/" }, target: { url: "tcp://a:1" } }), "rules.0.match.path"],
  ])("is refused with the field that is wrong: %j", async (input, field) => {
    expect((await problem(input))?.[0]).toBe(field)
  })

  it("names no value that may be a secret", async () => {
    const secret = `${"s3cret".repeat(6)} `
    const message = await decodeIngress(document(rule({ requireHeader: { name: "x-key", value: secret } }))).catch(
      String,
    )
    expect(message).toContain("rules.0.requireHeader.value must be 32 to 256 characters")
    expect(message).not.toContain("s3cret")
  })

  it("that may be anything is decoded or refused, and nothing else happens", async () => {
    const part = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.boolean())
    const anything = fc.letrec<{ readonly node: unknown }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 5 },
        part,
        fc.array(tie("node"), { maxLength: 3 }),
        fc.dictionary(
          fc.constantFrom(
            "name",
            "rules",
            "match",
            "target",
            "targets",
            "hostname",
            "port",
            "path",
            "machine",
            "url",
            "__proto__",
          ),
          tie("node"),
          { maxKeys: 4 },
        ),
      ),
    })).node
    await fc.assert(
      fc.asyncProperty(anything, async (input) => {
        const cause: unknown = await decodeIngress(input).then(
          () => undefined,
          (error: unknown) => error,
        )
        expect(cause === undefined || cause instanceof IngressInvalid).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})

describe("the normal form", () => {
  it("has the words of others in ours", async () => {
    expect(
      await accepted({ match: { hostname: "A.Example.com.", port: 80 }, target: { instance: "my-api", port: 8080 } }),
    ).toEqual({
      match: {
        protocol: "http",
        hostname: { text: "a.example.com", wildcard: "a.example.com", captures: [] },
        port: 80,
      },
      targets: [{ kind: "machine", weight: 1, machine: "my-api", port: 8080, protocol: "http" }],
    })
    expect(
      await accepted({
        match: { hostname: "{instance}.x.com" },
        target: { instance: "{instance}", port: 1 },
        tls: true,
        redirect_http: true,
      }),
    ).toMatchObject({
      match: { hostname: { wildcard: "*.x.com", captures: [{ name: "instance", label: 0 }] } },
      targets: [{ kind: "capture", capture: "instance", port: 1 }],
      tls: true,
      redirectHttp: true,
    })
  })

  it.each([
    ["/api", { prefix: "/api" }],
    ["/api/", { prefix: "/api" }],
    [{ prefix: "/api//" }, { prefix: "/api" }],
    [{ exact: "/api/" }, { exact: "/api/" }],
    [{ exact: "/" }, { exact: "/" }],
    ["/", undefined],
    [{ prefix: "/" }, undefined],
  ])("has the path %j as %j", async (path, expected) => {
    expect((await accepted(rule({}, { path }))).match.path).toEqual(expected)
  })

  it.each([
    ["http://10.0.0.5", "10.0.0.5", 80, "http"],
    ["http://10.0.0.5/", "10.0.0.5", 80, "http"],
    ["https://App.Internal", "app.internal", 443, "https"],
    ["h2c://app:9000", "app", 9000, "h2c"],
    ["http://0x7f.1:1", "127.0.0.1", 1, "http"],
    ["http://[::ffff:7f00:1]:1", "::ffff:7f00:1", 1, "http"],
  ])("has the address %s in one spelling", async (url, host, port, protocol) => {
    expect((await accepted(rule({ target: { url } }))).targets).toEqual([
      { kind: "url", weight: 1, host, port, protocol },
    ])
  })

  it("has the hash of a required value, and the value only if it was given", async () => {
    const value = "a".repeat(32)
    const { requireHeader } = await accepted(rule({ requireHeader: { name: "x-key", value } }))
    expect(requireHeader).toEqual({ name: "x-key", value, sha256: expect.stringMatching(/^[\da-f]{64}$/) as string })
    const { sha256 } = requireHeader!
    expect((await accepted(rule({ requireHeader: { name: "x-key", sha256 } }))).requireHeader).toEqual({
      name: "x-key",
      sha256,
    })
    expect(
      await problem(document(rule({ requireHeader: { name: "x-key", value, sha256: "0".repeat(64) } }))),
    ).toBeDefined()
  })
})
