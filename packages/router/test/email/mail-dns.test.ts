import { defineGrammar } from "@project-ingress/hostname"
import { expect, it } from "vitest"
import { formatMailDnsPlan, mailDnsPlan } from "../../src/email.ts"

it("the plan has one MX for every project, an address without an origin beside it, and no CNAME", () => {
  const plan = mailDnsPlan(defineGrammar({ domains: ["iterate.app", "iterate.town"] }))
  expect([...new Set(plan.records.map(({ name }) => name))]).toEqual([
    "*.iterate.app",
    "iterate.app",
    "*.iterate.town",
    "iterate.town",
  ])
  for (const domain of ["iterate.app", "iterate.town"]) {
    const types = plan.records.filter(({ name }) => name === `*.${domain}`).map(({ type }) => type)
    expect(types).toEqual(["AAAA", "MX", "MX", "MX"])
  }
  const text = formatMailDnsPlan(plan)
  expect(text).toContain("*.iterate.app                AAAA  100:: proxied\n")
  expect(text).toContain("*.iterate.app                MX    10 route1.mx.cloudflare.net\n")
  expect(text).toMatch(/^- One MX at the wildcard/m)
})
