import { claim } from "../../claim.ts"
import { failing, tagOf } from "../law-context.ts"
import { inEachCase, law } from "../law.ts"
import type { RegistryError } from "../../../stores/registry/errors.ts"

/** Owners, transfers, and expected versions. */
export const ownership = {
  "transfer.whole": law(
    "a transfer gives the project and its machines to another owner at once, and ends sessions",
    async ({ setup }) => {
      const { registry, record, put, own, dns } = await setup()
      for (const id of ["mach_1", "mach_2"]) await put(id, { owner: "org_1" })
      await registry.create({ name: "old", owner: "org_1", machine: "mach_1", replicas: ["mach_2"] })
      await registry.rename("old", "misha")
      await own("misha", "www.example.com")
      const { cursor } = await registry.snapshot()
      const error = await failing(registry.transfer("misha", "org_2"))
      claim(error).toMatchObject({ _tag: "DomainNotVerified", hostname: "www.example.com" })
      claim(await registry.changes(cursor)).toMatchObject({ changes: [] })
      // What was said the first time is what is looked for the second time.
      const { proof } = error as never as { readonly proof: { readonly name: string; readonly value: string } }
      dns.set(proof.name, [proof.value])
      claim(await registry.transfer("misha", "org_2")).toMatchObject({ owner: "org_2", generation: 1 })
      const keys = ["p:misha", "p:old", "d:www.example.com", "m:mach_1", "m:mach_2"] as const
      for (const key of keys) claim(await record(key)).toMatchObject({ owner: "org_2", generation: 1 })
      const page = await registry.changes(cursor)
      claim(page.status === "changes" && page.changes.map(({ key }) => key).toSorted()).toEqual(keys.toSorted())
      claim((await registry.readMachine("mach_2")).owner).toBe("org_2")
      claim((await registry.list({ owner: "org_1" })).projects).toEqual([])
      claim((await registry.read("misha")).domains).toMatchObject([{ verified: true, proof }])
    },
  ),
  "transfer.refused": law(
    "a transfer is refused where another project or another machine would be left with two owners",
    async ({ setup }) => {
      const { registry, put } = await setup()
      for (const id of ["mach_1", "mach_2", "mach_3"]) await put(id, { owner: "org_1" })
      const rules = [{ match: {}, targets: [{ machine: "mach_1" }] }]
      const front = await registry.create({ name: "front", owner: "org_1", machine: "mach_2", rules })
      await registry.create({ name: "back", owner: "org_1", machine: "mach_1" })
      claim(await failing(registry.transfer("back", "org_2"))).toMatchObject({
        _tag: "MachineTaken",
        machine: "mach_1",
        project: front.id,
      })
      claim(await failing(registry.transfer("front", "org_2"))).toMatchObject({
        _tag: "OwnerMismatch",
        field: "rules.0.targets.0.machine",
      })
      claim(await failing(registry.transfer("front", ""))).toMatchObject({ _tag: "InvalidInput", field: "owner" })
      claim(await registry.transfer("front", "org_1")).toEqual(front)
      await registry.configure("front", { rules: null })
      claim(await registry.transfer("front", undefined)).not.toHaveProperty("owner")
      claim(await registry.readMachine("mach_2")).not.toHaveProperty("owner")
    },
  ),
  "owner.misspelt": law("an owner that is misspelt or lost opens no other tenant's projects", async ({ setup }) => {
    await inEachCase<[string, object]>(
      [
        ["ownr is not an option (did you mean owner?)", { ownr: "org_2" }],
        ["owner must be a non-empty string, got undefined", { owner: undefined }],
        ["owner must be a non-empty string, got an empty string", { owner: "" }],
        ["owner must be a non-empty string, got null", { owner: null }],
        ["options must be an object, got a string", "org_2" as never],
      ],
      async ([message, options]) => {
        const { registry } = await setup()
        await registry.create({ name: "misha", owner: "org_1" })
        for (const read of [() => registry.read("misha", options), () => registry.list(options)]) {
          await claim(read()).rejects.toThrow(new TypeError(`registry: ${message}`))
        }
      },
    )
  }),
  "version.one-writer": law("ifVersion lets one of two writers win, and the other know", async ({ setup }) => {
    const { registry, put } = await setup()
    const { version } = await registry.create({ name: "misha" })
    await put("mach_1")
    const options = { ifVersion: version }
    const results = await Promise.allSettled([
      registry.configure("misha", { port: 80 }, options),
      registry.configure("misha", { port: 81 }, options),
      registry.attach("misha", "mach_1", options),
      registry.detach("misha", options),
      registry.revoke("misha", options),
      registry.redirect("misha", { to: "https://example.com/" }, options),
      registry.addDomain("misha", "example.com", options),
      registry.rename("misha", "anna", options),
      registry.remove("misha", options),
    ])
    const winners = results.filter(({ status }) => status === "fulfilled")
    claim(winners).toHaveLength(1)
    // Where the project was removed, there is no version to compare with.
    const tag = results.at(-1)!.status === "fulfilled" ? "NotFound" : "VersionConflict"
    const tags = results.flatMap((result) =>
      result.status === "fulfilled" ? [] : [(result.reason as RegistryError)._tag],
    )
    claim(tags).toEqual(Array.from({ length: 8 }, () => tag))
  }),
  "version.machine": law("ifVersion guards machines, too", async ({ setup }) => {
    const { registry, put } = await setup()
    const { version } = await put("mach_1")
    const again = { id: "mach_1", type: "fake", externalId: "b", metadata: {} }
    await registry.putMachine(again, { ifVersion: version })
    claim(await tagOf(registry.putMachine(again, { ifVersion: version }))).toBe("VersionConflict")
    claim(await tagOf(registry.removeMachine("mach_1", { ifVersion: version }))).toBe("VersionConflict")
  }),
  "version.misspelt": law("ifVersion is refused if it is misspelt, rather than ignored", async ({ setup }) => {
    const { registry, put } = await setup()
    await registry.create({ name: "misha" })
    const error = await failing(registry.remove("misha", { ifversion: 1 } as never))
    claim(error.message).toBe("registry: ifversion is not an option (did you mean ifVersion?)")
    claim((await registry.read("misha")).name).toBe("misha")
    await put("mach_1")
    const machine = { id: "mach_1", type: "fake", externalId: "other", metadata: {} }
    const putting = await failing(registry.putMachine(machine, { ifversion: 1 } as never))
    claim(putting.message).toBe("registry: ifversion is not an option (did you mean ifVersion?)")
    claim(await registry.readMachine("mach_1")).toMatchObject({ externalId: "ext-mach_1" })
  }),
}
