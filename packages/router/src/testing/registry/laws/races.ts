import { claim } from "../../claim.ts"
import { testMachine } from "../law-context.ts"
import type { AnyRegistry } from "../registry-fixture.ts"
import { inEachCase, law } from "../law.ts"

/** Many writers at once, as so many processes: only the rows are shared. */
export const races = {
  "race.create": law("one of many creates has the name", async ({ writers }) => {
    const r = await writers()
    claim(await r.race((writer) => writer.create({ name: "misha" }))).toEqual(r.oneAnd("NameTaken"))
    claim((await r.registry.list()).projects).toHaveLength(1)
  }),
  "race.external-id": law(
    "one of many creates, and then one of many projects, has the external id",
    async ({ writers }) => {
      const r = await writers()
      claim(await r.race((writer, at) => writer.create({ name: `p-${at}`, externalId: "7" }))).toEqual(
        r.oneAnd("ExternalIdTaken"),
      )
      const [winner, ...others] = (await r.registry.list()).projects
      claim(others).toEqual([])
      claim(await r.registry.read({ externalId: "7" })).toEqual(winner)
      const each = await writers("with a project each")
      claim(await each.race((writer, at) => writer.configure(`p-${at}`, { externalId: "7" }))).toEqual(
        each.oneAnd("ExternalIdTaken"),
      )
    },
  ),
  "race.project": law("one of many projects has the machine, the name and the domain", async ({ writers }) => {
    const r = await writers("with a project each")
    await r.registry.putMachine(testMachine("mach_1"))
    claim(await r.race((writer, at) => writer.attach(`p-${at}`, "mach_1"))).toEqual(r.oneAnd("MachineTaken"))
    r.proofs.push((await r.registry.addDomain("p-0", "www.example.com")).proof.value)
    await r.race((writer, at) => writer.addDomain(`p-${at}`, "www.example.com"))
    claim(await r.race((writer, at) => writer.verifyDomain(`p-${at}`, "www.example.com"))).toEqual(
      r.oneAnd("DomainTaken"),
    )
    claim(await r.race((writer, at) => writer.rename(`p-${at}`, "misha"))).toEqual(r.oneAnd("NameTaken"))
  }),
  "race.machine": law("one of many owners has the machine's id", async ({ writers }) => {
    const r = await writers()
    claim(await r.race((writer, at) => writer.putMachine(testMachine("mach_1", `org_${at}`)))).toEqual(
      r.oneAnd("OwnerMismatch"),
    )
  }),
  "race.version": law("one of many writers that have seen the same version may change it", async ({ writers }) => {
    await inEachCase<[string, (registry: AnyRegistry, options: { readonly ifVersion: number }) => Promise<unknown>]>(
      [
        ["configure", (writer, options) => writer.configure("misha", { port: 80 }, options)],
        ["attach", (writer, options) => writer.attach("misha", "mach_1", options)],
        ["detach", (writer, options) => writer.detach("misha", options)],
        ["redirect", (writer, options) => writer.redirect("misha", { to: "https://example.com/" }, options)],
        ["revoke", (writer, options) => writer.revoke("misha", options)],
        ["addDomain", (writer, options) => writer.addDomain("misha", "a.example.com", options)],
        ["rename", (writer, options) => writer.rename("misha", "anna", options)],
      ],
      async ([, act]) => {
        const r = await writers()
        await r.registry.putMachine(testMachine("mach_1"))
        const { id, version } = await r.registry.create({ name: "misha" })
        const counts = await r.race((writer) => act(writer, { ifVersion: version }))
        // After a rename the name is not the project's any more.
        claim((counts["VersionConflict"] ?? 0) + (counts["NotFound"] ?? 0)).toBe(r.count - 1)
        claim(counts["done"]).toBe(1)
        claim((await r.registry.read(id)).version).toBeGreaterThan(version)
      },
    )
  }),
  "race.remove": law("one of many removes it, and the others find nothing", async ({ writers }) => {
    const r = await writers()
    await r.registry.create({ name: "misha" })
    claim(await r.race((writer) => writer.remove("misha"))).toEqual(r.oneAnd("NotFound"))
    await r.registry.putMachine(testMachine("mach_1"))
    claim(await r.race((writer) => writer.removeMachine("mach_1"))).toEqual(r.oneAnd("NotFound"))
  }),
  "race.all": law("none of many changes is lost where all are welcome", async ({ writers }) => {
    const r = await writers()
    await r.registry.create({ name: "misha" })
    const counts = await r.race((writer, at) =>
      at < 30 ? writer.configure("misha", { services: { [`s-${at}`]: 8000 + at } }) : Promise.resolve(),
    )
    claim(counts).toEqual({ done: r.count })
    claim(Object.keys((await r.registry.read("misha")).services ?? {})).toHaveLength(30)
  }),
}
