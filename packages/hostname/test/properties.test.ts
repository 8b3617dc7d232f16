import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseEmail } from "../src/email.ts"
import { defineGrammar, format, parse, parseCustomDomain, url, type Target } from "../src/hostname.ts"
import { nearHost, target } from "./arbitraries.ts"
import { grammar } from "./grammar.ts"

const readBack = (hostname: string, { customDomain }: Target) =>
  customDomain === undefined ? parse(grammar, hostname) : parseCustomDomain(grammar, hostname, customDomain)

describe("every valid target", () => {
  it("is read back from what format wrote, in both separators", () => {
    const dashed = defineGrammar({ domains: grammar.domains, reserved: grammar.reserved, separator: "--" })
    fc.assert(
      fc.property(target, fc.constantFrom(grammar, dashed), (given, writer) => {
        const hostname = format(writer, given)
        // A service may be too long beside its slug; everything else fits.
        if (typeof hostname !== "string") return hostname._tag === "HostnameTooLong" && hostname.limit === 63
        expect(readBack(hostname, given)).toEqual(given)
        expect(readBack(`${hostname.toUpperCase()}.:8443`, given)).toEqual(given)
        return true
      }),
    )
  })

  it("gets a hostname when it has no service", () => {
    const plain = target.filter((given) => given.kind === "machine" || given.service === undefined)
    fc.assert(fc.property(plain, (given) => typeof format(grammar, given) === "string"))
  })
})

describe("any string", () => {
  const outcomes = ["Target", "HostnameForeign", "HostnameMalformed", "Mailbox"]

  it("has one of the outcomes and never throws", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string(), nearHost), (host) => {
        expect(outcomes).toContain(parse(grammar, host)._tag)
        expect(outcomes).toContain(parseCustomDomain(grammar, host, "templestein.com")._tag)
        expect(outcomes).toContain(parseCustomDomain(grammar, "templestein.com", host)._tag)
        expect(outcomes).toContain(parseEmail(grammar, `x@${host}`)._tag)
      }),
      { numRuns: 1000 },
    )
  })

  it("is formatted as itself in canonical form, once it was read as a target", () => {
    const near = nearHost.filter((host) => parse(grammar, host)._tag === "Target")
    fc.assert(
      fc.property(near, (host) => {
        const read = parse(grammar, host)
        if (read._tag !== "Target") throw new Error("filtered")
        const hostname = format(grammar, read)
        expect(typeof hostname === "string" ? parse(grammar, hostname) : read).toEqual(read)
      }),
      { numRuns: 200 },
    )
  })

  it("never moves a URL to another host as a path", () => {
    const path = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom("/", "\\", "@", ":", ".", "\t", "\n", "e", "?", "#") }),
    )
    fc.assert(
      fc.property(path, (text) => {
        const made = url(grammar, { kind: "project", slug: "misha" }, text)
        if (!(made instanceof URL)) throw new Error("no URL")
        expect(made.host).toBe("misha.iterate.app")
        expect(new URL(made.pathname, made).host).toBe("misha.iterate.app")
      }),
      { numRuns: 1000 },
    )
  })
})

describe("the work for one host", () => {
  /** Counts what a parse reads of it. */
  class Counting extends String {
    reads = 0
    override charCodeAt(at: number): number {
      this.reads++
      return super.charCodeAt(at)
    }
  }
  const readsOf = (text: string): number => {
    const host = new Counting(text)
    // What a string primitive cannot do, an object with its methods can.
    parse(grammar, host as unknown as string)
    return host.reads
  }

  it("is one look per character, and none at what is too long to be a name", () => {
    for (const unit of ["a", ".", "_", "-", "a.", "a-", "1__", "[", ":", "@", "xn--", ".iterate.app"]) {
      for (const length of [1, 10, 100, 260]) {
        expect(readsOf(unit.repeat(length).slice(0, length))).toBeLessThanOrEqual(length + 2)
      }
      expect(readsOf(unit.repeat(65_536).slice(0, 65_536))).toBe(0)
    }
  })
})
