import { describe, expect, it } from "vitest"
import { defineGrammar, format, parse, parseCustomDomain, url, type TargetInput } from "../src/hostname.ts"
import { grammar } from "./grammar.ts"

describe("a machine and a project", () => {
  it.each(["mach-123", "mach123", "xmach_123", "mach"])("are not confused in %s", (label) => {
    expect(parse(grammar, `${label}.iterate.app`)).not.toMatchObject({ kind: "machine" })
    expect(parse(grammar, `${label}.machines.iterate.app`)).not.toMatchObject({ kind: "project" })
    expect(parseCustomDomain(grammar, `${label}.example.com`, "example.com")).not.toMatchObject({ kind: "machine" })
  })

  it("have a hyphen for the underscore of an id's prefix below the label of machines alone", () => {
    const machine = { kind: "machine", machine: "mach_123" }
    expect(parse(grammar, "mach-123.machines.iterate.app")).toMatchObject(machine)
    expect(parse(grammar, "80--mach-123.machines.iterate.app")).toMatchObject({ ...machine, port: 80 })
    expect(parse(grammar, "80__mach-123.machines.iterate.app")).toMatchObject({ ...machine, port: 80 })
    expect(parse(grammar, "80--mach-123.iterate.app")).toMatchObject({ slug: "mach-123", port: 80 })
    for (const label of ["mach123", "mach--123", "mach-", "xmach-123", "mach"]) {
      expect(parse(grammar, `${label}.machines.iterate.app`)).toMatchObject({ _tag: "HostnameMalformed" })
    }
    // The id itself has its underscore: no other spelling of it is formatted.
    const dashed = defineGrammar({ domains: ["iterate.app"], separator: "--" })
    expect(format(dashed, { kind: "machine", machine: "mach-123" })).toMatchObject({ part: "machine" })
    expect(format(dashed, { kind: "machine", machine: "xach_123" })).toMatchObject({ part: "machine" })
  })

  it("cannot take each other's name when formatted", () => {
    expect(format(grammar, { kind: "project", slug: "mach_123" })).toMatchObject({ _tag: "HostnameMalformed" })
    expect(format(grammar, { kind: "machine", machine: "misha" })).toMatchObject({ part: "machine" })
    expect(format(grammar, { kind: "project", slug: "machines" })).toMatchObject({ _tag: "HostnameMalformed" })
  })
})

describe("a host of somebody else", () => {
  it.each([
    "misha.iterate.app.evil.com",
    "misha-iterate.app",
    "iterate.app.",
    "evil.com:443",
    "127.0.0.1",
    "2130706433",
    "0x7f.1",
    "[::1]",
    "[::ffff:127.0.0.1]:80",
    "4096__misha.iterate.ap",
  ])("is foreign: %s", (host) => {
    expect(parse(grammar, host)).toEqual({ _tag: "HostnameForeign", host })
  })
})

describe("an authority that two readers would read differently", () => {
  it.each([
    "user:pass@misha.iterate.app",
    "evil.com#.iterate.app",
    "evil.com/.iterate.app",
    "evil.com\\.iterate.app",
    "evil.com?.iterate.app",
    "misha%2eiterate.app",
    "evil.com%00.iterate.app",
    "misha\0.iterate.app",
    "misha.iterate.app\r\nx: y",
    "misha.iterate.app\t",
    " misha.iterate.app",
    "misha.iterate.app,evil.com",
    "evil.com,.iterate.app",
    "ｍisha.iterate.app",
    "misha。iterate.app",
    "misha.iterate.app:80:80",
    "misha.iterate.app:+80",
    "misha.iterate.app:٨٠",
    "mıſha.iterate.app",
    "[::1].iterate.app",
    "[misha.iterate.app",
    "::1",
    "[]",
  ])("is malformed: %j", (host) => {
    expect(parse(grammar, host)).toMatchObject({ _tag: "HostnameMalformed", part: "authority" })
  })
})

describe("an internationalized label", () => {
  it.each(["xn--misha", "xn--bcher-kva", "4096__xn--bcher-kva", "opencode--xn--a"])("is never a slug: %s", (label) => {
    expect(parse(grammar, `${label}.iterate.app`)).toMatchObject({ part: "slug" })
  })

  it("is not written by a service called xn either", () => {
    expect(format(grammar, { kind: "project", slug: "misha", service: "xn" })).toMatchObject({
      _tag: "HostnameMalformed",
    })
  })
})

describe("a refusal", () => {
  it("holds no more than 260 characters of the host", () => {
    const outcome = parse(grammar, "é".repeat(65_536))
    expect(outcome).toMatchObject({ part: "authority" })
    expect(JSON.stringify(outcome).length).toBeLessThan(500)
  })
})

describe("an invalid target", () => {
  it.each([
    { slug: "evil.com/" },
    { slug: "evil.com#" },
    { slug: "user@evil" },
    { slug: "a:80" },
    { slug: "a.b" },
    { slug: "" },
    { slug: "MISHA" },
    { slug: "4096__misha" },
    { slug: "opencode--misha" },
    { slug: "www" },
    { slug: "1234" },
    { slug: undefined },
    { slug: "misha", port: 0 },
    { slug: "misha", port: -1 },
    { slug: "misha", port: 80.5 },
    { slug: "misha", port: 65_536 },
    { slug: "misha", port: Number.NaN },
    { slug: "misha", port: "80" },
    { slug: "misha", service: "" },
    { slug: "misha", service: "4096" },
    { slug: "misha", service: "A" },
    { slug: "misha", service: "opencode", port: 80 },
    { slug: "misha", domain: "evil.com" },
    { slug: "misha", domain: "" },
    { slug: "misha", domain: "Iterate.app" },
    { slug: "misha", domain: "iterate.app." },
    { slug: "misha", domain: "iterate.app:80" },
    { customDomain: "evil.com/" },
    { customDomain: "iterate.app" },
    { customDomain: "misha.iterate.app" },
    { customDomain: "Example.com" },
    { customDomain: "127.0.0.1" },
    { customDomain: "example.com", slug: "misha" },
    { customDomain: "example.com", service: "web", port: 4096 },
    { kind: "machine", machine: "mach_" },
    { kind: "machine", machine: "mach_1.x" },
    { kind: "machine", machine: undefined },
    { kind: "machine", machine: "mach_1", service: "opencode" },
  ])("has no hostname and no URL: %j", (fields) => {
    const target = { kind: "project", ...fields } as unknown as TargetInput
    expect(format(grammar, target)).toMatchObject({ _tag: "HostnameMalformed" })
    expect(url(grammar, target)).toMatchObject({ _tag: "HostnameMalformed" })
  })
})

describe("a grammar", () => {
  it("matches whole labels of its domain, whatever the domain's characters mean elsewhere", () => {
    const local = defineGrammar({ domains: ["localhost"] })
    expect(parse(local, "mishalocalhost")._tag).toBe("HostnameForeign")
    expect(parse(local, "misha.localhost")._tag).toBe("Target")
  })
})
