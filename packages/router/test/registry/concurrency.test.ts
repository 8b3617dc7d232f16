/** Many writers at once, as so many processes: each has a registry of its own, and only the database is shared. */
import { defineGrammar } from "@project-ingress/hostname"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { everything } from "../../../../test/requirements.ts"
import { engines } from "./engines.ts"
import type { AnyRegistry, Engine } from "./engines.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const WRITERS = everything ? 200 : 30
const machine = (id: string, owner?: string) => ({
  id,
  type: "fake",
  externalId: id,
  metadata: {},
  ...(owner === undefined ? {} : { owner }),
})

// PGlite has a single connection.
const shared = engines.filter(({ name }) => name !== "PGlite")

for (const { name, missing, start } of shared)
  describe.skipIf(missing !== "")(`in ${name}${missing}`, () => {
    let engine: Engine
    let writers: readonly AnyRegistry[]
    let registry: AnyRegistry
    const proofs: string[] = []
    beforeAll(async () => void (engine = await start()))
    afterAll(() => engine?.close())

    const setup = async () => {
      await engine.empty()
      proofs.length = 0
      const options = { grammar, resolveTxt: async () => proofs }
      writers = Array.from({ length: WRITERS }, () => engine.open(options))
      registry = writers[0]!
    }
    /** Has every writer do the same at once. Returns how often each came about. */
    const race = async (act: (registry: AnyRegistry, at: number) => Promise<unknown>) => {
      const outcomes = await Promise.all(
        writers.map(async (writer, at) =>
          act(writer, at).then(
            () => "done",
            (cause: { readonly _tag?: string }) => cause._tag ?? `${cause as Error}`,
          ),
        ),
      )
      const counts: Record<string, number> = {}
      for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1
      return counts
    }
    const oneAnd = (tag: string) => ({ done: 1, [tag]: WRITERS - 1 })
    /** Projects `p-0`, `p-1` … of which each writer has one. */
    const projects = async () => {
      await setup()
      await race((writer, at) => writer.create({ name: `p-${at}` }))
    }

    it("one of many creates has the name", async () => {
      await setup()
      expect(await race((writer) => writer.create({ name: "misha" }))).toEqual(oneAnd("NameTaken"))
      expect((await registry.list()).projects).toHaveLength(1)
    })

    it("one of many creates, and then one of many projects, has the external id", async () => {
      await setup()
      const create = (writer: AnyRegistry, at: number) => writer.create({ name: `p-${at}`, externalId: "7" })
      expect(await race(create)).toEqual(oneAnd("ExternalIdTaken"))
      const [winner, ...others] = (await registry.list()).projects
      expect(others).toEqual([])
      expect(await registry.read({ externalId: "7" })).toEqual(winner)
      await projects()
      const configure = (writer: AnyRegistry, at: number) => writer.configure(`p-${at}`, { externalId: "7" })
      expect(await race(configure)).toEqual(oneAnd("ExternalIdTaken"))
    })

    it("one of many projects has the machine, the name and the domain", async () => {
      await projects()
      await registry.putMachine(machine("mach_1"))
      expect(await race((writer, at) => writer.attach(`p-${at}`, "mach_1"))).toEqual(oneAnd("MachineTaken"))
      proofs.push((await registry.addDomain("p-0", "www.example.com")).proof.value)
      await race((writer, at) => writer.addDomain(`p-${at}`, "www.example.com"))
      expect(await race((writer, at) => writer.verifyDomain(`p-${at}`, "www.example.com"))).toEqual(
        oneAnd("DomainTaken"),
      )
      expect(await race((writer, at) => writer.rename(`p-${at}`, "misha"))).toEqual(oneAnd("NameTaken"))
    })

    it("one of many owners has the machine's id", async () => {
      await setup()
      const put = (writer: AnyRegistry, at: number) => writer.putMachine(machine("mach_1", `org_${at}`))
      expect(await race(put)).toEqual(oneAnd("OwnerMismatch"))
    })

    it.each<[string, (registry: AnyRegistry, options: { readonly ifVersion: number }) => Promise<unknown>]>([
      ["configure", (writer, options) => writer.configure("misha", { port: 80 }, options)],
      ["attach", (writer, options) => writer.attach("misha", "mach_1", options)],
      ["detach", (writer, options) => writer.detach("misha", options)],
      ["redirect", (writer, options) => writer.redirect("misha", { to: "https://example.com/" }, options)],
      ["revoke", (writer, options) => writer.revoke("misha", options)],
      ["addDomain", (writer, options) => writer.addDomain("misha", "a.example.com", options)],
      ["rename", (writer, options) => writer.rename("misha", "anna", options)],
    ])("one of many writers that have seen the same version may %s", async (_, act) => {
      await setup()
      await registry.putMachine(machine("mach_1"))
      const { id, version } = await registry.create({ name: "misha" })
      const counts = await race((writer) => act(writer, { ifVersion: version }))
      // After a rename the name is not the project's any more.
      expect((counts["VersionConflict"] ?? 0) + (counts["NotFound"] ?? 0)).toBe(WRITERS - 1)
      expect(counts["done"]).toBe(1)
      expect((await registry.read(id)).version).toBeGreaterThan(version)
    })

    it("one of many removes it, and the others find nothing", async () => {
      await setup()
      await registry.create({ name: "misha" })
      expect(await race((writer) => writer.remove("misha"))).toEqual(oneAnd("NotFound"))
      await registry.putMachine(machine("mach_1"))
      expect(await race((writer) => writer.removeMachine("mach_1"))).toEqual(oneAnd("NotFound"))
    })

    it("none of many changes is lost where all are welcome", async () => {
      await setup()
      await registry.create({ name: "misha" })
      const counts = await race((writer, at) =>
        at < 30 ? writer.configure("misha", { services: { [`s-${at}`]: 8000 + at } }) : Promise.resolve(),
      )
      expect(counts).toEqual({ done: WRITERS })
      expect(Object.keys((await registry.read("misha")).services ?? {})).toHaveLength(30)
    })
  })
