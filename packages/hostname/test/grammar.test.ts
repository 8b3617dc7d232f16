import { describe, expect, it } from "vitest"
import { defineGrammar, GrammarInvalid, parse, type GrammarOptions } from "../src/hostname.ts"

const domains = ["iterate.app"] as const

describe("defineGrammar", () => {
  it.each<[keyof GrammarOptions, object]>([
    ["domains", { domains: [] }],
    ["domains", { domains: ["Iterate.app"] }],
    ["domains", { domains: ["iterate.app."] }],
    ["domains", { domains: ["-a.app"] }],
    ["domains", { domains: ["a..app"] }],
    ["domains", { domains: ["127.0.0.1"] }],
    ["domains", { domains: [`${"a".repeat(64)}.app`] }],
    ["domains", { domains: ["iterate.app", "iterate.app"] }],
    ["domains", { domains: ["iterate.app", "preview.iterate.app"] }],
    ["domains", { domains: ["x.preview.iterate.app", "iterate.app"] }],
    ["domains", { domains: ["iterate.app", "machines.iterate.app"], reserved: ["machines"] }],
    ["defaultPort", { defaultPort: 0 }],
    ["defaultPort", { defaultPort: 65_536 }],
    ["defaultPort", { defaultPort: 80.5 }],
    ["machinePrefix", { machinePrefix: "mach" }],
    ["machinePrefix", { machinePrefix: "mach-" }],
    ["machinePrefix", { machinePrefix: "_" }],
    ["machinePrefix", { machinePrefix: "mach__" }],
    ["machinePrefix", { machinePrefix: "" }],
    ["machinesLabel", { machinesLabel: "4096" }],
    ["machinesLabel", { machinesLabel: "a.b" }],
    ["services", { services: { "4096": 4096 } }],
    ["services", { services: { Open: 4096 } }],
    ["services", { services: { xn: 4096 } }],
    ["services", { services: { "a--b": 4096 } }],
    ["services", { services: { opencode: 0 } }],
    ["reserved", { reserved: [""] }],
    ["reserved", { reserved: ["a.b"] }],
    ["reserved", { reserved: ["4096__misha"] }],
    ["reserved", { reserved: ["mach_1"] }],
    ["separator", { separator: "-" }],
    ["maxSlugLength", { maxSlugLength: 0 }],
    ["maxSlugLength", { maxSlugLength: 64 }],
  ])("refuses a wrong %s: %j", (field, options) => {
    const make = () => defineGrammar({ domains, ...options })
    expect(make).toThrow(GrammarInvalid)
    expect(make).toThrow(
      expect.objectContaining({ _tag: "GrammarInvalid", field, accepted: expect.stringMatching(/.{5}/) }),
    )
    expect(make).toThrow(field)
  })

  it("takes a single label, and the innermost of nested domains whose label is reserved", () => {
    const grammar = defineGrammar({ domains: ["localhost", "dev.localhost"], reserved: ["dev", "_dmarc"] })
    expect(parse(grammar, "misha.localhost:3000")).toMatchObject({ slug: "misha", domain: "localhost" })
    expect(parse(grammar, "misha.dev.localhost")).toMatchObject({ slug: "misha", domain: "dev.localhost" })
    expect(parse(grammar, "_dmarc.localhost")._tag).toBe("HostnameForeign")
  })

  it("is frozen data, apart from what it was made of", () => {
    const reserved = ["www"]
    const grammar = defineGrammar({ domains, reserved })
    reserved.push("misha")
    expect(parse(grammar, "misha.iterate.app")._tag).toBe("Target")
    for (const part of [grammar, grammar.domains, grammar.services, grammar.reserved, grammar.lookup]) {
      expect(Object.isFrozen(part)).toBe(true)
    }
  })
})
