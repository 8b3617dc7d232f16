import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { clashIndex } from "../../src/control/clashes.ts"
import type { PlacedRule } from "../../src/control/clashes.ts"
import type { DeclaredRule } from "../../src/resource/ingress.ts"

const pattern = (wildcard: string) => ({ text: wildcard, wildcard, captures: [] })

const rules: fc.Arbitrary<DeclaredRule> = fc
  .record({
    protocol: fc.constantFrom("http", "tcp", "udp"),
    hostname: fc.constantFrom("a.com", "*.com", undefined),
    port: fc.constantFrom(80, 443, undefined),
    path: fc.constantFrom("/a", undefined),
    kind: fc.constantFrom({}, { tls: true }, { passthrough: true }),
  })
  .map(({ protocol, hostname, port, path, kind }) => ({
    match: {
      protocol: protocol as "http",
      ...(protocol === "udp" || hostname === undefined ? {} : { hostname: pattern(hostname) }),
      ...(port === undefined ? {} : { port }),
      ...(path === undefined || protocol !== "http" ? {} : { path: { prefix: path } }),
    },
    targets: [],
    ...(protocol === "udp" ? {} : kind),
  }))
const placed: fc.Arbitrary<PlacedRule> = fc.record({
  rule: rules,
  ingress: fc.constantFrom({ id: "1", owner: "a" }, { id: "2", owner: "a" }, { id: "3", owner: "b" }, { id: "4" }),
})

describe("the index of clashes", () => {
  it("finds one if there is one among all rules, whatever was added and removed", () => {
    fc.assert(
      fc.property(
        fc.array(placed, { maxLength: 12 }),
        fc.array(fc.nat(11)),
        placed,
        fc.constantFrom("1", "3", undefined),
        (all, gone, { rule, ingress: { owner } }, except) => {
          const index = clashIndex()
          for (const each of all) index.add(each)
          for (const at of gone) if (all[at] !== undefined) index.remove(all[at])
          const left = all.filter((_, at) => !gone.includes(at))
          const alone = left.filter((each) => {
            const one = clashIndex()
            one.add(each)
            return one.find(rule, owner, except) !== undefined
          })
          const found = index.find(rule, owner, except)
          expect(found === undefined ? alone.length === 0 : alone.includes(found)).toBe(true)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it.each([
    ["the same owner's rules of one hostname", { protocol: "http", hostname: pattern("a.com") }, {}],
    ["rules of TLS", { protocol: "tcp", hostname: pattern("b.com") }, { tls: true }],
  ] as const)("looks at a few of ten thousand: %s", (_, match, kind) => {
    const index = clashIndex()
    let looks = 0
    for (let at = 0; at < 10_000; at++) {
      const rule: DeclaredRule = {
        match: { protocol: "http", hostname: pattern("a.com"), port: 443, path: { exact: `/${at}` } },
        targets: [],
        tls: true,
      }
      index.add({
        ingress: { id: "1", owner: "a" },
        get rule() {
          looks++
          return rule
        },
      })
    }
    looks = 0
    expect(index.find({ match: { ...match, port: 443 }, targets: [], ...kind }, "a", undefined)).toBeUndefined()
    expect(looks).toBeLessThan(10)
  })
})
