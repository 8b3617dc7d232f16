import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { createRouter } from "@project-ingress/router"
import { memoryStore } from "@project-ingress/router/stores/memory"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readPattern } from "../../src/resource/hostname-pattern.ts"
import type { HostnamePattern, IngressRule } from "../../src/resource/ingress.ts"
import { compareHostnames } from "../../src/resource/precedence.ts"
import { ingressStore } from "../../src/routes/ingress-store.ts"
import { declared } from "../declared.ts"
import { takenBy } from "../fronts/definition.ts"

const keys = await generateTicketKeys("test")
const grammar = defineGrammar({ domains: ["iterate.app"] })

// Few values, so that rules and requests meet.
const hostname = fc.constantFrom(
  "x.e.com",
  "y.e.com",
  "*.e.com",
  "{a}.e.com",
  "*.x.e.com",
  "y.*.e.com",
  "*.*.e.com",
  "{b}.*.com",
)
const path = fc.constantFrom("/", "/a", "/a/b", "/a/b/", "/ab", "/A")
const match = fc.record(
  {
    hostname,
    path: fc.oneof(
      path.map((prefix) => ({ prefix })),
      path.map((exact) => ({ exact })),
    ),
    method: fc.constantFrom("GET", "POST"),
    headers: fc.dictionary(fc.constantFrom("x-a", "x-b"), fc.constantFrom("1", "2"), { maxKeys: 2 }),
  },
  { requiredKeys: ["hostname"] },
)
const asked = fc.record({
  hostname: fc.constantFrom("x.e.com", "y.e.com", "z.e.com", "y.x.e.com", "y.z.e.com", "z.x.e.com", "e.com", "q.e.org"),
  path: fc.constantFrom("/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/A", "/a?b=/a/b"),
  method: fc.constantFrom("GET", "POST"),
  headers: fc.dictionary(fc.constantFrom("x-a", "x-b"), fc.constantFrom("1", "2"), { maxKeys: 2 }),
})

describe("the order of rules", () => {
  it("is the same in the router as by definition, whatever is declared", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(match, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 }),
        fc.array(asked, { minLength: 1, maxLength: 6 }),
        async (documents, requests) => {
          let port = 1000
          const ingresses = await Promise.all(
            documents.map((matches, at) =>
              declared(
                {
                  name: `i${at}`,
                  rules: matches.map((each): IngressRule => ({
                    match: each,
                    target: { url: `http://10.0.0.1:${port++}` },
                  })),
                },
                { at },
              ),
            ),
          )
          const view = { revision: 1, ingresses, grants: [] }
          const store = ingressStore({ grammar, view: () => view, inner: memoryStore() })
          const router = createRouter({ grammar, store, providers: [], signingKey: keys.signing })
          for (const request of requests) {
            const { hostname, ...rest } = request
            const { port: found } = await router.explain(hostname, rest)
            const target = takenBy(ingresses, request)?.rule.targets[0]
            expect([request, found]).toEqual([request, target?.port])
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  it("is total: of two hostnames that differ, one comes first, whichever way round", () => {
    fc.assert(
      fc.property(hostname, hostname, (a, b) => {
        const [x, y] = [pattern(a), pattern(b)]
        expect(Math.sign(compareHostnames(x, y)) + Math.sign(compareHostnames(y, x))).toBe(0)
        expect(compareHostnames(x, y) === 0).toBe(x.wildcard === y.wildcard)
      }),
    )
  })
})

const pattern = (text: string): HostnamePattern => {
  const read = readPattern(text)
  if ("accepted" in read) throw new Error(text)
  return read
}
