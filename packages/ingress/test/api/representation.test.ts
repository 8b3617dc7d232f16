import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { showIngress } from "../../src/api/representation.ts"
import { decodeIngress } from "../../src/ingress.ts"

describe("the form of an ingress", () => {
  it("declares the same rules when it is sent back, whatever they are", async () => {
    const label = fc.stringMatching(/^[a-z][a-z\d-]{0,5}[a-z\d]$/)
    const port = fc.integer({ min: 1, max: 65_535 })
    const target = fc.oneof(
      fc.record({ machine: label, port, protocol: fc.constantFrom("http", "https", "h2c") }),
      fc.record({ project: label }),
      fc.record({ url: fc.constantFrom("http://10.0.0.1:80", "https://[fd00::1]:8443", "h2c://a.example:1") }),
      fc.record({ capture: fc.constant("m"), port }),
    )
    const rule = fc.record(
      {
        match: fc.record(
          {
            hostname: fc.constantFrom("{m}.example.com", "{m}.*.example.com"),
            port,
            path: fc.constantFrom("/", "/api", { exact: "/x" }, { prefix: "/y/" }),
            method: fc.constant("GET"),
            headers: fc.constant({ a: "b" }),
          },
          { requiredKeys: ["hostname"] },
        ),
        targets: fc.array(
          fc.tuple(target, fc.integer({ min: 1, max: 9 })).map(([each, weight]) => Object.assign({}, each, { weight })),
          { minLength: 1, maxLength: 3 },
        ),
        tls: fc.boolean(),
        allowCidrs: fc.constant(["10.0.0.0/8"]),
        requireHeader: fc.constant({ name: "x-key", sha256: "0".repeat(64) }),
      },
      { requiredKeys: ["match", "targets"] },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(rule, { minLength: 1, maxLength: 3 }), async (rules) => {
        const declared = await decodeIngress({ name: "x", rules })
        const shown = showIngress({ id: "i", version: 1, createdAt: 0, updatedAt: 0, ...declared })
        expect(await decodeIngress({ name: shown.name, rules: JSON.parse(JSON.stringify(shown.rules)) })).toEqual(
          declared,
        )
      }),
      { numRuns: 100 },
    )
  })
})
