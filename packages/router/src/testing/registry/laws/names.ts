import { anyNumber, claim } from "../../claim.ts"
import { DAY, failing, tagOf } from "../law-context.ts"
import { inEachCase, law } from "../law.ts"
import type { RouteKey } from "../../../stores/record.ts"
import type { ProjectChanges } from "../../../stores/route-registry.ts"

/** Names: renames, tombstones, redirects. */
export const names = {
  "rename.quarantine": law(
    "a rename redirects the old name with its port for the time of quarantine, and keeps it from others",
    async ({ setup }) => {
      const { registry, record, clock } = await setup()
      const { id } = await registry.create({ name: "old", owner: "org_1", visibility: "private" })
      claim(await registry.rename("old", "New")).toMatchObject({ id, name: "new", epoch: 0 })
      claim(await record("p:new")).toMatchObject({ kind: "detached" })
      claim(await record("p:old")).toEqual({
        kind: "redirect",
        to: { project: "new" },
        status: 308,
        visibility: "private",
        owner: "org_1",
        epoch: 0,
        generation: 0,
        version: anyNumber,
        expiresAt: clock.now + 30 * DAY,
      })
      claim(await failing(registry.create({ name: "old" }))).toMatchObject({
        _tag: "NameTaken",
        reusableAt: clock.now + 30 * DAY,
      })
      clock.now += 30 * DAY
      claim(await record("p:old")).toBeUndefined()
      await registry.create({ name: "old", owner: "org_2" })
      claim(await record("p:old")).toMatchObject({ kind: "detached", owner: "org_2" })
      // The first project has no part in that name any more.
      await registry.rename("new", "newer")
      claim(await record("p:old")).toMatchObject({ kind: "detached", owner: "org_2" })
      await registry.remove("newer")
      claim(await record("p:old")).toMatchObject({ kind: "detached", owner: "org_2" })
    },
  ),
  "rename.visibility": law("a rename shows the new name to nobody for whom a port is closed", async ({ setup }) => {
    await inEachCase<[string, ProjectChanges, string | undefined]>(
      [
        [
          "one port of it is private",
          { ports: { 80: { visibility: "public" }, 4096: { visibility: "private" } } },
          "private",
        ],
        [
          "one port of a public project is private",
          { visibility: "public", ports: { 4096: { visibility: "private" } } },
          "private",
        ],
        [
          "a private project has public ports",
          { visibility: "private", ports: { 4096: { visibility: "public" } } },
          "private",
        ],
        ["all of it is public", { visibility: "public", ports: { 4096: { appOrigin: "public" } } }, "public"],
        ["nobody said anything", {}, undefined],
      ],
      async ([, config, visibility]) => {
        const { registry, record } = await setup()
        await registry.create({ name: "old", ...(config as object) })
        await registry.rename("old", "new")
        const of = async (key: RouteKey) => {
          const found = await record(key)
          return [found?.kind, found?.kind === "machine" ? "" : found?.visibility]
        }
        claim(await of("p:old")).toEqual(["redirect", visibility])
        await registry.redirect("new", { to: "https://example.com/" })
        claim(await of("p:new")).toEqual(["redirect", visibility])
        await registry.remove("new")
        claim([await of("p:old"), await of("p:new")]).toEqual([
          ["removed", visibility],
          ["removed", visibility],
        ])
      },
    )
  }),
  "rename.back": law("a rename leads every former name to the current one, and may go back", async ({ setup }) => {
    const { registry, record } = await setup()
    await registry.create({ name: "a" })
    await registry.rename("a", "b")
    await registry.rename("b", "c")
    claim([await record("p:a"), await record("p:b")]).toMatchObject([
      { to: { project: "c" } },
      { to: { project: "c" } },
    ])
    await registry.rename("c", "a")
    claim([await record("p:a"), await record("p:b"), await record("p:c")]).toMatchObject([
      { kind: "detached" },
      { to: { project: "a" } },
      { to: { project: "a" } },
    ])
  }),
  "rename.same": law("a rename to the same name changes nothing", async ({ setup }) => {
    const { registry } = await setup()
    const before = await registry.create({ name: "misha" })
    claim(await registry.rename("misha", "MISHA")).toEqual(before)
  }),
  "rename.taken": law("a rename cannot take a name that is in use or reserved", async ({ setup }) => {
    const { registry } = await setup()
    await registry.create({ name: "a" })
    await registry.create({ name: "b" })
    claim(await failing(registry.rename("a", "b"))).toMatchObject({ _tag: "NameTaken", reusableAt: undefined })
    claim(await tagOf(registry.rename("a", "www"))).toBe("ReservedName")
    claim(await tagOf(registry.create({ name: "b" }))).toBe("NameTaken")
  }),
  "rename.proof": law(
    "a rename asks for the proof of every domain again, and changes nothing if one is missing",
    async ({ setup }) => {
      const { registry, record, dns, own } = await setup()
      await registry.create({ name: "misha" })
      await own("misha", "a.example.com")
      await own("misha", "b.example.com")
      await registry.rename("misha", "anna")
      dns.delete("_project-ingress.b.example.com")
      claim(await failing(registry.rename("anna", "zoe"))).toMatchObject({
        _tag: "DomainNotVerified",
        hostname: "b.example.com",
      })
      claim(await record("p:anna")).toMatchObject({ kind: "detached" })
      claim(await record("p:zoe")).toBeUndefined()
      claim(await record("d:b.example.com")).toBeDefined()
      await registry.removeDomain("anna", "b.example.com")
      claim(await registry.rename("anna", "zoe")).toMatchObject({ name: "zoe" })
    },
  ),
  "rename.freed": law("a rename leaves no tombstone under a former name that is free again", async ({ setup }) => {
    const { get, registry, record, clock } = await setup()
    await registry.create({ name: "old" })
    await registry.rename("old", "new")
    clock.now += 30 * DAY
    await registry.remove("new")
    claim(await record("p:new")).toMatchObject({ kind: "removed" })
    claim(await get("p:old")).toMatchObject({ status: "miss" })
  }),
  "rename.race": law("a rename loses against a change that is made while the DNS is asked", async ({ setup }) => {
    const { registry, own, dns } = await setup()
    await registry.create({ name: "misha" })
    await own("misha", "a.example.com")
    const published = new Map(dns)
    dns.get = (name) => {
      changing ??= registry.configure("misha", { port: 80 })
      return changing.then(() => published.get(name)) as never
    }
    let changing: Promise<unknown> | undefined
    const asked = registry.rename("misha", "anna", { ifVersion: (await registry.read("misha")).version })
    claim((await failing(asked))._tag).toBe("VersionConflict")
    await changing
    claim((await registry.read("misha")).port).toBe(80)
  }),
  "removal.tombstones": law(
    "a removed project leaves tombstones, frees its machines, and is not found",
    async ({ setup }) => {
      const { registry, record, put, own, clock } = await setup()
      await put("mach_1", { owner: "org_1" })
      const { id } = await registry.create({ name: "old", owner: "org_1", visibility: "private" })
      await registry.rename("old", "misha")
      await registry.attach("misha", "mach_1")
      await own("misha", "www.example.com")
      await registry.addDomain("misha", "pending.example.com")
      await registry.remove("misha")
      for (const key of ["p:misha", "p:old", "d:www.example.com"] as const) {
        claim(await record(key)).toMatchObject({ kind: "removed", owner: "org_1", visibility: "private", epoch: 2 })
      }
      claim(await record("d:pending.example.com")).toBeUndefined()
      claim(await record("m:mach_1")).toMatchObject({ visibility: "private" })
      for (const reference of [id, "misha", "old"]) claim(await tagOf(registry.read(reference))).toBe("NotFound")
      claim(await tagOf(registry.create({ name: "misha", owner: "org_1" }))).toBe("NameTaken")
      clock.now += 30 * DAY
      claim(await record("p:misha")).toBeUndefined()
      await registry.create({ name: "misha", owner: "org_2" })
      claim(await record("p:misha")).toMatchObject({ kind: "detached", owner: "org_2" })
    },
  ),
  "redirect.machine": law("a redirect takes the machine away, and ends when one is attached", async ({ setup }) => {
    const { registry, record, put } = await setup()
    await put("mach_1")
    await registry.create({ name: "misha", machine: "mach_1", visibility: "public" })
    await registry.redirect("misha", { to: "https://example.com/new", status: 302 })
    claim(await record("p:misha")).toMatchObject({
      kind: "redirect",
      to: "https://example.com/new",
      status: 302,
      visibility: "public",
      epoch: 2,
    })
    claim((await registry.readMachine("mach_1")).project).toBeUndefined()
    claim(await registry.attach("misha", "mach_1")).not.toHaveProperty("redirect")
    claim(await record("p:misha")).toMatchObject({ kind: "machine", epoch: 3 })
    await registry.redirect("misha", { to: { project: "anna" } })
    claim(await record("p:misha")).toMatchObject({ to: { project: "anna" }, status: 308 })
    await registry.detach("misha")
    claim(await record("p:misha")).toMatchObject({ kind: "detached" })
  }),
  "redirect.invalid": law("a redirect is refused if it is not valid", async ({ setup }) => {
    await inEachCase<[string, unknown]>(
      [
        ["to.project", { to: { project: "misha" } }],
        ["to", { to: "/path" }],
        ["to", {}],
        ["status", { to: "https://example.com/", status: 200 }],
        ["code", { to: "https://example.com/", code: 302 }],
      ],
      async ([field, redirect]) => {
        const { registry } = await setup()
        await registry.create({ name: "misha" })
        claim(await failing(registry.redirect("misha", redirect as never))).toMatchObject({
          _tag: "InvalidInput",
          field,
        })
      },
    )
  }),
}
