import { describe, expect, it } from "vitest"
import { parseEmail } from "../src/email.ts"
import { machineEnvironment } from "../src/environment.ts"
import { certificateNames, defineGrammar, format, parse, url } from "../src/hostname.ts"
import type { TargetInput, UrlOptions } from "../src/hostname.ts"
import { grammar } from "./grammar.ts"

const wide = defineGrammar({ domains: ["iterate.app"], maxSlugLength: 63 })
const deep = defineGrammar({ domains: [Array.from({ length: 4 }, () => "a".repeat(60)).join(".")] })
const href = (made: unknown) => (made instanceof URL ? made.href : made)

describe("a target that is too long", () => {
  it.each([
    [grammar, { kind: "project", slug: "a".repeat(51) }, { part: "slug", length: 51, limit: 50 }],
    [wide, { kind: "project", slug: "a".repeat(60), port: 4096 }, { part: "slug", length: 66, limit: 63 }],
    [grammar, { kind: "project", slug: "a", service: "b".repeat(61) }, { part: "service", length: 64, limit: 63 }],
    [grammar, { kind: "machine", machine: `mach_${"a".repeat(60)}` }, { part: "machine", length: 65, limit: 63 }],
    [deep, { kind: "project", slug: "a".repeat(20) }, { part: "domain", length: 264, limit: 253 }],
  ] as const)("names what to shorten", (writer, target, wanted) => {
    expect(format(writer, target)).toEqual({
      _tag: "HostnameTooLong",
      ...wanted,
      reason: expect.stringContaining(wanted.part),
    })
  })

  it("fits when it is one character shorter", () => {
    expect(format(grammar, { kind: "project", slug: "a".repeat(50) })).toBe(`${"a".repeat(50)}.iterate.app`)
    expect(format(wide, { kind: "project", slug: "a".repeat(57), port: 4096 })).toBeTypeOf("string")
    expect(format(deep, { kind: "project", slug: "a".repeat(9) })).toHaveLength(253)
  })
})

describe("format", () => {
  it.each([
    [{ kind: "project", slug: "misha", port: 3000 }, "3000__misha.iterate.app"],
    [{ kind: "project", slug: "misha", service: "opencode" }, "opencode--misha.iterate.app"],
    [{ kind: "project", slug: "misha", domain: "dev-x.dev.iterate.com" }, "misha.dev-x.dev.iterate.com"],
    [{ kind: "machine", machine: "mach_1" }, "mach_1.machines.iterate.app"],
    [{ kind: "machine", machine: "mach_1", customDomain: "example.com", port: 80 }, "80__mach_1.example.com"],
    [{ kind: "project", customDomain: "example.com" }, "example.com"],
  ] as const)("writes %j", (target, hostname) => {
    expect(format(grammar, target)).toBe(hostname)
  })

  it("names the part that is invalid", () => {
    const partOf = (target: TargetInput) => (format(grammar, target) as { part?: string }).part
    expect(partOf({ kind: "project", slug: "misha", port: 65_536 })).toBe("port")
    expect(partOf({ kind: "project", slug: "misha", service: "xn" })).toBe("slug")
    expect(partOf({ kind: "project", slug: "banana_test" })).toBe("slug")
    expect(partOf({ kind: "machine", machine: "mach_-" })).toBe("machine")
  })

  it("writes the grammar's label of machines", () => {
    const other = defineGrammar({ domains: ["iterate.app"], machinesLabel: "m", machinePrefix: "x_" })
    expect(format(other, { kind: "machine", machine: "x_1" })).toBe("x_1.m.iterate.app")
  })

  it.each([
    ["__", ["80__misha", "web--misha", "80__mach_1_a.machines", "mach_1_a.machines", "80__mach_1_a.m.example"]],
    ["--", ["80--misha", "web--misha", "80--mach-1_a.machines", "mach-1_a.machines", "80--mach_1_a.m.example"]],
    [".", ["80.misha", "web.misha", "80--mach-1_a.machines", "mach-1_a.machines", "80--mach_1_a.m.example"]],
  ] as const)("writes the grammar's separator %s", (separator, hostnames) => {
    const by = defineGrammar({ domains: ["test"], separator })
    const machine = { kind: "machine", machine: "mach_1_a" } as const
    const written = [
      format(by, { kind: "project", slug: "misha", port: 80 }),
      format(by, { kind: "project", slug: "misha", service: "web" }),
      format(by, { ...machine, port: 80 }),
      format(by, machine),
      format(by, { ...machine, port: 80, customDomain: "m.example" }),
    ]
    expect(written).toEqual(hostnames.map((name) => (name.endsWith(".example") ? name : `${name}.test`)))
    expect(format(by, { kind: "project", customDomain: "m.example", port: 80 })).toBe("80.m.example")
  })

  it("gives a service and a slug 63 characters each where a dot is between them", () => {
    const nested = defineGrammar({ domains: ["iterate.app"], separator: "." })
    const target = { kind: "project", slug: "a".repeat(50), service: "b".repeat(63) } as const
    expect(format(nested, target)).toBe(`${target.service}.${target.slug}.iterate.app`)
    expect(format(nested, { ...target, service: "b".repeat(64) })).toMatchObject({ part: "service", limit: 63 })
  })
})

