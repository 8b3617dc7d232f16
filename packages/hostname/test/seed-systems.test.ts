/** Cases of the systems that this package replaces, by their ids. `OURS` says where our result is another one on purpose. */
import { describe, expect, it } from "vitest"
import { machineEnvironment } from "../src/environment.ts"
import { candidates, defineGrammar, format, isPlatformName, parse, parseCustomDomain, url } from "../src/hostname.ts"
import type { Target, TargetInput } from "../src/hostname.ts"

const grammar = defineGrammar({
  domains: ["iterate.app", "dev-x.dev.iterate.app", "dev-jonas-os.dev.iterate.com"],
  services: { opencode: 4096 },
  // A domain below another one is below a reserved label of it.
  reserved: ["org", "prj", "dev"],
})
const described = (target: Target) =>
  [
    target.kind === "project" ? (target.slug ?? "") : target.machine,
    target.port ?? target.service ?? "implicit",
    target.customDomain ?? target.domain,
  ].join(" ")
const href = (made: unknown) => (made instanceof URL ? made.href : made)
const read = (outcome: ReturnType<typeof parse> | ReturnType<typeof parseCustomDomain>): string =>
  outcome._tag === "HostnameForeign"
    ? "foreign"
    : outcome._tag === "HostnameMalformed"
      ? `malformed ${outcome.part}`
      : described(outcome)

describe("S0: a hostname of the platform", () => {
  it.each([
    ["0-01", "my-proj.iterate.app", "my-proj implicit iterate.app"],
    ["0-02", "4096__my-proj.iterate.app", "my-proj 4096 iterate.app"],
    ["0-03", "mach_abc123.iterate.app", "mach_abc123 implicit iterate.app"],
    ["0-04", "4096__mach_abc123.iterate.app", "mach_abc123 4096 iterate.app"],
    ["0-05", "mach_123.machines.iterate.app", "mach_123 implicit iterate.app"],
    ["0-05", "4096__mach_123.machines.iterate.app", "mach_123 4096 iterate.app"],
    ["0-06", "my-proj.dev-x.dev.iterate.app", "my-proj implicit dev-x.dev.iterate.app"],
    ["0-07", "4096__banana.dev-jonas-os.dev.iterate.com", "banana 4096 dev-jonas-os.dev.iterate.com"],
    // OURS: the apex is no mistake, it is the caller's.
    ["0-08", "iterate.app", "foreign"],
    ["0-09", "0__proj.iterate.app", "malformed port"],
    ["0-09", "abc__proj.iterate.app", "malformed port"],
    ["0-09", "70000__proj.iterate.app", "malformed port"],
    ["0-09", "__proj.iterate.app", "malformed port"],
    ["0-09", "4096__.iterate.app", "malformed slug"],
    // OURS: reserved names are the caller's own.
    ["0-10", "org.iterate.app", "foreign"],
    ["0-10", "prj.iterate.app", "foreign"],
    ["0-11", "banana_test.dev-x.dev.iterate.app", "malformed slug"],
    ["0-12", "1234.iterate.app", "malformed slug"],
    ["0-12", `${"a".repeat(51)}.iterate.app`, "malformed slug"],
    ["0-13", "My-Proj.Iterate.App", "my-proj implicit iterate.app"],
    ["0-14", "3000__x.iterate.app", "x 3000 iterate.app"],
    // OURS: one spelling of a port, so that no name has two.
    ["0-15", "0080__x.iterate.app", "malformed port"],
    ["0-16", "my-proj.example.com", "foreign"],
    ["0-16", "my-proj.dev-x.dev.iterate.app", "my-proj implicit dev-x.dev.iterate.app"],
  ])("%s: %s is %s", (_, host, expected) => expect(read(parse(grammar, host))).toBe(expected))

  it("0-14: a port that is written stays written", () => {
    expect(format(grammar, parse(grammar, "3000__x.iterate.app") as Target)).toBe("3000__x.iterate.app")
  })

  it("0-17: OURS: no globs, but the domains that are ours, each by its name", () => {
    const domains = ["iterate.town", "jonas.dev.iterate.com", "p.os.iterate.com"] as const
    const several = defineGrammar({ domains })
    for (const host of [
      "misha.iterate.town",
      "misha.jonas.dev.iterate.com",
      "mach_123.jonas.dev.iterate.com",
      "misha.p.os.iterate.com",
    ]) {
      expect(parse(several, host)._tag).toBe("Target")
    }
    for (const host of ["jonas.dev.iterate.com", "google.com"])
      expect(parse(several, host)._tag).toBe("HostnameForeign")
  })
})

