import { defineGrammar } from "@project-ingress/hostname"
import { expect, it } from "vitest"
import { canonicalName } from "../src/hop/canonical-name.ts"
import { machine, setup, values } from "./fakes.ts"

const grammar = defineGrammar({ domains: ["iterate.app", "iterate.dev"] })

it.each([
  ["p:misha", "misha.iterate.app"],
  ["m:mach_1", "mach_1.machines.iterate.app"],
  ["d:www.example.com", "www.example.com"],
  ["d:8443:www.example.com", "www.example.com"],
  ["d:*.example.com", "example.com"],
] as const)("the canonical name of %s is %s", (key, name) => {
  expect(canonicalName(grammar, key)).toBe(name)
})

it("names that a visitor invents cause no ticket: spellings, services and labels below a wildcard have one", async () => {
  const { router, routes, sent } = setup({ grammar })
  routes.attach("d:*.example.com", { machine: machine("mach_1") })
  const ask = async (host: string) => (await router.fetch(new Request(`http://${host}/`)))?.status
  for (const host of ["misha.iterate.app", "MISHA.iterate.app", "misha.iterate.app:8080", "3000__misha.iterate.dev"]) {
    expect(await ask(host)).toBe(200)
  }
  for (const host of ["a.example.com", "b.example.com", "c.b.example.com"]) expect(await ask(host)).toBe(200)
  const of = (name: string) => sent.map(({ headers }) => values(headers, name)[0])
  expect(new Set(of("x-iterate-proxy-target-host"))).toEqual(new Set(["3000__misha.iterate.app", "3000__example.com"]))
  expect(new Set(of("x-iterate-proxy-ticket")).size).toBe(2)
})