describe("url", () => {
  const misha = { kind: "project", slug: "misha", port: 4096 } as const

  it("points at an ingress on another scheme and port", () => {
    const local = defineGrammar({ domains: ["localhost"] })
    expect(href(url(local, misha, "/", { scheme: "http", port: 8787 }))).toBe("http://4096__misha.localhost:8787/")
  })

  it.each([
    ["//evil.com", "/evil.com"],
    ["\\\\evil.com", "/evil.com"],
    ["@evil.com", "/@evil.com"],
    ["/.//evil.com", "/evil.com"],
    ["https://evil.com/", "/https://evil.com/"],
    ["a?b=c#d", "/a?b=c#d"],
    ["", "/"],
  ])("keeps the host for the path %s", (path, expected) => {
    expect(href(url(grammar, misha, path))).toBe(`https://4096__misha.iterate.app${expected}`)
  })

  it("throws a TypeError if the port is invalid", () => {
    for (const port of [Number.NaN, -1, 0, 65_536, 80.5, "80@evil.com" as unknown as number]) {
      expect(() => url(grammar, misha, "/", { port })).toThrow(TypeError)
      expect(() => url(grammar, misha, "/", { port })).toThrow("url: port must be a port from 1 to 65535, got ")
    }
  })

  it.each([
    [{ scheme: "ftp" }, 'url: scheme must be "http" or "https", got "ftp"'],
    [{ scheme: null }, 'url: scheme must be "http" or "https", got null'],
    [{ Port: 80 }, "url: Port is not an option (did you mean port?)"],
    [{ protocol: "http" }, "url: protocol is not an option (the options are scheme, port)"],
  ])("throws a TypeError for the options %j", (options, message) => {
    const make = () => url(grammar, misha, "/", options as UrlOptions)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
    expect(() => machineEnvironment(grammar, misha, options as UrlOptions)).toThrow(message)
  })

  it("leaves out the default port, and only that one", () => {
    expect(href(url(grammar, { ...misha, port: 3000 }))).toBe("https://misha.iterate.app/")
    expect(href(url(grammar, { ...misha, port: 3001 }))).toBe("https://3001__misha.iterate.app/")
    const other = defineGrammar({ domains: ["iterate.app"], defaultPort: 4096 })
    expect(href(url(other, misha))).toBe("https://misha.iterate.app/")
    expect(href(url(other, { ...misha, port: 3000 }))).toBe("https://3000__misha.iterate.app/")
    expect(href(url(grammar, { kind: "machine", machine: "mach_1", port: 3000 }))).toBe(
      "https://mach_1.machines.iterate.app/",
    )
  })

  it("writes a port of a custom domain as the first service that has it", () => {
    const custom = { kind: "project", customDomain: "example.com" } as const
    expect(href(url(grammar, { ...custom, port: 4096 }))).toBe("https://opencode.example.com/")
    expect(href(url(grammar, { ...custom, port: 4097 }))).toBe("https://4097.example.com/")
    expect(href(url(grammar, { ...custom, service: "terminal" }))).toBe("https://terminal.example.com/")
  })

  it("keeps a service by its name, and the port of a machine on a custom domain", () => {
    expect(href(url(grammar, { kind: "project", slug: "misha", service: "web" }))).toBe(
      "https://web--misha.iterate.app/",
    )
    expect(href(url(grammar, { kind: "machine", machine: "mach_1", customDomain: "example.com", port: 4096 }))).toBe(
      "https://4096__mach_1.example.com/",
    )
  })
})