describe("S0: a hostname of a custom domain", () => {
  it.each([
    ["0-20", "templestein.com", "templestein.com", " implicit templestein.com"],
    ["0-21", "templestein.com", "4096.templestein.com", " 4096 templestein.com"],
    ["0-21", "templestein.com", "opencode.templestein.com", " opencode templestein.com"],
    ["0-22", "templestein.com", "4096__mach_abc123.templestein.com", "mach_abc123 4096 templestein.com"],
    ["0-22", "templestein.com", "mach_abc123.templestein.com", "mach_abc123 implicit templestein.com"],
    ["0-23", "iterate.templestein.com", "4096.iterate.templestein.com", " 4096 iterate.templestein.com"],
    ["0-24", "templestein.com", "example.com", "foreign"],
    ["0-25", "templestein.com", "a.b.templestein.com", "malformed labels"],
    // OURS: a service, which the record may know.
    ["0-25", "templestein.com", "foo.templestein.com", " foo templestein.com"],
    ["0-25", "templestein.com", "4096__slug.templestein.com", "malformed machine"],
    ["0-25", "templestein.com", "70000.templestein.com", "malformed port"],
    ["0-26", "templestein.com", "OpenCode.Templestein.COM", " opencode templestein.com"],
    ["0-27", "shop.co.uk", "shop.co.uk", " implicit shop.co.uk"],
    ["0-27", "shop.co.uk", "4096.shop.co.uk", " 4096 shop.co.uk"],
    ["0-27", "shop.co.uk", "opencode.shop.co.uk", " opencode shop.co.uk"],
    ["0-27", "shop.co.uk", "mach_1.shop.co.uk", "mach_1 implicit shop.co.uk"],
  ])("%s: on %s, %s is %j", (_, domain, host, expected) =>
    expect(read(parseCustomDomain(grammar, host, domain))).toBe(expected),
  )

  it("0-29: the platform's own names are no custom domains, and no name is taken for one of them", () => {
    const own = defineGrammar({ domains: ["iterate.app", "iterate.com", "nustom.com"] })
    const names = ["iterate.com", "x.iterate.app", "nustom.com", "notiterate.com"]
    expect(names.map((name) => isPlatformName(own, name))).toEqual([true, true, true, false])
  })

  it("0-107: a name leads to its exact key, then to wildcards above it; OURS: `__` is read, and no name is a wildcard's own", () => {
    const keys = candidates(grammar, "events--proj.ingress.iterate.com") as readonly { readonly key: string }[]
    expect(keys.map(({ key }) => key)).toEqual([
      "d:events--proj.ingress.iterate.com",
      "d:*.ingress.iterate.com",
      "d:*.iterate.com",
      "d:*.com",
    ])
  })
})

describe("S0: a URL", () => {
  const project = { kind: "project", slug: "my-proj" } as const
  const custom = { kind: "project", customDomain: "templestein.com" } as const
  it.each<[string, TargetInput, string | undefined, string]>([
    // OURS: 3000 is written where it is meant; the default is a target without a port.
    ["0-30", project, undefined, "https://my-proj.iterate.app/"],
    ["0-31", { ...project, port: 4096 }, "foo", "https://4096__my-proj.iterate.app/foo"],
    ["0-32", { ...custom, port: 4096 }, undefined, "https://opencode.templestein.com/"],
    ["0-32", { ...custom, port: 8080 }, undefined, "https://8080.templestein.com/"],
    ["0-32", custom, undefined, "https://templestein.com/"],
    // OURS: under the label of machines, which one certificate covers.
    [
      "0-34",
      { kind: "machine", machine: "mach_123", port: 16_686 },
      "/trace/abc",
      "https://16686__mach_123.machines.iterate.app/trace/abc",
    ],
  ])("%s", (_, target, path, expected) => expect(href(url(grammar, target, path))).toBe(expected))

  it("0-33: of a local domain", () => {
    const own = defineGrammar({ domains: ["iterate.app.localhost"] })
    expect(href(url(own, { ...project, port: 4096 }))).toBe("https://4096__my-proj.iterate.app.localhost/")
  })

  it("0-35: of the project is in the machine's environment", () => {
    expect(Object.values(machineEnvironment(grammar, project))).toContain("https://my-proj.iterate.app")
  })
})
