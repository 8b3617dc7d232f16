import { claim } from "../../claim.ts"
import { HALF_OF_A_PAIR } from "../../half-of-a-pair.ts"
import { failing, tagOf } from "../law-context.ts"
import { inEachCase, law } from "../law.ts"

/** How projects are found. */
export const references = {
  "reference.prefix": law(
    "a reference is an id, a name or the beginning of one that no other project shares",
    async ({ setup }) => {
      const { registry } = await setup()
      const api = await registry.create({ name: "api", owner: "org_1" })
      const two = await registry.create({ name: "api-two", owner: "org_2" })
      for (const reference of [api.id, "api", "API"]) claim((await registry.read(reference)).id).toBe(api.id)
      for (const reference of [two.id, "api-", "api-two"]) claim((await registry.read(reference)).id).toBe(two.id)
      const ambiguous = await failing(registry.read("ap"))
      claim(ambiguous).toMatchObject({ _tag: "AmbiguousReference", reference: "ap" })
      claim((ambiguous as { matches?: string[] }).matches?.toSorted()).toEqual([api.id, two.id].toSorted())
      claim((await registry.read("ap", { owner: "org_2" })).id).toBe(two.id)
      claim(await tagOf(registry.read(api.id, { owner: "org_2" }))).toBe("NotFound")
      for (const reference of ["", "nobody", undefined, "__proto__"]) {
        claim(await tagOf(registry.read(reference as string))).toBe("NotFound")
      }
    },
  ),
  "reference.whole": law(
    "a reference of a change is a whole id or name: a beginning is for reading alone",
    async ({ setup }) => {
      const { registry, put } = await setup()
      await put("mach_1")
      const before = await registry.create({ name: "production" })
      await registry.addDomain("production", "example.com")
      const { version } = await registry.read("prod")
      for (const reference of ["prod", "productio", before.id.slice(0, -1)]) {
        const writes = [
          () => registry.rename(reference, "anna"),
          () => registry.remove(reference),
          () => registry.configure(reference, { port: 80 }),
          () => registry.attach(reference, "mach_1"),
          () => registry.detach(reference),
          () => registry.redirect(reference, { to: "https://example.com/" }),
          () => registry.revoke(reference),
          () => registry.addDomain(reference, "www.example.com"),
          () => registry.verifyDomain(reference, "example.com"),
          () => registry.removeDomain(reference, "example.com"),
        ]
        for (const write of writes) {
          claim(await failing(write())).toMatchObject({ _tag: "NotFound", kind: "project", reference })
        }
      }
      claim((await registry.read("production")).version).toBe(version)
      claim(await registry.configure("Production", { port: 80 })).toMatchObject({ port: 80 })
      claim(await registry.configure(before.id, { port: 81 })).toMatchObject({ port: 81 })
    },
  ),
  "reference.any-text": law("a reference may be any text, and finds nothing", async ({ setup }) => {
    await inEachCase<[string, string]>(
      [
        ["NUL", "\0"],
        ["half of a pair", HALF_OF_A_PAIR],
        ["SQL", "'; drop table project_ingress_rows"],
        ["wildcards", "%_"],
        ["long", "x".repeat(60_000)],
      ],
      async ([, text]) => {
        const { registry } = await setup()
        await registry.create({ name: "misha", owner: "org_1" })
        claim(await tagOf(registry.read(text))).toBe("NotFound")
        claim(await tagOf(registry.read("misha", { owner: text }))).toBe("NotFound")
        claim(await tagOf(registry.revoke(text))).toBe("NotFound")
        claim((await registry.list({ owner: text })).projects).toEqual([])
      },
    )
  }),
  "reference.former": law("a reference is not a former name", async ({ setup }) => {
    const { registry } = await setup()
    await registry.create({ name: "old" })
    await registry.rename("old", "new")
    claim(await tagOf(registry.read("old"))).toBe("NotFound")
  }),
  "external-id.unique": law(
    "an external id is one project's, and finds it, in its case and whole",
    async ({ setup }) => {
      const { registry, put } = await setup()
      await put("mach_1")
      const { id, version } = await registry.create({ name: "misha", externalId: "Cust-7", owner: "org_1" })
      claim(await registry.read({ externalId: "Cust-7" })).toMatchObject({ id, externalId: "Cust-7" })
      claim(await registry.read({ externalId: "Cust-7" }, { owner: "org_1" })).toMatchObject({ id })
      for (const [externalId, owner] of [["cust-7"], ["Cust"], ["misha"], [id], ["\0"], ["Cust-7", "org_2"]]) {
        const options = owner === undefined ? {} : { owner }
        claim(await failing(registry.read({ externalId: externalId! }, options))).toMatchObject({
          _tag: "NotFound",
          reference: externalId,
        })
      }
      claim(await failing(registry.create({ name: "anna", externalId: "Cust-7" }))).toMatchObject({
        _tag: "ExternalIdTaken",
        externalId: "Cust-7",
        project: id,
      })
      claim(await tagOf(registry.read("anna"))).toBe("NotFound")
      claim((await registry.read(id)).version).toBe(version)
      // A name is no external id, and the other way round.
      await registry.create({ name: "cust-7", externalId: "misha" })
      claim((await registry.read("misha")).id).toBe(id)
      for (const wrong of [{}, { externalID: "Cust-7" }, { externalId: "" }, { externalId: 7 }])
        await claim(registry.read(wrong as never)).rejects.toBeInstanceOf(TypeError)
    },
  ),
  "external-id.kept": law(
    "an external id stays through a rename and a transfer, and is free at once when its project is removed",
    async ({ setup }) => {
      const { registry } = await setup()
      const { id } = await registry.create({ name: "misha", externalId: "7", owner: "org_1" })
      await registry.rename("misha", "anna")
      await registry.transfer("anna", "org_2")
      claim(await registry.read({ externalId: "7" })).toMatchObject({ id, name: "anna", owner: "org_2" })
      await registry.remove("anna")
      claim(await tagOf(registry.read({ externalId: "7" }))).toBe("NotFound")
      const next = await registry.create({ name: "olga", externalId: "7" })
      await registry.purge()
      claim(await registry.read({ externalId: "7" })).toMatchObject({ id: next.id })
    },
  ),
  "external-id.configured": law(
    "an external id is given, replaced and cleared by configure, in the records too",
    async ({ setup }) => {
      const { registry, record, put } = await setup()
      await put("mach_1")
      await registry.create({ name: "misha", machine: "mach_1" })
      await registry.create({ name: "anna", externalId: "7" })
      claim(await tagOf(registry.configure("misha", { externalId: "7", port: 80 }))).toBe("ExternalIdTaken")
      claim(await registry.read("misha")).not.toHaveProperty("port")
      await registry.configure("misha", { externalId: "8" })
      await registry.configure("misha", { externalId: "8", port: 80 })
      claim([(await record("p:misha"))?.externalId, (await record("m:mach_1"))?.externalId]).toEqual(["8", "8"])
      await registry.configure("misha", { externalId: "9" })
      claim(await tagOf(registry.read({ externalId: "8" }))).toBe("NotFound")
      await registry.configure("anna", { externalId: "8" })
      await registry.configure("misha", { externalId: null })
      claim(await tagOf(registry.read({ externalId: "9" }))).toBe("NotFound")
      claim(await record("m:mach_1")).not.toHaveProperty("externalId")
      for (const wrong of ["", "x".repeat(257), "a\nb", 5, {}])
        claim(await failing(registry.configure("misha", { externalId: wrong as string }))).toMatchObject({
          _tag: "InvalidInput",
          field: "externalId",
        })
    },
  ),
  "list.pages": law("a list is read in pages, by owner if wanted", async ({ setup }) => {
    const { registry } = await setup()
    for (let at = 0; at < 7; at++) await registry.create({ name: `p-${at}`, owner: at % 2 === 0 ? "even" : "odd" })
    const names: string[] = []
    let cursor: string | undefined
    do {
      const page = await registry.list({ limit: 3, ...(cursor === undefined ? {} : { cursor }) })
      claim(page.projects.length).toBeLessThanOrEqual(3)
      names.push(...page.projects.map(({ name }) => name))
      cursor = page.next
    } while (cursor !== undefined)
    claim(names.toSorted()).toEqual(["p-0", "p-1", "p-2", "p-3", "p-4", "p-5", "p-6"])
    claim((await registry.list({ owner: "odd" })).projects).toHaveLength(3)
    claim(await tagOf(registry.list({ limit: 0 }))).toBe("InvalidInput")
    claim(await tagOf(registry.list({ cursor: "'; drop table" }))).toBe("InvalidInput")
  }),
}
