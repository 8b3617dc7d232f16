import { describe, expect, it } from "vitest"
import { defineGrammar, GrammarInvalid, parse, type GrammarOptions } from "../src/hostname.ts"

const domains = ["iterate.app"] as const

describe("defineGrammar", () => {
  it.each<[keyof GrammarOptions, object]>([
    ["domains", { domains: [] }],
    ["domains", { domains: undefined }],
    ["domains", { domains: "iterate.app" }],
    ["domains", { domains: ["iterate.app", 1] }],
    ["domains", { domains: [null] }],
    ["domains", { domains: ["iterate.app", "preview.iterate.app"], reserved: null }],
    ["domains", { domains: ["Iterate.app"] }],
    ["domains", { domains: ["iterate.app."] }],
    ["domains", { domains: ["-a.app"] }],
    ["domains", { domains: ["a..app"] }],
    ["domains", { domains: ["127.0.0.1"] }],
    ["domains", { domains: [`${"a".repeat(64)}.app`] }],
    ["domains", { domains: [`${"a.".repeat(126)}aa`] }],
    ["domains", { domains: ["iterate.app", "iterate.app"] }],
    ["domains", { domains: ["iterate.app", "preview.iterate.app"] }],
    ["domains", { domains: ["x.preview.iterate.app", "iterate.app"] }],
    ["domains", { domains: ["iterate.app", "machines.iterate.app"], reserved: ["machines"] }],
    ["defaultPort", { defaultPort: 0 }],
    ["defaultPort", { defaultPort: 65_536 }],
    ["defaultPort", { defaultPort: 80.5 }],
    ["defaultPort", { defaultPort: Number.NaN }],
    ["defaultPort", { defaultPort: -1 }],
    ["defaultPort", { defaultPort: "3000" }],
    ["defaultPort", { defaultPort: undefined }],
    ["defaultPort", { defaultPort: 3000n }],
    ["machinePrefix", { machinePrefix: null }],
    ["machinePrefix", { machinePrefix: ["mach_"] }],
    ["machinePrefix", { machinePrefix: `m${"a".repeat(31)}_` }],
    ["machinePrefix", { machinePrefix: "mach" }],
    ["machinePrefix", { machinePrefix: "mach-" }],
    ["machinePrefix", { machinePrefix: "_" }],
    ["machinePrefix", { machinePrefix: "mach__" }],
    ["machinePrefix", { machinePrefix: "" }],
    ["machinesLabel", { machinesLabel: "4096" }],
    ["machinesLabel", { machinesLabel: "a.b" }],
    ["machinesLabel", { machinesLabel: null }],
    ["machinesLabel", { machinesLabel: ["machines"] }],
    ["services", { services: { "4096": 4096 } }],
    ["services", { services: { Open: 4096 } }],
    ["services", { services: { xn: 4096 } }],
    ["services", { services: { "a--b": 4096 } }],
    ["services", { services: { opencode: 0 } }],
    ["services", { services: { opencode: Number.NaN } }],
    ["services", { services: { opencode: "4096" } }],
    ["services", { services: null }],
    ["services", { services: [4096] }],
    ["reserved", { reserved: "www" }],
    ["reserved", { reserved: undefined }],
    ["reserved", { reserved: [1] }],
    ["reserved", { reserved: ["a".repeat(64)] }],
    ["reserved", { reserved: [""] }],
    ["reserved", { reserved: ["a.b"] }],
    ["reserved", { reserved: ["4096__misha"] }],
    ["reserved", { reserved: ["mach_1"] }],
    ["separator", { separator: "-" }],
    ["separator", { separator: ["__"] }],
    ["separator", { separator: Symbol("__") }],
    ["maxSlugLength", { maxSlugLength: 0 }],
    ["maxSlugLength", { maxSlugLength: 64 }],
    ["maxSlugLength", { maxSlugLength: "50" }],
  ])("refuses an invalid %s: %o", (field, options) => {
    const make = () => defineGrammar({ domains, ...options })
    expect(make).toThrow(GrammarInvalid)
    expect(make).toThrow(
      expect.objectContaining({ _tag: "GrammarInvalid", field, accepted: expect.stringMatching(/.{5}/) }),
    )
    expect(make).toThrow(TypeError)
    expect(make).toThrow(`defineGrammar: ${field} must be `)
  })

  it("names the kind of value it got", () => {
    const messageOf = (options: object) => {
      try {
        defineGrammar({ domains, ...options })
      } catch (error) {
        return (error as Error).message
      }
      return "valid"
    }
    expect(messageOf({ defaultPort: Number.NaN })).toMatch(/got NaN$/)
    expect(messageOf({ defaultPort: "3000" })).toMatch(/got "3000"$/)
    expect(messageOf({ defaultPort: 3000n })).toMatch(/got 3000n$/)
    expect(messageOf({ defaultPort: () => 3000 })).toMatch(/got a function$/)
    expect(messageOf({ reserved: [undefined] })).toMatch(/got \[undefined\]$/)
    expect(messageOf({ services: { opencode: Number.NaN } })).toMatch(/got {"opencode":NaN}$/)
    expect(messageOf({ reserved: ["."].concat(Array.from({ length: 99 }, () => "www")) }).length).toBeLessThan(250)
    const circular: unknown[] = []
    circular.push(circular)
    expect(messageOf({ reserved: circular })).toMatch(/got an array$/)
  })

  it.each([
    ["machinePrefx", "machinePrefx is not an option (did you mean machinePrefix?)"],
    ["machineLabel", "machineLabel is not an option (did you mean machinesLabel?)"],
    ["Separator", "Separator is not an option (did you mean separator?)"],
    ["resrvd", "resrvd is not an option (did you mean reserved?)"],
    ["reservd", "reservd is not an option (did you mean reserved?)"],
    ["ports", "ports is not an option (the options are domains, defaultPort, machinePrefix, "],
    ["lookup", "lookup is not an option"],
    ["toString", "toString is not an option"],
  ])("refuses the unknown option %s and suggests the nearest", (name, message) => {
    for (const options of [{ domains, [name]: 1 }, Object.create({ domains, [name]: undefined }) as object]) {
      const make = () => defineGrammar(options as GrammarOptions)
      expect(make).toThrow(GrammarInvalid)
      expect(make).toThrow(message)
      expect(make).toThrow(expect.objectContaining({ field: name, accepted: expect.stringContaining("domains") }))
    }
  })

  it.each([[undefined], [null], ["iterate.app"], [8080]])("refuses %j in place of options", (options) => {
    const make = () => defineGrammar(options as unknown as GrammarOptions)
    expect(make).toThrow(expect.objectContaining({ _tag: "GrammarInvalid", field: "options" }))
    expect(make).toThrow("defineGrammar: options must be an object")
  })

  it("has defaults for everything but its domains", () => {
    expect(defineGrammar({ domains })).toMatchObject({
      domains,
      defaultPort: 3000,
      machinePrefix: "mach_",
      machinesLabel: "machines",
      services: {},
      reserved: [],
      separator: "__",
      maxSlugLength: 50,
    })
  })

  it("takes a single label, and the innermost of nested domains whose label is reserved", () => {
    const grammar = defineGrammar({ domains: ["localhost", "dev.localhost"], reserved: ["dev", "_dmarc"] })
    expect(parse(grammar, "misha.localhost:3000")).toMatchObject({ slug: "misha", domain: "localhost" })
    expect(parse(grammar, "misha.dev.localhost")).toMatchObject({ slug: "misha", domain: "dev.localhost" })
    expect(parse(grammar, "_dmarc.localhost")._tag).toBe("HostnameForeign")
  })

  it("is frozen data, apart from what it was made of", () => {
    const own = { domains: ["iterate.app"] as [string], reserved: ["www"], services: { web: 80 } }
    const grammar = defineGrammar(own)
    own.reserved.push("misha")
    own.domains.push("example.com")
    own.services.web = 81
    expect(grammar).toMatchObject({ domains: ["iterate.app"], reserved: ["www"], services: { web: 80 } })
    expect(parse(grammar, "misha.iterate.app")._tag).toBe("Target")
    for (const part of [grammar, grammar.domains, grammar.services, grammar.reserved, grammar.lookup]) {
      expect(Object.isFrozen(part)).toBe(true)
    }
  })
})
