import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseEmail } from "../src/email.ts"
import { defineGrammar, format, parse, parseCustomDomain, url } from "../src/hostname.ts"
import type { HostnameTooLong, Target } from "../src/hostname.ts"
import { nearHost, target } from "./arbitraries.ts"
import { grammar } from "./grammar.ts"

const readBack = (hostname: string, { customDomain }: Target) =>
  customDomain === undefined ? parse(grammar, hostname) : parseCustomDomain(grammar, hostname, customDomain)

const hostnameOf = (formatted: ReturnType<typeof format>): string => {
  if (typeof formatted !== "string") throw new Error(`no hostname: ${formatted.reason}`)
  return formatted
}

describe("every valid target", () => {
  it("is read back from what format wrote, in both separators", () => {
    const dashed = defineGrammar({ domains: grammar.domains, reserved: grammar.reserved, separator: "--" })
    fc.assert(
      fc.property(target, fc.constantFrom(grammar, dashed), (given, writer) => {
        const hostname = format(writer, given)
        expect(readBack(hostnameOf(hostname), given)).toEqual(given)
        expect(readBack(`${hostnameOf(hostname).toUpperCase()}.:8443`, given)).toEqual(given)
      }),
      { numRuns: 1000 },
    )
  })

  it("is too long exactly when service and slug do not fit into one label", () => {
    const long = fc.integer({ min: 1, max: 50 }).map((length) => "a".repeat(length))
    fc.assert(
      fc.property(long, long, (slug, service) => {
        const length = slug.length + service.length + 2
        const formatted = format(grammar, { kind: "project", slug, service })
        const { limit } = typeof formatted === "string" ? { limit: undefined } : (formatted as HostnameTooLong)
        expect(limit).toBe(length > 63 ? 63 : undefined)
        expect(formatted === `${service}--${slug}.iterate.app`).toBe(length <= 63)
      }),
      { numRuns: 1000 },
    )
  })

  it("has a hostname and a URL", () => {
    fc.assert(
      fc.property(target, (given) => {
        expect(format(grammar, given)).toBeTypeOf("string")
        expect(url(grammar, given)).toBeInstanceOf(URL)
      }),
    )
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
        // `opencode.misha` has two labels, its canonical form `opencode--misha` only one.
        const isLong = `${read.service ?? ""}--${read.slug ?? ""}`.length > 63
        expect(isLong ? hostname : parse(grammar, hostnameOf(hostname))).toMatchObject(
          isLong ? { _tag: "HostnameTooLong", limit: 63 } : read,
        )
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
