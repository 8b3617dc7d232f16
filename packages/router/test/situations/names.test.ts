/** Names that change hands, by the numbers of the facts about route data: what a registry says is what a visitor meets. */
import { beforeEach, expect, it } from "vitest"
import { memoryRegistry } from "../../src/stores/memory.ts"
import type { MemoryRegistry } from "../../src/stores/memory.ts"
import { hostnames, machine, setup } from "../fakes.ts"

const DAY = 86_400_000
let now: number
let dns: Map<string, string[]>
let registry: MemoryRegistry
/** The status of a visit, and where it redirects to or which machine it reaches. */
let visit: (host: string) => Promise<readonly [number | undefined, string?]>

beforeEach(async () => {
  now = 2_000_000_000_000
  dns = new Map()
  const resolveTxt = async (name: string) => dns.get(name) ?? []
  registry = memoryRegistry({ grammar: hostnames, resolveTxt, now: () => now })
  for (const n of [1, 2]) {
    await registry.putMachine({ ...machine(`mach_${n}`), owner: `org_${n}` })
    await registry.create({ name: `project-${n}`, owner: `org_${n}`, machine: `mach_${n}`, visibility: "public" })
  }
  const { router, sent } = setup({ store: registry })
  visit = async (host) => {
    const before = sent.length
    const response = await router.fetch(new Request(`http://${host}/`, { redirect: "manual" }))
    const to = response?.headers.get("location") ?? sent.slice(before)[0]?.origin
    return to === undefined ? [response?.status] : [response?.status, to]
  }
})
const tagOf = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (cause: { readonly _tag?: string }) => cause._tag,
  )
const prove = async (project: string, hostname: string) => {
  const { proof } = await registry.addDomain(project, hostname)
  dns.set(proof.name, [...(dns.get(proof.name) ?? []), proof.value])
  await registry.verifyDomain(project, hostname)
}

it("situation 32: a former name redirects (308), is nobody else's in its quarantine, and may be taken back", async () => {
  await registry.rename("project-1", "renamed")
  expect(await visit("4096__project-1.iterate.app")).toEqual([308, "http://4096__renamed.iterate.app/"])
  expect(await tagOf(registry.create({ name: "project-1", owner: "org_2" }))).toBe("NameTaken")
  expect(await tagOf(registry.rename("project-2", "project-1"))).toBe("NameTaken")
  await registry.rename("renamed", "project-1")
  expect(await visit("project-1.iterate.app")).toEqual([200, "http://ext-mach-1.test"])
  expect(await visit("renamed.iterate.app")).toEqual([308, "http://project-1.iterate.app/"])
  now += 31 * DAY
  expect(await tagOf(registry.rename("project-2", "renamed"))).toBe("done")
  expect(await visit("renamed.iterate.app")).toEqual([200, "http://ext-mach-2.test"])
})

it("situation 33: a domain that is not verified leads nowhere, and one of several TXT records verifies it", async () => {
  const { proof } = await registry.addDomain("project-1", "www.example.com")
  expect(await visit("www.example.com")).toEqual([undefined])
  dns.set(proof.name, ["v=spf1 -all", `${proof.value}x`])
  expect(await tagOf(registry.verifyDomain("project-1", "www.example.com"))).toBe("DomainNotVerified")
  expect(await visit("www.example.com")).toEqual([undefined])
  dns.set(proof.name, ["v=spf1 -all", proof.value])
  await registry.verifyDomain("project-1", "www.example.com")
  expect(await visit("www.example.com")).toEqual([200, "http://ext-mach-1.test"])
})

it("situation 34: the domain of a removed project is 410, though its CNAME dangles, until its owner proves it elsewhere", async () => {
  await prove("project-1", "www.example.com")
  await registry.remove("project-1")
  expect(await visit("www.example.com")).toEqual([410])
  // The old proof still dangles in the DNS, too: it is another owner's.
  await tagOf(registry.addDomain("project-2", "www.example.com"))
  expect(await tagOf(registry.verifyDomain("project-2", "www.example.com"))).not.toBe("done")
  expect(await visit("www.example.com")).toEqual([410])
  await prove("project-2", "www.example.com")
  expect(await visit("www.example.com")).toEqual([200, "http://ext-mach-2.test"])
})
