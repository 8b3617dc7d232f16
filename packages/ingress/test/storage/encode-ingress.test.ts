import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decodeIngress, IngressInvalid } from "../../src/ingress.ts"
import { encodeIngress } from "../../src/resource/encode-ingress.ts"
import { everyRule } from "../../src/testing/storage/sample-documents.ts"

const oneOf = fc.constantFrom
const maybe = <A>(value: fc.Arbitrary<A>) => fc.option(value, { nil: undefined, freq: 2 })
const port = maybe(oneOf(1, 80, 443, 65_535))
const target = fc.oneof(
  fc.record({ machine: oneOf("mach_1", "{m}", "ü"), port, protocol: maybe(oneOf("http", "https", "h2c")) }),
  fc.record({ project: oneOf("misha", "Misha"), port }),
  fc.record({
    url: oneOf(
      "http://10.0.0.5",
      "https://[::ffff:1]:1/",
      "h2c://A.example.com:8080",
      "tcp://0x7f.1:5432",
      "udp://[::1]:53",
    ),
  }),
)
const match = fc.record({
  hostname: maybe(oneOf("API.example.com.", "{m}.example.com", "*.{m}.example.com")),
  port,
  protocol: maybe(oneOf("http", "tcp", "udp")),
  path: maybe(oneOf("/", "/a/", { prefix: "/a//" }, { exact: "/a/" })),
  method: maybe(oneOf("GET")),
  headers: maybe(oneOf({}, { "x-a": "" })),
})
const rule = fc.record({
  match,
  target: maybe(target),
  targets: maybe(
    fc.array(
      fc.tuple(target, maybe(fc.nat(3))).map(([each, weight]) => Object.assign({ weight }, each)),
      { maxLength: 3 },
    ),
  ),
  tls: maybe(fc.boolean()),
  redirectHttp: maybe(fc.boolean()),
  passthrough: maybe(fc.boolean()),
  proxyProtocol: maybe(oneOf(1, 2)),
})

describe("an ingress that is written as a document", () => {
  it("is read as the same, with all that there is", async () => {
    const declared = await decodeIngress({ name: "a", rules: everyRule })
    expect(await decodeIngress(JSON.parse(JSON.stringify(encodeIngress(declared))))).toEqual(declared)
  })

  it("is read as the same, whatever it says", async () => {
    let read = 0
    await fc.assert(
      fc.asyncProperty(fc.array(rule, { minLength: 1, maxLength: 2 }), async (rules) => {
        const input: unknown = JSON.parse(JSON.stringify({ name: "a", rules }))
        const declared = await decodeIngress(input).catch((cause: unknown) => {
          if (!(cause instanceof IngressInvalid)) throw cause
        })
        if (declared === undefined) return
        read += 1
        expect(await decodeIngress(JSON.parse(JSON.stringify(encodeIngress(declared))))).toEqual(declared)
      }),
      { numRuns: 3_000 },
    )
    expect(read).toBeGreaterThan(50)
  })
})
