import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { candidates, format, isPlatformName, parse, parseCustomDomain, routeKey } from "../src/hostname.ts"
import { nearHost, target } from "./arbitraries.ts"
import { grammar } from "./grammar.ts"

const keysOf = (host: string, localPort?: number) => {
  const found = candidates(grammar, host, localPort === undefined ? {} : { localPort })
  return "_tag" in found ? found._tag : found.map(({ key }) => key)
}

describe("a name under the platform's own domains", () => {
  it.each([
    ["misha.iterate.app", ["p:misha"]],
    ["4096__misha.iterate.app:8787", ["p:misha"]],
    ["OpenCode--Misha.Iterate.App.", ["p:misha"]],
    ["4096__mach_1.machines.iterate.app", ["m:mach_1"]],
    ["misha.dev-x.dev.iterate.com", ["p:misha"]],
    ["iterate.app", []],
    ["www.iterate.app", []],
    ["a.b.www.iterate.app", []],
    ["0__misha.iterate.app", "HostnameMalformed"],
    ["a.b.c.iterate.app", "HostnameMalformed"],
  ])("has one key, or none: %s", (host, keys) => {
    expect(keysOf(host)).toEqual(keys)
    // The listening port changes nothing: such a name is never looked up under d:.
    expect(keysOf(host, 5432)).toEqual(keys)
  })

  it("keeps the target that parse gives", () => {
    expect(candidates(grammar, "4096__misha.iterate.app")).toEqual([
      { key: "p:misha", target: parse(grammar, "4096__misha.iterate.app") },
    ])
  })
})

describe("a name of anybody else's domain", () => {
  it.each([
    ["example.com", ["d:example.com", "d:com", "d:*.com"]],
    ["www.example.com", ["d:www.example.com", "d:example.com", "d:*.example.com", "d:*.com"]],
    ["WWW.Example.COM.:8443", ["d:www.example.com", "d:example.com", "d:*.example.com", "d:*.com"]],
    ["4096__mach_1.example.com", ["d:example.com"]],
    ["mach_1.example.com", ["d:example.com"]],
    ["xiterate.app", ["d:xiterate.app", "d:app", "d:*.app"]],
    // No port, service or machine: only its own record, or a wildcard's.
    ["70000.example.com", ["d:70000.example.com", "d:*.example.com", "d:*.com"]],
    ["a--b.example.com", ["d:a--b.example.com", "d:*.example.com", "d:*.com"]],
    ["a_b.example.com", []],
    ["localhost", ["d:localhost"]],
  ])("is looked up exactly, then by its first label, then by wildcards: %s", (host, keys) => {
    expect(keysOf(host)).toEqual(keys)
  })

  it("asks for four wildcards at most, the longest first", () => {
    expect(keysOf("a.b.c.d.e.example.com")).toEqual([
      "d:a.b.c.d.e.example.com",
      "d:b.c.d.e.example.com",
      "d:*.b.c.d.e.example.com",
      "d:*.c.d.e.example.com",
      "d:*.d.e.example.com",
      "d:*.e.example.com",
    ])
  })

  it("is looked up by the listening port first, never by the port of Host", () => {
    expect(keysOf("db.example.com:1234", 5432)[0]).toBe("d:5432:db.example.com")
    expect(keysOf("db.example.com:1234")[0]).toBe("d:db.example.com")
  })

  it("says what the name means if a key leads somewhere", () => {
    const targets = (host: string) => {
      const found = candidates(grammar, host)
      return "_tag" in found ? [] : found.map(({ target: { _tag, ...target } }) => target)
    }
    expect(targets("4096.www.example.com").slice(0, 3)).toEqual([
      { kind: "project", customDomain: "4096.www.example.com" },
      { kind: "project", customDomain: "www.example.com", port: 4096 },
      { kind: "project", customDomain: "4096.www.example.com" },
    ])
    expect(targets("opencode.www.example.com")[1]).toEqual({
      kind: "project",
      customDomain: "www.example.com",
      service: "opencode",
    })
    expect(targets("4096__mach_1.example.com")).toEqual([
      { kind: "machine", machine: "mach_1", customDomain: "example.com", port: 4096 },
    ])
  })

  it.each(["127.0.0.1", "[::1]:80", "1.2.3.0x4", "2130706433", "x.127.0.0.1"])(
    "is nothing if it is an address: %s",
    (host) => {
      expect(keysOf(host)).toEqual([])
    },
  )

  it.each(["a..b", "", "a,b.example.com", "é.example.com", "x".repeat(300)])("is malformed: %j", (host) => {
    expect(keysOf(host)).toBe("HostnameMalformed")
  })
})

describe("any host", () => {
  const label = fc.constantFrom(
    "a",
    "4096",
    "opencode",
    "mach_1",
    "4096__mach_1",
    "www",
    "misha",
    "machines",
    "xn--a",
    "*",
  )
  const suffix = fc.constantFrom("", ".", "iterate.app", "example.com", "dev-x.dev.iterate.com", "co.uk", "com", "1")
  const host = fc.oneof(
    nearHost,
    fc.string({ unit: "binary" }),
    fc.tuple(fc.array(label, { maxLength: 7 }), suffix).map(([labels, end]) => [...labels, end].join(".")),
  )

  it("has at most 7 keys, each once, under d: only what is not the platform's", () => {
    fc.assert(
      fc.property(host, fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }), (text, localPort) => {
        const keys = keysOf(text, localPort)
        if (typeof keys === "string") return
        expect(keys.length).toBeLessThanOrEqual(7)
        expect(new Set(keys).size).toBe(keys.length)
        for (const key of keys) {
          if (!key.startsWith("d:")) continue
          expect(isPlatformName(grammar, key.replace(/^d:(?:\d+:)?/, ""))).toBe(false)
          expect(isPlatformName(grammar, text.replace(/:\d+$/, ""))).toBe(false)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it("agrees with parse and parseCustomDomain wherever those read a target", () => {
    let read = 0
    const named = target.map((given) => format(grammar, given)).filter((name) => typeof name === "string")
    fc.assert(
      fc.property(fc.oneof(host, named), (text) => {
        const found = candidates(grammar, text)
        const own = parse(grammar, text)
        const name = text.toLowerCase().replace(/\.?(?::\d+)?$/, "")
        const domains = isPlatformName(grammar, name) ? [] : [name, name.slice(name.indexOf(".") + 1)]
        const custom = domains.flatMap((domain) => {
          const target = parseCustomDomain(grammar, text, domain)
          return target._tag === "Target" ? [{ key: `d:${domain}`, target }] : []
        })
        const expected: unknown[] = own._tag === "Target" ? [{ key: routeKey(own), target: own }] : custom
        read += expected.length
        expect("_tag" in found ? [] : found).toEqual(expect.arrayContaining(expected))
      }),
      { numRuns: 2000 },
    )
    expect(read).toBeGreaterThan(100)
  })
})

describe("isPlatformName", () => {
  it.each(["iterate.app", "x.iterate.app", "*.iterate.app", "WWW.iterate.app.", "a.b.c.dev-x.dev.iterate.com"])(
    "takes the platform's domains and all below: %s",
    (name) => expect(isPlatformName(grammar, name)).toBe(true),
  )
  it.each(["notiterate.app", "iterate.com", "dev.iterate.com", "iterate.app.evil.com", ""])(
    "and no other: %s",
    (name) => expect(isPlatformName(grammar, name)).toBe(false),
  )
})
