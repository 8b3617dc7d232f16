import { anyNumber, claim } from "../../claim.ts"
import { HALF_OF_A_PAIR } from "../../half-of-a-pair.ts"
import { failing, tagOf } from "../law-context.ts"
import type { AnyRegistry } from "../registry-fixture.ts"
import { inEachCase, law } from "../law.ts"
import { RECORD_LIMITS } from "../../../stores/frozen-json.ts"

/** A project, its configuration and its life. */
export const projects = {
  "project.attached": law(
    "a project leads nowhere before it is created, and to its machine once one is attached",
    async ({ setup }) => {
      const { get, registry, record, put } = await setup()
      claim(await get("p:misha")).toMatchObject({ status: "miss" })
      const created = await registry.create({
        name: "Misha",
        owner: "org_1",
        externalId: "x1",
        metadata: { plan: "a" },
      })
      claim(created).toMatchObject({ name: "misha", owner: "org_1", epoch: 0, generation: 0, domains: [] })
      claim(await record("p:misha")).toEqual({
        kind: "detached",
        version: anyNumber,
        epoch: 0,
        generation: 0,
        owner: "org_1",
        externalId: "x1",
        metadata: { plan: "a" },
      })
      await put("mach_1", { owner: "org_1" })
      const attached = await registry.attach("misha", "MACH_1")
      claim(attached).toMatchObject({ machine: "mach_1", epoch: 1 })
      claim(attached.version).toBeGreaterThan(created.version)
      claim(await record("p:misha")).toMatchObject({ kind: "machine", epoch: 1, machine: { id: "mach_1" } })
      claim(await registry.readMachine("mach_1")).toMatchObject({ project: created.id })
    },
  ),
  "project.created-with": law("a project may be created with its machine and its configuration", async ({ setup }) => {
    const { registry, record, put } = await setup()
    await put("mach_1")
    await put("mach_2", { metadata: { zone: "b" } })
    const rules = [{ match: { path: { prefix: "/api" } }, targets: [{ machine: "mach_2", port: 9000 }, { weight: 2 }] }]
    await registry.create({ name: "misha", machine: "mach_1", port: 5173, services: { web: 8000 }, rules })
    const second = { id: "mach_2", type: "fake", externalId: "ext-mach_2", metadata: { zone: "b" } }
    claim(await record("p:misha")).toMatchObject({
      kind: "machine",
      epoch: 1,
      port: 5173,
      services: { web: 8000 },
      rules: [{ match: { path: { prefix: "/api" } }, targets: [{ machine: second, port: 9000 }, { weight: 2 }] }],
    })
  }),
  "project.counts": law(
    "a project counts its epoch at each attach and detach, and its version at each change",
    async ({ setup }) => {
      const { registry, put } = await setup()
      await put("mach_1")
      await put("mach_2")
      const seen = [
        await registry.create({ name: "misha" }),
        await registry.attach("misha", "mach_1"),
        await registry.attach("misha", "mach_1"),
        await registry.attach("misha", "mach_2"),
        await registry.configure("misha", { port: 80 }),
        await registry.detach("misha"),
        await registry.detach("misha"),
      ]
      claim(seen.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3, 3, 4, 5])
      claim(seen.map(({ version }) => version)).toEqual(seen.map(({ version }) => version).toSorted((a, b) => a - b))
      claim(new Set(seen.map(({ version }) => version)).size).toBe(seen.length)
      claim((await registry.readMachine("mach_1")).project).toBeUndefined()
    },
  ),
  "project.revoked": law("a project ends its grants when it is revoked", async ({ setup }) => {
    const { registry, record, put } = await setup()
    await put("mach_1")
    await registry.create({ name: "misha", machine: "mach_1" })
    await registry.revoke("misha")
    claim([(await record("p:misha"))?.generation, (await record("m:mach_1"))?.generation]).toEqual([1, 1])
  }),
  "project.expired": law("a project leads nowhere when it has expired", async ({ setup }) => {
    const { registry, record, clock } = await setup()
    await registry.create({ name: "misha", expiresAt: clock.now + 1_000 })
    claim(await record("p:misha")).toBeDefined()
    clock.now += 1_000
    claim(await record("p:misha")).toBeUndefined()
  }),
  "project.expired-machines": law(
    "a project that has expired leaves its machines with their own settings, private by default, under every name",
    async ({ setup }) => {
      const { registry, record, put, clock } = await setup()
      const expiresAt = clock.now + 1_000
      for (const id of ["mach_1", "mach_2", "mach_3"]) await put(id)
      await put("mach_2", { ports: { 9000: { visibility: "public" } } })
      const rules = [{ match: {}, targets: [{ machine: "mach_1" }, { machine: "mach_2" }] }]
      await registry.create({ name: "front", machine: "mach_3", rules })
      const given = {
        machine: "mach_1",
        replicas: ["mach_2"],
        visibility: "public",
        metadata: { plan: "a" },
      } as const
      await registry.create({ name: "back", ...given, port: 8080, expiresAt })
      const of = async (id: string) => {
        const front = await record("p:front")
        return [await record(`m:${id}`), front?.kind === "machine" ? front.machines?.[id] : undefined]
      }
      claim(await of("mach_1")).toMatchObject([
        { visibility: "public", port: 8080, expiresAt },
        { visibility: "public" },
      ])
      claim(await of("mach_2")).toMatchObject([
        { visibility: "public", port: 8080, expiresAt },
        { visibility: "public" },
      ])
      const before = (await record("m:mach_1"))!.version
      const { cursor } = await registry.snapshot()

      clock.now = expiresAt
      claim(await record("p:back")).toBeUndefined()
      claim(await of("mach_1")).toMatchObject([{ visibility: "private" }, { visibility: "private" }])
      for (const gone of ["port", "metadata", "expiresAt"]) claim(await record("m:mach_1")).not.toHaveProperty(gone)
      const open = { visibility: "private", ports: { 9000: { visibility: "public" } } }
      claim(await of("mach_2")).toMatchObject([open, open])
      claim((await record("m:mach_1"))!.version).toBeGreaterThan(before)
      const page = await registry.changes(cursor)
      claim(page.status === "changes" && page.changes.map(({ key }) => key)).toEqual([
        "m:mach_1",
        "m:mach_2",
        "p:front",
      ])

      // Still its machine: it is given back when the project is given more time.
      await registry.configure("back", { expiresAt: clock.now + 1_000 })
      claim(await of("mach_1")).toMatchObject([{ visibility: "public", port: 8080 }, { visibility: "public" }])
      clock.now += 1_000
      await registry.configure("back", { expiresAt: null })
      claim(await of("mach_1")).toMatchObject([{ visibility: "public", port: 8080 }, { visibility: "public" }])
      claim(await record("m:mach_1")).not.toHaveProperty("expiresAt")
    },
  ),
  "project.expired-feed": law(
    "a project that has expired is in the feed, whatever is done first",
    async ({ setup }) => {
      await inEachCase<[string, (registry: AnyRegistry) => Promise<unknown>]>(
        [
          [
            "a look-up",
            (registry) => Promise.resolve(registry.get("p:other", { signal: new AbortController().signal })),
          ],
          ["a snapshot", (registry) => registry.snapshot()],
          ["another change", (registry) => registry.create({ name: "other" })],
        ],
        async ([, act]) => {
          const { registry, put, clock } = await setup()
          await put("mach_1")
          await registry.create({
            name: "misha",
            machine: "mach_1",
            visibility: "public",
            expiresAt: clock.now + 1_000,
          })
          const { cursor } = await registry.snapshot()
          clock.now += 1_000
          await act(registry)
          const page = await registry.changes(cursor)
          claim(page.status === "changes" && page.changes[0]).toMatchObject({
            key: "m:mach_1",
            record: { visibility: "private" },
          })
        },
      )
    },
  ),
  "project.expired-once": law(
    "a project that has expired is published once, however many look at that moment",
    async ({ setup }) => {
      const { registry, put, clock, get } = await setup()
      for (const id of ["mach_1", "mach_2"]) await put(id)
      const expiresAt = clock.now + 1_000
      for (const at of [1, 2]) await registry.create({ name: `p-${at}`, machine: `mach_${at}`, port: 80, expiresAt })
      const { cursor } = await registry.snapshot()
      clock.now = expiresAt
      const looks = Array.from({ length: 20 }, (_, at) => [get(`m:mach_${1 + (at % 2)}`), registry.revoke("p-1")])
      const found = await Promise.all(looks.flat())
      for (const each of found.filter((one) => "status" in one))
        claim(each).toMatchObject({ record: { visibility: "private" } })
      const page = await registry.changes(cursor)
      const changes = page.status === "changes" ? page.changes.map(({ key }) => key) : []
      claim(changes.filter((key) => key.startsWith("m:")).toSorted()).toEqual(["m:mach_1", "m:mach_2"])
      claim((await registry.read("p-1")).generation).toBe(20)
    },
  ),
  "project.expired-large": law(
    "a project that has expired fails no other route, even where a record becomes too large by it",
    async ({ setup }) => {
      const { get, registry, record, put, clock } = await setup()
      await put("mach_1")
      await put("mach_2")
      await registry.create({ name: "back", machine: "mach_2", visibility: "public", expiresAt: clock.now + 1_000 })
      const metadata = { text: "x".repeat(RECORD_LIMITS.characters - 2_000) }
      const rules = [{ match: {}, targets: [{ machine: "mach_2" }] }]
      await registry.create({ name: "front", machine: "mach_1", metadata, rules })
      const ports = Object.fromEntries(
        Array.from({ length: 500 }, (_, at) => [at + 1, { visibility: "public" as const }]),
      )
      await put("mach_2", { ports })
      claim(await record("p:front")).toBeDefined()
      clock.now += 1_000
      claim(await record("m:mach_2")).toMatchObject({ visibility: "private" })
      claim(await record("m:mach_1")).toBeDefined()
      claim(await get("p:front")).toMatchObject({ status: "miss" })
      await registry.configure("front", { metadata: null })
      claim(await record("p:front")).toMatchObject({ machines: { mach_2: { visibility: "private" } } })
    },
  ),
  "project.reserved-name": law("a project cannot have a reserved name", async ({ setup }) => {
    await inEachCase(["www", "machines", "WWW"], async (name) => {
      claim(await tagOf((await setup()).registry.create({ name }))).toBe("ReservedName")
    })
  }),
  "project.invalid-name": law("a project cannot have a name that no hostname can carry", async ({ setup }) => {
    await inEachCase(
      ["", "1234", "a_b", "-a", "a--b", "xn--bcher-kva", "a.b", "x".repeat(51), "mach_1", "a\r\nb", 5, undefined],
      async (name) => {
        claim(await failing((await setup()).registry.create({ name: name as string }))).toMatchObject({
          _tag: "InvalidInput",
          field: "name",
        })
      },
    )
  }),
  "project.invalid-field": law(
    "a project is refused as a whole if one field is wrong, attached or not",
    async ({ setup }) => {
      await inEachCase<[string, object]>(
        [
          ["port", { port: 0 }],
          ["ports.80.visibility", { ports: { 80: { visibility: "open" } } }],
          ["ports.80.visibilty", { ports: { 80: { visibilty: "private" } } }],
          ["visibilty", { visibilty: "private" }],
          ["services.web", { services: { web: "80" } }],
          ["services.__proto__", { services: JSON.parse('{"__proto__":80}') as object }],
          ["rules.0.match.method", { rules: [{ match: { method: "get" }, targets: [{}] }] }],
          ["rules.0.targets.0.machine", { rules: [{ match: {}, targets: [{ machine: 5 }] }] }],
          ["replicas", { replicas: ["mach_1"] }],
          ["balance", { balance: "random" }],
          ["healthCheck.intervalMs", { healthCheck: { path: "/", intervalMs: 10 } }],
          ["owner", { owner: "" }],
          ["expiresAt", { expiresAt: 5 }],
          ["metadata.run", { metadata: { run: () => 1 } }],
        ],
        async ([field, config]) => {
          const { get, registry } = await setup()
          claim(await failing(registry.create({ name: "misha", ...config }))).toMatchObject({
            _tag: "InvalidInput",
            code: "INVALID",
            field,
          })
          claim(await tagOf(registry.read("misha"))).toBe("NotFound")
          claim(await get("p:misha")).toMatchObject({ status: "miss" })
        },
      )
    },
  ),
  "configuration.merged": law(
    "configuration replaces fields, merges ports and services, and clears what is null",
    async ({ setup }) => {
      const { registry } = await setup()
      await registry.create({
        name: "misha",
        port: 80,
        services: { a: 1, b: 2 },
        ports: { 1: { visibility: "public" } },
      })
      const changed = await registry.configure("misha", {
        port: null,
        services: { b: null, c: 3 },
        ports: { 2: { visibility: "private" } },
        visibility: "public",
      })
      claim(changed).toMatchObject({
        services: { a: 1, c: 3 },
        ports: { 1: { visibility: "public" }, 2: { visibility: "private" } },
        visibility: "public",
      })
      claim(changed).not.toHaveProperty("port")
      const cleared = await registry.configure("misha", { services: null, ports: { 1: null, 2: null } })
      claim(cleared).not.toHaveProperty("services")
      claim(cleared).not.toHaveProperty("ports")
    },
  ),
  "configuration.closed": law("configuration cannot reach what is no configuration", async ({ setup }) => {
    const { registry } = await setup()
    await registry.create({ name: "misha", owner: "org_1" })
    for (const field of [
      "id",
      "owner",
      "epoch",
      "version",
      "generation",
      "formerNames",
      "domains",
      "machine",
      "redirect",
    ]) {
      const work = registry.configure("misha", { [field]: "x" })
      claim(await failing(work)).toMatchObject({ _tag: "InvalidInput", field })
    }
  }),
  "configuration.kept": law("configuration is given back as it was, whatever text is in it", async ({ setup }) => {
    const { registry, put, record } = await setup()
    const metadata = {
      text: `a"b\\c\u0000${HALF_OF_A_PAIR}\u{1f600}\n:steps`,
      list: [1.5, null, true],
      nested: { 2: "b", 1: "a" },
    }
    await put("mach_1", { metadata })
    const expiresAt = 4_000_000_000_000
    const created = await registry.create({ name: "misha", machine: "mach_1", expiresAt, metadata })
    claim(created).toMatchObject({ expiresAt, metadata })
    claim(await registry.read("misha")).toEqual(created)
    claim(await record("p:misha")).toMatchObject({ machine: { metadata }, expiresAt, metadata })
  }),
  "configuration.copied": law(
    "configuration leaves the input to its owner: what is changed there later changes nothing here",
    async ({ setup }) => {
      const { registry, record } = await setup()
      const metadata = { tags: ["a"] }
      await registry.create({ name: "misha", metadata })
      metadata.tags.push("b")
      claim((await record("p:misha"))?.metadata).toEqual({ tags: ["a"] })
    },
  ),
}