describe("certificateNames", () => {
  const names = certificateNames(grammar)

  it("lists apex, wildcard and machines of every domain", () => {
    expect(names).toEqual([
      "iterate.app",
      "*.iterate.app",
      "*.machines.iterate.app",
      "dev-x.dev.iterate.com",
      "*.dev-x.dev.iterate.com",
      "*.machines.dev-x.dev.iterate.com",
    ])
    const other = defineGrammar({ domains: ["iterate.app"], machinesLabel: "m" })
    expect(certificateNames(other)).toEqual(["iterate.app", "*.iterate.app", "*.m.iterate.app"])
    expect(certificateNames(other, ["misha", "anna"]).slice(3)).toEqual(["*.misha.iterate.app", "*.anna.iterate.app"])
  })

  it.each([
    { kind: "project", slug: "misha" },
    { kind: "project", slug: "misha", service: "opencode" },
    { kind: "machine", machine: "mach_1", port: 80 },
  ] as const)("covers what format writes for %j with one wildcard label", (target) => {
    const hostname = format(grammar, target)
    expect(names).toContain(typeof hostname === "string" ? hostname.replace(/^[^.]+/, "*") : hostname)
  })
})

describe("machineEnvironment", () => {
  it("names the default port, whatever the target's own port", () => {
    const wanted = { INGRESS_BASE_URL: "https://misha.iterate.app", INGRESS_DOMAIN: "iterate.app" }
    expect(machineEnvironment(grammar, { kind: "project", slug: "misha", port: 4096 })).toEqual(wanted)
    expect(machineEnvironment(grammar, { kind: "project", slug: "misha", service: "opencode" })).toEqual(wanted)
  })

  it("follows custom domain, scheme and port, and refuses what has no URL", () => {
    const options = { scheme: "http", port: 8787 } as const
    expect(machineEnvironment(grammar, { kind: "project", customDomain: "example.com" }, options)).toEqual({
      INGRESS_BASE_URL: "http://example.com:8787",
      INGRESS_DOMAIN: "example.com",
    })
    expect(machineEnvironment(grammar, { kind: "project", slug: "misha", domain: "dev-x.dev.iterate.com" })).toEqual({
      INGRESS_BASE_URL: "https://misha.dev-x.dev.iterate.com",
      INGRESS_DOMAIN: "dev-x.dev.iterate.com",
    })
    expect(machineEnvironment(grammar, { kind: "project", slug: "www" })).toMatchObject({ _tag: "HostnameMalformed" })
  })
})

describe("parseEmail", () => {
  it.each(["anything", "a.b+c", "A!#$%&'*+/=?^_`{|}~-", "a".repeat(64)])("takes the local part %s", (localPart) => {
    expect(parseEmail(grammar, `${localPart}@Misha.Iterate.App`)).toEqual({
      _tag: "Mailbox",
      localPart,
      target: parse(grammar, "misha.iterate.app"),
    })
  })

  it.each(["x@iterate.app", "x@example.com", "x@www.iterate.app", "x@[127.0.0.1]", "x@[::1]"])(
    "is foreign: %s",
    (address) => {
      expect(parseEmail(grammar, address)).toEqual({ _tag: "HostnameForeign", host: address })
    },
  )

  it("quotes at most 260 characters of an address", () => {
    const address = `${"a".repeat(64)}@${"b.".repeat(120)}example`
    expect(parseEmail(grammar, address)).toEqual({ _tag: "HostnameForeign", host: address.slice(0, 260) })
  })

  it.each([
    ["", "authority"],
    ["misha.iterate.app", "authority"],
    ["@misha.iterate.app", "authority"],
    ["x@", "authority"],
    ["x@y@misha.iterate.app", "authority"],
    [".x@misha.iterate.app", "authority"],
    ["x.@misha.iterate.app", "authority"],
    ["x..y@misha.iterate.app", "authority"],
    ['"x y"@misha.iterate.app', "authority"],
    ["ü@misha.iterate.app", "authority"],
    ["x\n@misha.iterate.app", "authority"],
    ["x@misha.iterate.app\n", "authority"],
    ["x@misha.iterate.app:25", "authority"],
    ["x@misha.iterate.app.", "authority"],
    ["<x@misha.iterate.app>", "authority"],
    [`${"a".repeat(65)}@misha.iterate.app`, "authority"],
    [`x@${"a".repeat(65_536)}`, "authority"],
    // Valid up to the 319th character.
    [`${"a".repeat(64)}@[${":".repeat(252)}]x`, "authority"],
    ["x@4096__misha.iterate.app", "port"],
    ["x@opencode.misha.iterate.app", "port"],
    ["x@mach_1.iterate.app", "machine"],
    ["x@banana_test.iterate.app", "slug"],
  ])("is malformed: %j in its %s", (address, part) => {
    expect(parseEmail(grammar, address)).toMatchObject({ _tag: "HostnameMalformed", part, host: address.slice(0, 260) })
  })
})
