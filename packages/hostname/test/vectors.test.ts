import { describe, expect, it } from "vitest"
import { parse, parseCustomDomain, portOf, routeKey, url, type TargetInput } from "../src/hostname.ts"
import { grammar } from "./grammar.ts"
import { check, count, vectors } from "./vectors-check.ts"

const { domain, cases } = vectors.customDomain

const refused = (tag: unknown, host: string, rest: object) => ({ _tag: `Hostname${String(tag)}`, host, ...rest })
const withoutReason = (outcome: object) =>
  Object.fromEntries(Object.entries(outcome).filter(([key]) => key !== "reason"))

describe("parse", () => {
  it.each(vectors.cases)("reads $host", ({ host, expect: { tag, ...rest } }) => {
    const outcome = parse(grammar, host)
    expect(withoutReason(outcome)).toStrictEqual(tag === "Target" ? { _tag: tag, ...rest } : refused(tag, host, rest))
  })

  it.each([
    ["misha.iterate.app:", "authority"],
    ["misha.iterate.app:080", "authority"],
    [":80", "authority"],
    [".", "labels"],
    ["misha.iterate.app..", "labels"],
    [`${"a".repeat(64)}.iterate.app`, "labels"],
    [`iterate.${"a".repeat(64)}`, "labels"],
    [`${"a.".repeat(121)}xiterate.app`, "authority"],
    [`${"a.".repeat(121)}xiterate.app:80`, "authority"],
    ["a.b.machines.iterate.app", "labels"],
    ["4096.mach_123.iterate.app", "labels"],
    ["4096.mach_123.machines.iterate.app", "labels"],
    ["opencode--mach_123.iterate.app", "port"],
    ["opencode--mach_123.machines.iterate.app", "port"],
    ["70000--misha.iterate.app", "port"],
    ["70000--www.iterate.app", "port"],
    ["--misha.iterate.app", "port"],
    ["70000.misha.iterate.app", "port"],
    ["04096.misha.iterate.app", "port"],
    ["a_b.misha.iterate.app", "port"],
    ["a--b.misha.iterate.app", "port"],
    ["xn.misha.iterate.app", "port"],
    ["70000.banana_test.iterate.app", "port"],
    ["4096__mach_a__b.iterate.app", "machine"],
    ["4096__mach_a_.machines.iterate.app", "machine"],
    ["machines.machines.iterate.app", "machine"],
    ["4096__xn--bcher-kva.iterate.app", "slug"],
    ["opencode---misha.iterate.app", "slug"],
    ["opencode--a--b.iterate.app", "slug"],
    ["opencode--1234.iterate.app", "slug"],
    ["opencode.4096__misha.iterate.app", "slug"],
    ["misha~x.iterate.app", "authority"],
  ])("finds %s malformed in its %s", (host, part) => {
    const outcome = parse(grammar, host)
    expect(outcome).toMatchObject({ _tag: "HostnameMalformed", host, part })
    expect(outcome).toHaveProperty("reason", expect.stringMatching(/^["A-Z].+\.$/))
  })

  it.each(["4096__www", "4096--www", "opencode--www", "4096.www", "a.b.c.www", "machines", "4096__machines"])(
    "leaves the reserved name in %s to the caller",
    (label) => {
      expect(parse(grammar, `${label}.iterate.app`)._tag).toBe("HostnameForeign")
    },
  )

  it("takes digits for a slug as soon as a hyphen joins them", () => {
    expect(parse(grammar, "4096__2024-01.iterate.app")).toMatchObject({ slug: "2024-01", port: 4096 })
  })

  it("takes a machine id with single hyphens and underscores", () => {
    const machine = "mach_550e8400-e29b_41d4"
    expect(parse(grammar, `4096--${machine}.iterate.app`)).toMatchObject({ machine, port: 4096 })
  })
})

describe("parseCustomDomain", () => {
  it.each(cases)("reads $host", ({ host, expect: { tag, ...rest } }) => {
    const outcome = parseCustomDomain(grammar, host, domain)
    const wanted = tag === "Target" ? { _tag: tag, customDomain: domain, ...rest } : refused(tag, host, rest)
    expect(withoutReason(outcome)).toStrictEqual(wanted)
  })

  it.each([
    ["4096--mach_1.templestein.com", { kind: "machine", machine: "mach_1", port: 4096 }],
    ["templestein.com.:443", { kind: "project", customDomain: domain }],
    ["opencode--misha.templestein.com", { part: "port" }],
    ["banana_test.templestein.com", { part: "port" }],
    ["xtemplestein.com", { _tag: "HostnameForeign" }],
  ])("reads %s", (host, wanted) => {
    expect(parseCustomDomain(grammar, host, "Templestein.com")).toMatchObject(wanted)
  })

  it.each(["iterate.app", "misha.iterate.app", "", "127.0.0.1", "-a.com"])(
    "never takes %j for a custom domain",
    (name) => {
      expect(parseCustomDomain(grammar, name || "x", name)._tag).toBe("HostnameForeign")
    },
  )
})

describe("url", () => {
  it.each(vectors.urls)("builds $url", ({ target: { path, ...target }, url: expected }) => {
    expect(url(grammar, target as unknown as TargetInput, path as string | undefined)).toHaveProperty("href", expected)
  })
})

describe("portOf and routeKey", () => {
  it.each([
    [{ kind: "project", slug: "misha" }, undefined, "p:misha"],
    [{ kind: "project", slug: "misha", port: 80 }, 80, "p:misha"],
    [{ kind: "project", slug: "misha", service: "terminal" }, 4096, "p:misha"],
    [{ kind: "project", slug: "misha", service: "constructor" }, undefined, "p:misha"],
    [{ kind: "machine", machine: "mach_123", port: 80 }, 80, "m:mach_123"],
    [{ kind: "project", customDomain: "www.example.com", service: "opencode" }, 4096, "d:www.example.com"],
  ] as const)("knows %j", (target, port, key) => {
    expect(portOf(grammar, target)).toBe(port)
    expect(routeKey(target)).toBe(key)
  })
})

describe("the check that the other runtimes run", () => {
  it("passes every vector and reports a wrong one", () => {
    expect(count(vectors)).toBeGreaterThan(70)
    expect(check()).toEqual([])
    const wrong = { ...vectors, cases: [{ host: "misha.iterate.app", expect: { tag: "Foreign" } }] }
    expect(check(wrong)).toHaveLength(1)
  })
})
