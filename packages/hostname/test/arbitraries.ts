import * as fc from "fast-check"
import type { Target } from "../src/hostname.ts"

const alphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789".split("")
const run = fc.string({ unit: fc.constantFrom(...alphanumeric), minLength: 1, maxLength: 8 })
const joinedBy = (separator: string) =>
  fc.array(run, { minLength: 1, maxLength: 4 }).map((runs) => runs.join(separator))
const isName = (text: string) => !/^\d+$/.test(text)

export const slug = joinedBy("-").filter((text) => isName(text) && !["www", "org", "prj", "machines"].includes(text))
export const service = joinedBy("-").filter((text) => isName(text) && text !== "xn" && text.length <= 20)
export const port = fc.integer({ min: 1, max: 65_535 })
export const machine = fc
  .tuple(fc.constantFrom("-", "_"), fc.array(run, { minLength: 1, maxLength: 4 }))
  .map(([separator, runs]) => `mach_${runs.join(separator)}`)
const domain = fc.constantFrom("iterate.app", "dev-x.dev.iterate.com")
const customDomain = fc.tuple(slug, fc.constantFrom("com", "example", "xn--p1ai")).map((labels) => labels.join("."))

const where = fc.oneof(fc.record({ domain }), fc.record({ customDomain }))
const selector = fc.oneof(fc.constant({}), fc.record({ port }), fc.record({ service }))
const onlyPort = fc.oneof(fc.constant({}), fc.record({ port }))

/** Every valid target of the test grammar. */
export const target: fc.Arbitrary<Target> = fc.oneof(
  fc.tuple(selector, slug, domain).map(([chosen, name, under]): Target => ({
    _tag: "Target",
    kind: "project",
    slug: name,
    domain: under,
    ...chosen,
  })),
  fc
    .tuple(selector, customDomain)
    .map(([chosen, own]): Target => ({ _tag: "Target", kind: "project", customDomain: own, ...chosen })),
  fc
    .tuple(onlyPort, machine, where)
    .map(([chosen, id, place]): Target => ({ _tag: "Target", kind: "machine", machine: id, ...place, ...chosen })),
)

/** Strings that look almost like hostnames. */
export const nearHost = fc
  .tuple(
    fc.array(
      fc.constantFrom(
        "a",
        "1",
        "4096",
        "-",
        "_",
        ".",
        "__",
        "--",
        "xn--",
        "mach_",
        "machines",
        ":",
        "@",
        "ü",
        "A",
        "%2e",
        "\0",
      ),
      { maxLength: 9 },
    ),
    fc.constantFrom(
      "",
      ".iterate.app",
      ".ITERATE.app.:80",
      ".dev-x.dev.iterate.com",
      "iterate.app",
      ".templestein.com",
    ),
  )
  .map(([pieces, end]) => pieces.join("") + end)
