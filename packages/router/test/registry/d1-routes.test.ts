/** The reader of a registry in a real D1: what it gives is what the registry gives. */
import { defineGrammar } from "@project-ingress/hostname"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { decodeRecord } from "../../src/stores/decode-record.ts"
import { d1Registry } from "../../src/stores/d1.ts"
import type { D1Binding } from "../../src/stores/d1.ts"
import { d1Routes } from "../../src/stores/d1-routes.ts"
import type { RouteKey } from "../../src/stores/record.ts"
import { startD1 } from "./d1-worker.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
let at = 1_800_000_000_000
const now = () => at
let d1: Awaited<ReturnType<typeof startD1>>
let registry: ReturnType<typeof d1Registry>

beforeAll(async () => {
  d1 = await startD1()
  const resolveTxt = async () => [[proof]]
  registry = d1Registry(d1.binding, { grammar, now, resolveTxt })
  await registry.migrate()
  await registry.putMachine({ id: "mach_1", type: "fake", externalId: "x", metadata: {} })
  await registry.create({ name: "misha", machine: "mach_1" })
  proof = (await registry.addDomain("misha", "www.example.com")).proof.value
  await registry.verifyDomain("misha", "www.example.com")
  await registry.create({ name: "old" })
  await registry.rename("old", "new")
  await registry.create({ name: "gone" })
  await registry.remove("gone")
})
let proof = ""
afterAll(() => d1.close())

/** Everything but how it came to be known. */
const known = ({ status, ...rest }: object & { readonly status?: string }) => ({
  status,
  record: (rest as { record?: unknown }).record,
  key: (rest as { key?: unknown }).key,
})

describe("routes read in D1", () => {
  it("are those of the registry, of every kind", async () => {
    const routes = d1Routes(d1.binding, { now })
    const keys: RouteKey[] = [
      "p:misha",
      "m:mach_1",
      "d:www.example.com",
      "p:old",
      "p:new",
      "p:gone",
      "p:nobody",
      "m:mach_9",
    ]
    const kinds = new Set<unknown>()
    for (const key of keys) {
      const found = await routes.get(key)
      expect([key, known(found)]).toEqual([key, known(await registry.get(key))])
      kinds.add(found.status === "hit" ? found.record.kind : found.status)
    }
    expect(kinds).toEqual(new Set(["machine", "detached", "redirect", "removed", "miss"]))
    expect(known(await routes.getFirst(["d:nope.example", "p:new", "p:misha"]))).toMatchObject({
      status: "hit",
      key: "p:new",
    })
    expect(await routes.getFirst(["p:nobody", "m:mach_9"])).toMatchObject({ status: "miss", layer: "d1" })
  })

  it("end with their time; the machine of an expired project is unknown until a registry has published that", async () => {
    const routes = d1Routes(d1.binding, { now })
    await registry.putMachine({ id: "mach_2", type: "fake", externalId: "y", metadata: {} })
    await registry.create({
      name: "brief",
      machine: "mach_2",
      expiresAt: at + 1_000,
      ports: { 3000: { visibility: "public" } },
    })
    expect(await routes.get("m:mach_2")).toMatchObject({
      status: "hit",
      record: { ports: { 3000: { visibility: "public" } } },
    })
    at += 1_000
    expect(await routes.get("p:brief")).toMatchObject({ status: "miss" })
    expect(await routes.get("m:mach_2")).toMatchObject({ status: "unknown", retryAfterMs: 1_000 })
    // Nobody else is kept from anything.
    expect(await routes.get("m:mach_1")).toMatchObject({ status: "hit" })
    await registry.get("p:misha")
    const published = await routes.get("m:mach_2")
    expect(published).toMatchObject({ status: "hit" })
    expect(JSON.stringify(published)).not.toContain("public")
  })

  it("are read nearby first, and at the primary where they are not found or a refresh is asked for", async () => {
    const asked: string[] = []
    const nowhere = {
      prepare: (text: string) => d1.binding.prepare(text),
      batch: async () => [{ results: [] }],
      getBookmark: () => null,
    }
    const binding: D1Binding = {
      ...d1.binding,
      withSession: (constraint) => {
        asked.push(constraint)
        return constraint === "first-primary" ? { ...d1.binding, getBookmark: () => null } : nowhere
      },
    }
    expect(await d1Routes(binding, { now }).get("p:misha")).toMatchObject({ status: "hit", ageMs: 0 })
    expect(asked).toEqual(["first-unconstrained", "first-primary"])
    asked.length = 0
    await d1Routes(binding, { now }).get("p:misha", { refresh: true })
    expect(asked).toEqual(["first-primary"])
  })

  it.each(["{", "null", '"text"', "[7]"])(
    "a record that is %s is refused by the router: only its own hostname fails",
    async (text) => {
      const name = `spoilt-${text.length}`
      const key: RouteKey = `p:${name}`
      await registry.create({ name })
      const update = "update project_ingress_routes set record = ?1 where key = ?2"
      await d1.binding.batch([d1.binding.prepare(update).bind(text, key)])
      for (const store of [d1Routes(d1.binding, { now }), registry]) {
        const found = await store.getFirst([key, "p:misha"])
        expect(found).toMatchObject({ status: "hit", key: key })
        expect(decodeRecord((found as { readonly record?: unknown }).record)).toMatchObject({
          problem: { field: "kind" },
        })
        expect(await store.getFirst(["p:nobody", "p:misha"])).toMatchObject({ status: "hit", key: "p:misha" })
      }
    },
  )

  it("reject where D1 does, which a router takes for unknown", async () => {
    const failing = { ...d1.binding, batch: () => Promise.reject(new Error("D1_ERROR")), getBookmark: () => null }
    const broken: D1Binding = { ...failing, withSession: () => failing }
    await expect(d1Routes(broken).get("p:misha")).rejects.toThrow("D1_ERROR")
  })

  it("need a binding, and options that there are", () => {
    expect(() => d1Routes({} as never)).toThrow("d1Routes: the binding must be a D1 database")
    expect(() => d1Routes(d1.binding, { nwo: now } as never)).toThrow(/^d1Routes: .*nwo/)
  })
})
