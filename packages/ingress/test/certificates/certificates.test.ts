import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { askHandler, certificatePlan } from "../../src/certificates.ts"
import { matchHostname } from "../../src/resource/hostname-pattern.ts"
import { ingress } from "../caddy/ingresses.ts"

const target = { url: "http://10.0.0.5:80" }
const ingresses = async (...hostnames: readonly string[]) => [
  await ingress(
    "one",
    hostnames.map((hostname) => ({ match: { hostname }, target, tls: true })),
  ),
]

describe("the plan of certificates", () => {
  it("has each name once, and none that a declared wildcard covers", async () => {
    const all = [
      ...(await ingresses(
        "b.example.com",
        "a.example.com",
        "a.example.com",
        "x.dev.example.com",
        "{m}.dev.example.com",
      )),
      await ingress("plain", [{ match: { hostname: "plain.example.com" }, target }]),
    ]
    expect(certificatePlan([...all, ...all])).toEqual({
      subjects: [
        { name: "*.dev.example.com", challenge: "dns-01" },
        { name: "a.example.com", challenge: "any" },
        { name: "b.example.com", challenge: "any" },
      ],
      covered: [{ name: "x.dev.example.com", by: "*.dev.example.com" }],
      onDemand: [],
    })
  })

  it("orders no wildcard where none can be proven, and then each name under it has its own", async () => {
    expect(certificatePlan(await ingresses("*.dev.example.com", "x.dev.example.com"), { wildcards: false })).toEqual({
      subjects: [{ name: "x.dev.example.com", challenge: "any" }],
      covered: [],
      onDemand: ["*.dev.example.com"],
    })
  })

  it("leaves patterns that no certificate can have to the first visit", async () => {
    const patterns = ["*.*.example.com", "a.*.example.com", "*.com"]
    expect(certificatePlan(await ingresses(...patterns)).onDemand).toEqual([...patterns].toSorted())
  })
})

describe("the handler that is asked before a certificate is ordered", () => {
  const ask = async (domain: string, options: Partial<Parameters<typeof askHandler>[0]> = {}, method = "GET") => {
    const all = await ingresses("api.example.com", "{m}.dev.example.com", "other.org")
    const plain = await ingress("plain", [{ match: { hostname: "plain.example.com" }, target }])
    const handler = askHandler({ ingresses: () => [...all, plain], ...options })
    const response = await handler(new Request(`http://127.0.0.1/ask?domain=${domain}`, { method }))
    return response.status
  }

  it("allows declared hostnames of rules with tls, and no others", async () => {
    expect(await ask("api.example.com")).toBe(200)
    expect(await ask("API.example.com.")).toBe(200)
    expect(await ask("x.dev.example.com")).toBe(200)
    for (const name of ["plain.example.com", "x.y.dev.example.com", "dev.example.com", "unknown.org"]) {
      expect(await ask(name), name).toBe(403)
    }
  })

  it("finds the pattern that takes a name, wherever its captures are", async () => {
    const label = fc.constantFrom("a", "b", "*")
    const name = fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(label, { maxLength: 4 }), { maxLength: 4 }), name, async (heads, labels) => {
        const patterns = heads.map((head) => [...head, "a", "com"].join("."))
        const all = await ingresses(...(patterns.length === 0 ? ["other.org"] : patterns))
        const asked = [...labels, "com"].join(".")
        const isTaken = all[0]!.rules.some(({ match }) => matchHostname(match.hostname!, asked) !== undefined)
        expect(await ask(asked, { ingresses: () => all })).toBe(isTaken ? 200 : 403)
      }),
    )
  })

  it("allows what matches the list, of what is declared", async () => {
    expect(await ask("api.example.com", { allow: ["*.example.com"] })).toBe(200)
    expect(await ask("x.dev.example.com", { allow: ["*.example.com"] })).toBe(403)
    expect(await ask("other.org", { allow: ["other.org"] })).toBe(200)
    expect(await ask("other.org", { allow: [] })).toBe(403)
    expect(await ask("unknown.org", { allow: ["*"] })).toBe(403)
  })

  it("asks whether a name is verified, and refuses when that fails", async () => {
    const asked: string[] = []
    const authorize = (name: string) => {
      asked.push(name)
      return name !== "x.dev.example.com"
    }
    expect(await ask("api.example.com", { authorize })).toBe(200)
    expect(await ask("x.dev.example.com", { authorize })).toBe(403)
    expect(await ask("unknown.org", { authorize })).toBe(403)
    expect(asked).toEqual(["api.example.com", "x.dev.example.com"])
    expect(await ask("api.example.com", { authorize: () => Promise.reject(new Error("lost")) })).toBe(503)
  })

  it("refuses addresses, and what is not one hostname", async () => {
    for (const address of ["127.0.0.1", "::1", "[::1]", "1.2.3"]) expect(await ask(address), address).toBe(403)
    for (const text of [
      "",
      "*.dev.example.com",
      "{m}.dev.example.com",
      "a b",
      "-a.com",
      "%00",
      "a".repeat(300),
      "api.example.com&domain=x.y",
    ]) {
      expect(await ask(text), text).toBe(400)
    }
    expect(await ask("api.example.com", {}, "POST")).toBe(405)
  })

  it("sees a change of the ingresses at once", async () => {
    let current = await ingresses("a.example.com")
    const handler = askHandler({ ingresses: () => current })
    const status = async (name: string) => (await handler(new Request(`http://h/?domain=${name}`))).status
    expect(await status("a.example.com")).toBe(200)
    current = await ingresses("b.example.com")
    expect(await Promise.all([status("a.example.com"), status("b.example.com")])).toEqual([403, 200])
  })

  it("refuses options that are invalid", () => {
    expect(() => askHandler({ ingresses: () => [], allow: ["*.*"] })).toThrow(
      "askHandler: allow must be an array in which every element is",
    )
  })
})
