import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseEmail } from "../src/email.ts"
import { machineEnvironment } from "../src/environment.ts"
import {
  certificateNames,
  defineGrammar,
  format,
  parse,
  parseCustomDomain,
  portOf,
  routeKey,
  url,
} from "../src/hostname.ts"
import type { Grammar, HostnameTooLong, Target } from "../src/hostname.ts"
import { TargetFromHostname } from "../src/schema.ts"
import { nearHost, target } from "./arbitraries.ts"
import { grammar } from "./grammar.ts"

const readBack = (hostname: string, { customDomain }: Target, by: Grammar) =>
  customDomain === undefined ? parse(by, hostname) : parseCustomDomain(by, hostname, customDomain)

const hostnameOf = (formatted: ReturnType<typeof format>): string => {
  if (typeof formatted !== "string") throw new Error(`no hostname: ${formatted.reason}`)
  return formatted
}

/** The same grammar with each of the separators that it may have. */
const { domains, services, reserved } = grammar
const separators = ["__", "--", "."] as const
const writer = fc.constantFrom(
  ...separators.map((separator) => defineGrammar({ domains, services, reserved, separator })),
)

describe("every valid target, with each separator", () => {
  it("is read back from what format wrote, by the grammar of any separator", () => {
    fc.assert(
      fc.property(target, writer, writer, (given, by, reader) => {
        const hostname = hostnameOf(format(by, given))
        expect(readBack(hostname, given, reader)).toEqual(given)
        expect(readBack(`${hostname.toUpperCase()}.:8443`, given, reader)).toEqual(given)
      }),
      { numRuns: 1000 },
    )
  })

  it("has the grammar's separator between a project and its port", () => {
    fc.assert(
      fc.property(target, writer, (given, by) => {
        fc.pre(given.slug !== undefined && given.port !== undefined)
        expect(format(by, given)).toBe(`${given.port}${by.separator}${given.slug}.${given.domain}`)
      }),
    )
  })

  it("has an underscore with the separator __ alone, but for those inside a machine's id", () => {
    fc.assert(
      fc.property(target, writer, (given, by) => {
        const hostname = hostnameOf(format(by, given))
        const isAfterPort = given.port !== undefined && (given.kind === "machine" || given.customDomain === undefined)
        expect(hostname.includes("__")).toBe(by.separator === "__" && isAfterPort)
        // A platform that wants none gives its machines ids without more of them, and no names on custom domains.
        fc.pre(by.separator !== "__" && (given.kind === "project" || given.customDomain === undefined))
        expect(hostname.includes("_")).toBe(given.machine?.slice("mach_".length).includes("_") ?? false)
      }),
    )
  })

  it("has a URL, an environment and a codec that write the same hostname", () => {
    fc.assert(
      fc.property(target, writer, (given, by) => {
        const address = url(by, given)
        if (!(address instanceof URL)) throw new Error("no URL")
        const read = readBack(address.host, given, by)
        if (read._tag !== "Target") throw new Error(`not read back: ${address.host}`)
        expect(routeKey(read)).toBe(routeKey(given))
        expect(portOf(by, read) ?? by.defaultPort).toBe(portOf(by, given) ?? by.defaultPort)

        const { port: _, service: __, ...whole } = { service: undefined, ...given }
        expect(machineEnvironment(by, given)).toMatchObject({
          INGRESS_BASE_URL: `https://${hostnameOf(format(by, whole))}`,
        })
        if (given.customDomain !== undefined) return
        const codec = TargetFromHostname(by)
        expect(Schema.encodeSync(codec)(given)).toBe(format(by, given))
        expect(Schema.decodeSync(codec)(hostnameOf(format(by, given)))).toEqual(given)
      }),
    )
  })

  it("is covered by a certificate of certificateNames", () => {
    fc.assert(
      fc.property(target, writer, (given, by) => {
        if (given.customDomain !== undefined) return
        const names = certificateNames(by, by.separator === "." && given.slug !== undefined ? [given.slug] : [])
        // RFC 9525 §6.3: a wildcard is one whole label, the leftmost.
        expect(names).toContain(hostnameOf(format(by, given)).replace(/^[^.]+/, "*"))
      }),
    )
  })

  it("gets its mail at the hostname of the project, and at no port's", () => {
    fc.assert(
      fc.property(target, writer, (given, by) => {
        if (given.slug === undefined) return
        const { port: _, service: __, ...whole } = { service: undefined, ...given }
        const mailbox = { _tag: "Mailbox", localPart: "x", target: whole }
        expect(parseEmail(by, `x@${hostnameOf(format(by, whole))}`)).toEqual(mailbox)
        const isWhole = given.port === undefined && given.service === undefined
        const own = parseEmail(by, `x@${hostnameOf(format(by, given))}`)
        expect(own).toMatchObject(isWhole ? mailbox : { _tag: "HostnameMalformed", part: "port" })
      }),
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
