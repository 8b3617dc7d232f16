import { defineGrammar } from "@project-ingress/hostname"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { RouteKey, RouteRecord } from "../../src/router.ts"
import { RECORD_LIMITS } from "../../src/stores/frozen-json.ts"
import type { NewMachine, ProjectChanges, RegistryError } from "../../src/stores/memory.ts"
import { engines } from "./engines.ts"
import type { AnyRegistry, Engine } from "./engines.ts"

const grammar = defineGrammar({ domains: ["iterate.app"], services: { opencode: 4096 }, reserved: ["www"] })
const DAY = 86_400_000

const failing = async (work: Promise<unknown>): Promise<RegistryError> => {
  const error: unknown = await work.then(
    () => new Error("did not fail"),
    (cause: unknown) => cause,
  )
  return error as RegistryError
}
const tagOf = async (work: Promise<unknown>) => (await failing(work))._tag

for (const { name, missing, start } of engines)
  describe.skipIf(missing !== "")(`in ${name}${missing}`, () => {
    let engine: Engine
    beforeAll(async () => void (engine = await start()))
    afterAll(() => engine?.close())

    /** An empty registry with a clock and a DNS of its own. */
    const setup = async () => {
      await engine.empty()
      const clock = { now: 2_000_000_000_000 }
      const dns = new Map<string, readonly (string | readonly string[])[]>()
      const resolveTxt = async (name: string) => dns.get(name) ?? Promise.reject(new Error("ENOTFOUND"))
      const options = { grammar, resolveTxt, now: () => clock.now }
      const registry = engine.open(options)
      const signal = new AbortController().signal
      const get = async (key: RouteKey) => registry.get(key, { signal })
      const record = async (key: RouteKey): Promise<RouteRecord | undefined> => {
        const found = await get(key)
        return found.status === "hit" && (found.record.expiresAt ?? Infinity) > clock.now ? found.record : undefined
      }
      const put = (id: string, rest: Partial<NewMachine> = {}) =>
        registry.putMachine({ id, type: "fake", externalId: `ext-${id}`, metadata: {}, ...rest })
      /** Adds a domain and publishes its proof. */
      const own = async (project: string, hostname: string) => {
        const { proof } = await registry.addDomain(project, hostname)
        dns.set(proof.name, [["v=spf1"], proof.value])
        return registry.verifyDomain(project, hostname)
      }
      return { registry, clock, dns, get, record, put, own }
    }

    describe("a project", () => {
      it("leads nowhere before it is created, and to its machine once one is attached", async () => {
        const { get, registry, record, put } = await setup()
        expect(await get("p:misha")).toMatchObject({ status: "miss" })
        const created = await registry.create({
          name: "Misha",
          owner: "org_1",
          externalId: "x1",
          metadata: { plan: "a" },
        })
        expect(created).toMatchObject({ name: "misha", owner: "org_1", epoch: 0, generation: 0, domains: [] })
        expect(await record("p:misha")).toEqual({
          kind: "detached",
          version: expect.any(Number),
          epoch: 0,
          generation: 0,
          owner: "org_1",
          externalId: "x1",
          metadata: { plan: "a" },
        })
        await put("mach_1", { owner: "org_1" })
        const attached = await registry.attach("misha", "MACH_1")
        expect(attached).toMatchObject({ machine: "mach_1", epoch: 1 })
        expect(attached.version).toBeGreaterThan(created.version)
        expect(await record("p:misha")).toMatchObject({ kind: "machine", epoch: 1, machine: { id: "mach_1" } })
        expect(await registry.readMachine("mach_1")).toMatchObject({ project: created.id })
      })

      it("may be created with its machine and its configuration", async () => {
        const { registry, record, put } = await setup()
        await put("mach_1")
        await put("mach_2", { metadata: { zone: "b" } })
        const rules = [
          { match: { path: { prefix: "/api" } }, targets: [{ machine: "mach_2", port: 9000 }, { weight: 2 }] },
        ]
        await registry.create({ name: "misha", machine: "mach_1", port: 5173, services: { web: 8000 }, rules })
        const second = { id: "mach_2", type: "fake", externalId: "ext-mach_2", metadata: { zone: "b" } }
        expect(await record("p:misha")).toMatchObject({
          kind: "machine",
          epoch: 1,
          port: 5173,
          services: { web: 8000 },
          rules: [{ match: { path: { prefix: "/api" } }, targets: [{ machine: second, port: 9000 }, { weight: 2 }] }],
        })
      })

      it("counts its epoch at each attach and detach, and its version at each change", async () => {
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
        expect(seen.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3, 3, 4, 5])
        expect(seen.map(({ version }) => version)).toEqual(seen.map(({ version }) => version).toSorted((a, b) => a - b))
        expect(new Set(seen.map(({ version }) => version)).size).toBe(seen.length)
        expect((await registry.readMachine("mach_1")).project).toBeUndefined()
      })

      it("ends its grants when it is revoked", async () => {
        const { registry, record, put } = await setup()
        await put("mach_1")
        await registry.create({ name: "misha", machine: "mach_1" })
        await registry.revoke("misha")
        expect([(await record("p:misha"))?.generation, (await record("m:mach_1"))?.generation]).toEqual([1, 1])
      })

      it("leads nowhere when it has expired", async () => {
        const { registry, record, clock } = await setup()
        await registry.create({ name: "misha", expiresAt: clock.now + 1_000 })
        expect(await record("p:misha")).toBeDefined()
        clock.now += 1_000
        expect(await record("p:misha")).toBeUndefined()
      })

      it("that has expired leaves its machines with their own settings, private by default, under every name", async () => {
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
        expect(await of("mach_1")).toMatchObject([
          { visibility: "public", port: 8080, expiresAt },
          { visibility: "public" },
        ])
        expect(await of("mach_2")).toMatchObject([
          { visibility: "public", port: 8080, expiresAt },
          { visibility: "public" },
        ])
        const before = (await record("m:mach_1"))!.version
        const { cursor } = await registry.snapshot()

        clock.now = expiresAt
        expect(await record("p:back")).toBeUndefined()
        expect(await of("mach_1")).toMatchObject([{ visibility: "private" }, { visibility: "private" }])
        for (const gone of ["port", "metadata", "expiresAt"]) expect(await record("m:mach_1")).not.toHaveProperty(gone)
        const open = { visibility: "private", ports: { 9000: { visibility: "public" } } }
        expect(await of("mach_2")).toMatchObject([open, open])
        expect((await record("m:mach_1"))!.version).toBeGreaterThan(before)
        const page = await registry.changes(cursor)
        expect(page.status === "changes" && page.changes.map(({ key }) => key)).toEqual([
          "m:mach_1",
          "m:mach_2",
          "p:front",
        ])

        // Still its machine: it is given back when the project is given more time.
        await registry.configure("back", { expiresAt: clock.now + 1_000 })
        expect(await of("mach_1")).toMatchObject([{ visibility: "public", port: 8080 }, { visibility: "public" }])
        clock.now += 1_000
        await registry.configure("back", { expiresAt: null })
        expect(await of("mach_1")).toMatchObject([{ visibility: "public", port: 8080 }, { visibility: "public" }])
        expect(await record("m:mach_1")).not.toHaveProperty("expiresAt")
      })

      it.each<[string, (registry: AnyRegistry) => Promise<unknown>]>([
        ["a look-up", (registry) => Promise.resolve(registry.get("p:other", { signal: new AbortController().signal }))],
        ["a snapshot", (registry) => registry.snapshot()],
        ["another change", (registry) => registry.create({ name: "other" })],
      ])("that has expired is in the feed after %s", async (_, act) => {
        const { registry, put, clock } = await setup()
        await put("mach_1")
        await registry.create({ name: "misha", machine: "mach_1", visibility: "public", expiresAt: clock.now + 1_000 })
        const { cursor } = await registry.snapshot()
        clock.now += 1_000
        await act(registry)
        const page = await registry.changes(cursor)
        expect(page.status === "changes" && page.changes[0]).toMatchObject({
          key: "m:mach_1",
          record: { visibility: "private" },
        })
      })

      it("that has expired is published once, however many look at that moment", async () => {
        const { registry, put, clock, get } = await setup()
        for (const id of ["mach_1", "mach_2"]) await put(id)
        const expiresAt = clock.now + 1_000
        for (const at of [1, 2]) await registry.create({ name: `p-${at}`, machine: `mach_${at}`, port: 80, expiresAt })
        const { cursor } = await registry.snapshot()
        clock.now = expiresAt
        const looks = Array.from({ length: 20 }, (_, at) => [get(`m:mach_${1 + (at % 2)}`), registry.revoke("p-1")])
        const found = await Promise.all(looks.flat())
        for (const each of found.filter((one) => "status" in one))
          expect(each).toMatchObject({ record: { visibility: "private" } })
        const page = await registry.changes(cursor)
        const changes = page.status === "changes" ? page.changes.map(({ key }) => key) : []
        expect(changes.filter((key) => key.startsWith("m:")).toSorted()).toEqual(["m:mach_1", "m:mach_2"])
        expect((await registry.read("p-1")).generation).toBe(20)
      })

      it("that has expired fails no other route, even where a record becomes too large by it", async () => {
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
        expect(await record("p:front")).toBeDefined()
        clock.now += 1_000
        expect(await record("m:mach_2")).toMatchObject({ visibility: "private" })
        expect(await record("m:mach_1")).toBeDefined()
        expect(await get("p:front")).toMatchObject({ status: "miss" })
        await registry.configure("front", { metadata: null })
        expect(await record("p:front")).toMatchObject({ machines: { mach_2: { visibility: "private" } } })
      })

      it.each(["www", "machines", "WWW"])("cannot have the reserved name %s", async (name) => {
        expect(await tagOf((await setup()).registry.create({ name }))).toBe("ReservedName")
      })

      it.each([
        "",
        "1234",
        "a_b",
        "-a",
        "a--b",
        "xn--bcher-kva",
        "a.b",
        "x".repeat(51),
        "mach_1",
        "a\r\nb",
        5,
        undefined,
      ])("cannot have the name %j, which no hostname can carry", async (name) => {
        expect(await failing((await setup()).registry.create({ name: name as string }))).toMatchObject({
          _tag: "InvalidInput",
          field: "name",
        })
      })

      it.each<[string, object]>([
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
      ])("is refused as a whole if one field is wrong, attached or not: %s", async (field, config) => {
        const { get, registry } = await setup()
        expect(await failing(registry.create({ name: "misha", ...config }))).toMatchObject({
          _tag: "InvalidInput",
          code: "INVALID",
          field,
        })
        expect(await tagOf(registry.read("misha"))).toBe("NotFound")
        expect(await get("p:misha")).toMatchObject({ status: "miss" })
      })

      it("is refused if a setting is not carried out yet", async () => {
        const work = (await setup()).registry.create({ name: "misha", ports: { 80: { wake: "visitors" } } })
        expect(await failing(work)).toMatchObject({
          _tag: "InvalidInput",
          code: "NOT_SUPPORTED",
          field: "ports.80.wake",
        })
      })
    })

    describe("configuration", () => {
      it("replaces fields, merges ports and services, and clears what is null", async () => {
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
        expect(changed).toMatchObject({
          services: { a: 1, c: 3 },
          ports: { 1: { visibility: "public" }, 2: { visibility: "private" } },
          visibility: "public",
        })
        expect(changed).not.toHaveProperty("port")
        const cleared = await registry.configure("misha", { services: null, ports: { 1: null, 2: null } })
        expect(cleared).not.toHaveProperty("services")
        expect(cleared).not.toHaveProperty("ports")
      })

      it("says how a request's machine is chosen, which reaches every key of the project", async () => {
        const { registry, record, put } = await setup()
        for (const id of ["mach_1", "mach_2"]) await put(id)
        const healthCheck = { path: "/healthz" }
        await registry.create({
          name: "misha",
          machine: "mach_1",
          replicas: ["mach_2"],
          balance: "round-robin",
          healthCheck,
        })
        expect(await record("p:misha")).toMatchObject({ balance: "round-robin", healthCheck })
        expect(await record("m:mach_2")).toMatchObject({ healthCheck })
        expect(await registry.configure("misha", { balance: null, healthCheck: null })).not.toHaveProperty("balance")
        expect(await record("p:misha")).not.toHaveProperty("balance")
        expect(await record("m:mach_2")).not.toHaveProperty("healthCheck")
      })

      it("cannot reach what is no configuration", async () => {
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
          expect(await failing(work)).toMatchObject({ _tag: "InvalidInput", field })
        }
      })

      it("is given back as it was, whatever text is in it", async () => {
        const { registry, put, record } = await setup()
        const metadata = {
          text: 'a"b\\c\u0000\ud800\u{1f600}\n:steps',
          list: [1.5, null, true],
          nested: { 2: "b", 1: "a" },
        }
        await put("mach_1", { metadata })
        const expiresAt = 4_000_000_000_000
        const created = await registry.create({ name: "misha", machine: "mach_1", expiresAt, metadata })
        expect(created).toMatchObject({ expiresAt, metadata })
        expect(await registry.read("misha")).toEqual(created)
        expect(await record("p:misha")).toMatchObject({ machine: { metadata }, expiresAt, metadata })
      })

      it("leaves the input to its owner: what is changed there later changes nothing here", async () => {
        const { registry, record } = await setup()
        const metadata = { tags: ["a"] }
        await registry.create({ name: "misha", metadata })
        metadata.tags.push("b")
        expect((await record("p:misha"))?.metadata).toEqual({ tags: ["a"] })
      })
    })

    describe("settings of a port", () => {
      it("are the same under every name of the project, at once", async () => {
        const { registry, record, put, own } = await setup()
        await put("mach_1")
        await put("mach_2")
        await registry.create({ name: "misha", machine: "mach_1", replicas: ["mach_2"] })
        await own("misha", "www.example.com")
        const { version } = await registry.configure("misha", { ports: { 4096: { visibility: "public" } } })
        for (const key of ["p:misha", "d:www.example.com", "m:mach_1", "m:mach_2"] as const) {
          expect(await record(key)).toMatchObject({ ports: { 4096: { visibility: "public" } } })
          expect((await record(key))!.version).toBeGreaterThan(version)
        }
      })

      it("go with the machine, and are private by default where it serves no project", async () => {
        const { registry, record, put } = await setup()
        await put("mach_1", { ports: { 9000: { visibility: "public" } } })
        expect(await record("m:mach_1")).toMatchObject({
          visibility: "private",
          ports: { 9000: { visibility: "public" } },
        })
        await registry.create({ name: "misha", machine: "mach_1", visibility: "public" })
        expect(await record("m:mach_1")).toMatchObject({ visibility: "public" })
        expect(await record("m:mach_1")).not.toHaveProperty("ports")
        // What is said of the machine itself waits until it is free.
        await put("mach_1", { visibility: "private" })
        expect(await record("m:mach_1")).toMatchObject({ visibility: "public" })
        await registry.detach("misha")
        expect(await record("m:mach_1")).toMatchObject({ visibility: "private" })
      })

      it("of a machine that only a rule leads to are that machine's, and follow it", async () => {
        const { registry, record, put } = await setup()
        await put("mach_1")
        await put("mach_2")
        const rules = [{ match: {}, targets: [{ machine: "mach_2" }] }]
        await registry.create({ name: "front", machine: "mach_1", visibility: "public", rules })
        expect(await record("p:front")).toMatchObject({ machines: { mach_2: { visibility: "private" } } })
        await registry.create({ name: "back", machine: "mach_2", ports: { 80: { visibility: "public" } } })
        expect(await record("p:front")).toMatchObject({
          machines: { mach_2: { ports: { 80: { visibility: "public" } } } },
        })
        await registry.configure("back", { ports: { 80: null }, visibility: "private" })
        expect(await record("p:front")).toMatchObject({ machines: { mach_2: { visibility: "private" } } })
        await registry.remove("back")
        expect(await record("p:front")).toMatchObject({ machines: { mach_2: { visibility: "private" } } })
      })
    })

    describe("a machine", () => {
      it("serves one project at a time", async () => {
        const { registry, put } = await setup()
        await put("mach_1")
        await put("mach_2")
        const a = await registry.create({ name: "a", machine: "mach_1" })
        await registry.create({ name: "b", machine: "mach_2" })
        expect(await failing(registry.attach("b", "mach_1"))).toMatchObject({ _tag: "MachineTaken", project: a.id })
        expect(await tagOf(registry.configure("b", { replicas: ["mach_1"] }))).toBe("MachineTaken")
        expect((await registry.read("b")).machine).toBe("mach_2")
        await registry.detach("a")
        expect(await registry.attach("b", "mach_1")).toMatchObject({ machine: "mach_1" })
      })

      it("becomes the machine of a project whose replica it was", async () => {
        const { registry, record, put } = await setup()
        await put("mach_1")
        await put("mach_2")
        await registry.create({ name: "misha", machine: "mach_1", replicas: ["mach_2"] })
        expect(await registry.attach("misha", "mach_2")).not.toHaveProperty("replicas")
        expect(await record("p:misha")).toMatchObject({ machine: { id: "mach_2" } })
        expect((await registry.readMachine("mach_1")).project).toBeUndefined()
      })

      it("of another owner is refused everywhere", async () => {
        const { registry, put } = await setup()
        await put("mach_1", { owner: "org_1" })
        await put("mach_2", { owner: "org_2" })
        await put("mach_3")
        await registry.create({ name: "misha", owner: "org_1", machine: "mach_1" })
        const rules = [{ match: {}, targets: [{ port: 80 }, { machine: "mach_2" }] }]
        for (const machine of ["mach_2", "mach_3"])
          expect(await tagOf(registry.attach("misha", machine))).toBe("OwnerMismatch")
        expect(await failing(registry.configure("misha", { replicas: ["mach_2"] }))).toMatchObject({
          _tag: "OwnerMismatch",
          field: "replicas.0",
        })
        expect(await failing(registry.configure("misha", { rules }))).toMatchObject({
          field: "rules.0.targets.1.machine",
        })
        expect(await tagOf(registry.create({ name: "x", owner: "org_1", machine: "mach_2" }))).toBe("OwnerMismatch")
        expect(await tagOf(registry.create({ name: "x", owner: "org_1", rules }))).toBe("OwnerMismatch")
        expect(await tagOf(put("mach_2", { owner: "org_1" }))).toBe("OwnerMismatch")
        expect(await tagOf(registry.attach("misha", "mach_9"))).toBe("NotFound")
      })

      it("is forgotten only when nothing uses it", async () => {
        const { get, registry, put } = await setup()
        await put("mach_1")
        await put("mach_2")
        await registry.create({
          name: "misha",
          machine: "mach_1",
          rules: [{ match: {}, targets: [{ machine: "mach_2" }] }],
        })
        for (const id of ["mach_1", "mach_2"]) expect(await tagOf(registry.removeMachine(id))).toBe("MachineTaken")
        await registry.configure("misha", { rules: null })
        await registry.removeMachine("mach_2")
        expect(await get("m:mach_2")).toMatchObject({ status: "miss" })
        expect(await tagOf(registry.readMachine("mach_2"))).toBe("NotFound")
      })

      it("that is put again changes the records of all that lead to it", async () => {
        const { registry, record, put } = await setup()
        await put("mach_1")
        await registry.create({ name: "misha", machine: "mach_1" })
        await put("mach_1", { externalId: "moved" })
        for (const key of ["p:misha", "m:mach_1"] as const)
          expect(await record(key)).toMatchObject({ machine: { externalId: "moved" } })
      })

      it.each([
        ["id", { id: "misha" }],
        ["id", { id: "mach_" }],
        ["type", { type: "" }],
        ["metadata", { metadata: [] }],
        ["ports.80.visibility", { ports: { 80: { visibility: 1 } } }],
        ["port", { port: 80 }],
      ])("is refused if it is not valid: %s", async (field, rest) => {
        expect(await failing((await setup()).put("mach_1", rest as never))).toMatchObject({
          _tag: "InvalidInput",
          field,
        })
      })
    })

    describe("a region", () => {
      it("of a machine is that of every record which leads to it, and follows the machine that is attached", async () => {
        const { registry, record, put, own } = await setup()
        await put("mach_1", { region: "fra" })
        await put("mach_2", { region: "iad" })
        await registry.create({ name: "misha", machine: "mach_1" })
        await own("misha", "www.example.com")
        const regions = async () =>
          Promise.all((["p:misha", "d:www.example.com", "m:mach_1", "m:mach_2"] as const).map(record)).then((all) =>
            all.map((each) => each?.kind === "machine" && each.region),
          )
        expect(await regions()).toEqual(["fra", "fra", "fra", "iad"])
        await registry.attach("misha", "mach_2")
        expect(await regions()).toEqual(["iad", "iad", "fra", "iad"])
        expect(await put("mach_2", { region: "syd" })).toMatchObject({ region: "syd" })
        expect(await regions()).toEqual(["syd", "syd", "fra", "syd"])
        await put("mach_2")
        expect(await record("p:misha")).not.toHaveProperty("region")
        expect(await registry.readMachine("mach_2")).not.toHaveProperty("region")
      })

      it("is one for all machines of a project, and whatever would make it two is refused whole", async () => {
        const { registry, record, put } = await setup()
        await put("mach_1", { region: "fra" })
        await put("mach_2", { region: "fra" })
        await put("mach_3", { region: "iad" })
        const rules = [{ match: {}, targets: [{ machine: "mach_2" }] }]
        await registry.create({ name: "misha", machine: "mach_1", replicas: ["mach_2"], rules })
        const before = await record("p:misha")
        const refused = async (work: Promise<unknown>) =>
          expect(await failing(work)).toMatchObject({ _tag: "InvalidInput" })
        await refused(registry.configure("misha", { replicas: ["mach_3"] }))
        await refused(registry.configure("misha", { rules: [{ match: {}, targets: [{}, { machine: "mach_3" }] }] }))
        await refused(registry.attach("misha", "mach_3"))
        await refused(put("mach_2", { region: "iad" }))
        await refused(put("mach_1"))
        await refused(registry.putMachine({ id: "mach_4", type: "fake", externalId: "", metadata: {}, region: "" }))
        expect(await record("p:misha")).toEqual(before)
        expect(await registry.readMachine("mach_2")).toMatchObject({ region: "fra" })
        // Without a machine of its own, a project's rules lead nowhere.
        await registry.detach("misha")
        expect(await put("mach_2", { region: "iad" })).toMatchObject({ region: "iad" })
      })
    })

    describe("a rename", () => {
      it("redirects the old name with its port for the time of quarantine, and keeps it from others", async () => {
        const { registry, record, clock } = await setup()
        const { id } = await registry.create({ name: "old", owner: "org_1", visibility: "private" })
        expect(await registry.rename("old", "New")).toMatchObject({ id, name: "new", epoch: 0 })
        expect(await record("p:new")).toMatchObject({ kind: "detached" })
        expect(await record("p:old")).toEqual({
          kind: "redirect",
          to: { project: "new" },
          status: 308,
          visibility: "private",
          owner: "org_1",
          epoch: 0,
          generation: 0,
          version: expect.any(Number),
          expiresAt: clock.now + 30 * DAY,
        })
        expect(await failing(registry.create({ name: "old" }))).toMatchObject({
          _tag: "NameTaken",
          reusableAt: clock.now + 30 * DAY,
        })
        clock.now += 30 * DAY
        expect(await record("p:old")).toBeUndefined()
        await registry.create({ name: "old", owner: "org_2" })
        expect(await record("p:old")).toMatchObject({ kind: "detached", owner: "org_2" })
        // The first project has no part in that name any more.
        await registry.rename("new", "newer")
        expect(await record("p:old")).toMatchObject({ kind: "detached", owner: "org_2" })
        await registry.remove("newer")
        expect(await record("p:old")).toMatchObject({ kind: "detached", owner: "org_2" })
      })

      it.each<[string, ProjectChanges, string | undefined]>([
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
      ])("shows the new name to nobody for whom a port is closed: %s", async (_, config, visibility) => {
        const { registry, record } = await setup()
        await registry.create({ name: "old", ...(config as object) })
        await registry.rename("old", "new")
        const of = async (key: RouteKey) => {
          const found = await record(key)
          return [found?.kind, found?.kind === "machine" ? "" : found?.visibility]
        }
        expect(await of("p:old")).toEqual(["redirect", visibility])
        await registry.redirect("new", { to: "https://example.com/" })
        expect(await of("p:new")).toEqual(["redirect", visibility])
        await registry.remove("new")
        expect([await of("p:old"), await of("p:new")]).toEqual([
          ["removed", visibility],
          ["removed", visibility],
        ])
      })

      it("leads every former name to the current one, and may go back", async () => {
        const { registry, record } = await setup()
        await registry.create({ name: "a" })
        await registry.rename("a", "b")
        await registry.rename("b", "c")
        expect([await record("p:a"), await record("p:b")]).toMatchObject([
          { to: { project: "c" } },
          { to: { project: "c" } },
        ])
        await registry.rename("c", "a")
        expect([await record("p:a"), await record("p:b"), await record("p:c")]).toMatchObject([
          { kind: "detached" },
          { to: { project: "a" } },
          { to: { project: "a" } },
        ])
      })

      it("to the same name changes nothing", async () => {
        const { registry } = await setup()
        const before = await registry.create({ name: "misha" })
        expect(await registry.rename("misha", "MISHA")).toEqual(before)
      })

      it("cannot take a name that is in use or reserved", async () => {
        const { registry } = await setup()
        await registry.create({ name: "a" })
        await registry.create({ name: "b" })
        expect(await failing(registry.rename("a", "b"))).toMatchObject({ _tag: "NameTaken", reusableAt: undefined })
        expect(await tagOf(registry.rename("a", "www"))).toBe("ReservedName")
        expect(await tagOf(registry.create({ name: "b" }))).toBe("NameTaken")
      })

      it("asks for the proof of every domain again, and changes nothing if one is missing", async () => {
        const { registry, record, dns, own } = await setup()
        await registry.create({ name: "misha" })
        await own("misha", "a.example.com")
        await own("misha", "b.example.com")
        await registry.rename("misha", "anna")
        dns.delete("_project-ingress.b.example.com")
        expect(await failing(registry.rename("anna", "zoe"))).toMatchObject({
          _tag: "DomainNotVerified",
          hostname: "b.example.com",
        })
        expect(await record("p:anna")).toMatchObject({ kind: "detached" })
        expect(await record("p:zoe")).toBeUndefined()
        expect(await record("d:b.example.com")).toBeDefined()
        await registry.removeDomain("anna", "b.example.com")
        expect(await registry.rename("anna", "zoe")).toMatchObject({ name: "zoe" })
      })

      it("leaves no tombstone under a former name that is free again", async () => {
        const { get, registry, record, clock } = await setup()
        await registry.create({ name: "old" })
        await registry.rename("old", "new")
        clock.now += 30 * DAY
        await registry.remove("new")
        expect(await record("p:new")).toMatchObject({ kind: "removed" })
        expect(await get("p:old")).toMatchObject({ status: "miss" })
      })

      it("loses against a change that is made while the DNS is asked", async () => {
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
        expect((await failing(asked))._tag).toBe("VersionConflict")
        await changing
        expect((await registry.read("misha")).port).toBe(80)
      })
    })

    describe("a removed project", () => {
      it("leaves tombstones, frees its machines, and is not found", async () => {
        const { registry, record, put, own, clock } = await setup()
        await put("mach_1", { owner: "org_1" })
        const { id } = await registry.create({ name: "old", owner: "org_1", visibility: "private" })
        await registry.rename("old", "misha")
        await registry.attach("misha", "mach_1")
        await own("misha", "www.example.com")
        await registry.addDomain("misha", "pending.example.com")
        await registry.remove("misha")
        for (const key of ["p:misha", "p:old", "d:www.example.com"] as const) {
          expect(await record(key)).toMatchObject({ kind: "removed", owner: "org_1", visibility: "private", epoch: 2 })
        }
        expect(await record("d:pending.example.com")).toBeUndefined()
        expect(await record("m:mach_1")).toMatchObject({ visibility: "private" })
        for (const reference of [id, "misha", "old"]) expect(await tagOf(registry.read(reference))).toBe("NotFound")
        expect(await tagOf(registry.create({ name: "misha", owner: "org_1" }))).toBe("NameTaken")
        clock.now += 30 * DAY
        expect(await record("p:misha")).toBeUndefined()
        await registry.create({ name: "misha", owner: "org_2" })
        expect(await record("p:misha")).toMatchObject({ kind: "detached", owner: "org_2" })
      })
    })

    describe("a custom domain", () => {
      it("leads nowhere before its owner has proven it", async () => {
        const { registry, record, dns } = await setup()
        await registry.create({ name: "misha" })
        const { proof, verified } = await registry.addDomain("misha", "WWW.Example.com.")
        expect([proof.name, verified]).toEqual(["_project-ingress.www.example.com", false])
        expect(await record("d:www.example.com")).toBeUndefined()
        expect(await failing(registry.verifyDomain("misha", "www.example.com"))).toMatchObject({
          _tag: "DomainNotVerified",
          proof,
          cause: new Error("ENOTFOUND"),
        })
        dns.set(proof.name, [`${proof.value}x`, ["project-ingress", "=other"]])
        expect(await tagOf(registry.verifyDomain("misha", "www.example.com"))).toBe("DomainNotVerified")
        // One record in two parts, as DNS carries long ones.
        dns.set(proof.name, [[proof.value.slice(0, 9), proof.value.slice(9)]])
        expect(await registry.verifyDomain("misha", "www.example.com")).toEqual({
          hostname: "www.example.com",
          verified: true,
          proof,
        })
        expect(await record("d:www.example.com")).toMatchObject({ kind: "detached" })
        expect((await registry.read("misha")).domains).toMatchObject([{ hostname: "www.example.com", verified: true }])
      })

      it("belongs to whoever proves it first, and then to nobody else", async () => {
        const { registry, record, dns, own } = await setup()
        await registry.create({ name: "victim", owner: "org_1" })
        await registry.create({ name: "attacker", owner: "org_2" })
        await registry.addDomain("attacker", "example.com")
        await own("victim", "example.com")
        // The proof in the DNS is the victim's: it says nothing for another owner.
        const { proof } = (await registry.read("attacker")).domains[0]!
        expect(await tagOf(registry.verifyDomain("attacker", "example.com"))).toBe("DomainNotVerified")
        dns.set(proof.name, [proof.value])
        expect(await tagOf(registry.verifyDomain("attacker", "example.com"))).toBe("DomainTaken")
        await registry.create({ name: "third", owner: "org_3" })
        expect(await tagOf(registry.addDomain("third", "example.com"))).toBe("DomainTaken")
        expect(await record("d:example.com")).toMatchObject({ owner: "org_1" })
      })

      it("of a removed project is a tombstone, and is taken over with a proof of the new owner alone", async () => {
        const { registry, record, own, dns, clock } = await setup()
        await registry.create({ name: "victim", owner: "org_1" })
        await own("victim", "example.com")
        await registry.remove("victim")
        await registry.create({ name: "attacker", owner: "org_2" })
        const { proof } = await registry.addDomain("attacker", "example.com")
        expect(await tagOf(registry.verifyDomain("attacker", "example.com"))).toBe("DomainNotVerified")
        expect(await record("d:example.com")).toMatchObject({ kind: "removed", owner: "org_1" })
        clock.now += 30 * DAY
        expect(await tagOf(registry.verifyDomain("attacker", "example.com"))).toBe("DomainNotVerified")
        expect(await record("d:example.com")).toBeUndefined()
        dns.set(proof.name, [proof.value])
        await registry.verifyDomain("attacker", "example.com")
        expect(await record("d:example.com")).toMatchObject({ kind: "detached", owner: "org_2" })
      })

      it("leads on for a time of grace when a later check misses its proof, and is then free for who proves it", async () => {
        const { registry, record, own, dns, clock } = await setup()
        await registry.create({ name: "misha", owner: "org_1" })
        await registry.create({ name: "anna", owner: "org_2" })
        const { proof } = await own("misha", "example.com")
        await registry.addDomain("misha", "pending.example.com")
        const check = () => registry.recheckDomain("misha", "Example.com")
        const { version } = await registry.read("misha")
        expect(await check()).toEqual({ hostname: "example.com", verified: true, proof })
        expect((await registry.read("misha")).version).toBe(version)
        expect(await registry.recheckDomain("misha", "pending.example.com")).toMatchObject({ verified: false })
        expect(await tagOf(registry.recheckDomain("misha", "other.example.com"))).toBe("NotFound")

        dns.delete(proof.name)
        const failingSince = clock.now
        expect(await check()).toMatchObject({ verified: true, failingSince })
        clock.now += 7 * DAY - 1
        expect(await check()).toMatchObject({ verified: true, failingSince })
        expect((await registry.read("misha")).domains[0]).toMatchObject({ failingSince })
        expect(await record("d:example.com")).toMatchObject({ owner: "org_1" })
        expect(await tagOf(registry.addDomain("anna", "example.com"))).toBe("DomainTaken")
        // Found again: the time of grace begins from the start.
        dns.set(proof.name, [proof.value])
        expect(await check()).toEqual({ hostname: "example.com", verified: true, proof })
        dns.delete(proof.name)
        clock.now += DAY
        expect(await check()).toMatchObject({ verified: true, failingSince: clock.now })
        clock.now += 7 * DAY
        expect(await check()).toEqual({ hostname: "example.com", verified: false, proof })
        expect(await record("d:example.com")).toBeUndefined()
        expect(await tagOf(registry.verifyDomain("misha", "example.com"))).toBe("DomainNotVerified")
        const other = await registry.addDomain("anna", "example.com")
        expect(await tagOf(registry.verifyDomain("anna", "example.com"))).toBe("DomainNotVerified")
        dns.set(other.proof.name, [other.proof.value])
        expect(await registry.verifyDomain("anna", "example.com")).toMatchObject({ verified: true })
      })

      it("may be a wildcard, and has the proof of the domain it is under", async () => {
        const { registry, record, own } = await setup()
        await registry.create({ name: "misha" })
        const { proof } = await own("misha", "*.example.com")
        expect(proof.name).toBe("_project-ingress.example.com")
        expect(await record("d:*.example.com")).toMatchObject({ kind: "detached" })
        expect((await registry.addDomain("misha", "example.com")).proof).toEqual(proof)
      })

      it("is free once it is removed", async () => {
        const { get, registry, own } = await setup()
        await registry.create({ name: "a", owner: "org_1" })
        await registry.create({ name: "b", owner: "org_1" })
        const { proof } = await own("a", "example.com")
        expect(await tagOf(registry.addDomain("b", "example.com"))).toBe("DomainTaken")
        await registry.removeDomain("a", "EXAMPLE.com")
        expect(await get("d:example.com")).toMatchObject({ status: "miss" })
        expect(await tagOf(registry.removeDomain("a", "example.com"))).toBe("NotFound")
        // One owner, one proof: nothing is to be changed in the DNS.
        expect((await registry.addDomain("b", "example.com")).proof).toEqual(proof)
        expect(await registry.verifyDomain("b", "example.com")).toMatchObject({ verified: true })
      })

      it.each(["iterate.app", "x.iterate.app", "*.iterate.app", "WWW.ITERATE.APP."])(
        "is never the platform's: %s",
        async (name) => {
          const { registry } = await setup()
          await registry.create({ name: "misha" })
          expect(await tagOf(registry.addDomain("misha", name))).toBe("ReservedName")
        },
      )

      it.each([
        "",
        "com",
        "*.com",
        "*",
        "a.*.com",
        "*.*.example.com",
        "1.2.3.4",
        "[::1]",
        "a..b",
        "a_b.example.com",
        "x y.com",
        "a.com:80",
        5,
      ])("is a domain of two labels or more: not %j", async (name) => {
        const { registry } = await setup()
        await registry.create({ name: "misha" })
        expect(await failing(registry.addDomain("misha", name as string))).toMatchObject({
          _tag: "InvalidInput",
          field: "hostname",
        })
      })
    })

    describe("a transfer", () => {
      it("gives the project and its machines to another owner at once, and ends sessions", async () => {
        const { registry, record, put, own, dns } = await setup()
        for (const id of ["mach_1", "mach_2"]) await put(id, { owner: "org_1" })
        await registry.create({ name: "old", owner: "org_1", machine: "mach_1", replicas: ["mach_2"] })
        await registry.rename("old", "misha")
        await own("misha", "www.example.com")
        const { cursor } = await registry.snapshot()
        const error = await failing(registry.transfer("misha", "org_2"))
        expect(error).toMatchObject({ _tag: "DomainNotVerified", hostname: "www.example.com" })
        expect(await registry.changes(cursor)).toMatchObject({ changes: [] })
        // What was said the first time is what is looked for the second time.
        const { proof } = error as never as { readonly proof: { readonly name: string; readonly value: string } }
        dns.set(proof.name, [proof.value])
        expect(await registry.transfer("misha", "org_2")).toMatchObject({ owner: "org_2", generation: 1 })
        const keys = ["p:misha", "p:old", "d:www.example.com", "m:mach_1", "m:mach_2"] as const
        for (const key of keys) expect(await record(key)).toMatchObject({ owner: "org_2", generation: 1 })
        const page = await registry.changes(cursor)
        expect(page.status === "changes" && page.changes.map(({ key }) => key).toSorted()).toEqual(keys.toSorted())
        expect((await registry.readMachine("mach_2")).owner).toBe("org_2")
        expect((await registry.list({ owner: "org_1" })).projects).toEqual([])
        expect((await registry.read("misha")).domains).toMatchObject([{ verified: true, proof }])
      })

      it("is refused where another project or another machine would be left with two owners", async () => {
        const { registry, put } = await setup()
        for (const id of ["mach_1", "mach_2", "mach_3"]) await put(id, { owner: "org_1" })
        const rules = [{ match: {}, targets: [{ machine: "mach_1" }] }]
        const front = await registry.create({ name: "front", owner: "org_1", machine: "mach_2", rules })
        await registry.create({ name: "back", owner: "org_1", machine: "mach_1" })
        expect(await failing(registry.transfer("back", "org_2"))).toMatchObject({
          _tag: "MachineTaken",
          machine: "mach_1",
          project: front.id,
        })
        expect(await failing(registry.transfer("front", "org_2"))).toMatchObject({
          _tag: "OwnerMismatch",
          field: "rules.0.targets.0.machine",
        })
        expect(await failing(registry.transfer("front", ""))).toMatchObject({ _tag: "InvalidInput", field: "owner" })
        expect(await registry.transfer("front", "org_1")).toEqual(front)
        await registry.configure("front", { rules: null })
        expect(await registry.transfer("front", undefined)).not.toHaveProperty("owner")
        expect(await registry.readMachine("mach_2")).not.toHaveProperty("owner")
      })
    })

    describe("a call that is made again with its key", () => {
      it("changes nothing, and returns what is registered now", async () => {
        const { registry, put, dns } = await setup()
        const key = (requestKey: string) => ({ requestKey })
        const created = await registry.create({ name: "misha" }, key("a"))
        expect(await registry.create({ name: "misha" }, key("a"))).toEqual(created)
        const machine = { id: "mach_1", type: "fake", externalId: "x", metadata: {} }
        expect(await registry.putMachine(machine, key("b"))).toEqual(await registry.putMachine(machine, key("b")))
        expect(await registry.attach("misha", "mach_1", key("c"))).toMatchObject({ epoch: 1 })
        expect(await registry.attach("misha", "mach_1", key("c"))).toMatchObject({ epoch: 1 })
        const { proof } = await registry.addDomain("misha", "www.example.com", key("d"))
        dns.set(proof.name, [proof.value])
        await registry.verifyDomain("misha", "www.example.com", key("e"))
        await registry.rename("misha", "anna", key("f"))
        await registry.transfer("anna", undefined, key("g"))
        // The proof is not asked for again, and the old name is not looked for.
        dns.clear()
        expect(await registry.verifyDomain("misha", "www.example.com", key("e"))).toMatchObject({ verified: true })
        const renamed = await registry.rename("misha", "anna", key("f"))
        expect(renamed).toMatchObject({ name: "anna", epoch: 1 })
        expect(await registry.read("anna")).toEqual(renamed)
        await registry.remove("anna", key("h"))
        await registry.remove("anna", key("h"))
        expect(await tagOf(registry.create({ name: "misha" }, key("a")))).toBe("NotFound")
        await registry.removeMachine("mach_1", key("i"))
        await registry.removeMachine("mach_1", key("i"))
        await put("mach_1")
        expect(await tagOf(registry.removeMachine("mach_1", key("i")))).toBe(undefined)
        expect((await registry.readMachine("mach_1")).externalId).toBe("ext-mach_1")
      })

      it("is made once, by however many at the same time", async () => {
        const { registry } = await setup()
        const { id, epoch } = await registry.create({ name: "misha" })
        const calls = Array.from({ length: 10 }, () => registry.detach("misha", { requestKey: "once" }))
        for (const project of await Promise.all(calls)) expect(project).toMatchObject({ id, epoch: epoch + 1 })
      })

      it("is refused if it is another call, and free after one that failed", async () => {
        const { registry } = await setup()
        await registry.create({ name: "misha" })
        expect(await tagOf(registry.create({ name: "misha" }, { requestKey: "a" }))).toBe("NameTaken")
        await registry.configure("misha", { port: 80 }, { requestKey: "a" })
        const other = registry.configure("misha", { port: 81 }, { requestKey: "a" })
        expect(await failing(other)).toMatchObject({ _tag: "InvalidInput", field: "requestKey" })
        expect((await registry.read("misha")).port).toBe(80)
        for (const requestKey of ["", "x".repeat(257), "\0", 5]) {
          await expect(registry.revoke("misha", { requestKey: requestKey as string })).rejects.toThrow(TypeError)
        }
      })
    })

    describe("a purge", () => {
      it("forgets tombstones, former names and keys of requests once their time is over, and tells the feed", async () => {
        const { registry, clock, own, get } = await setup()
        await registry.create({ name: "a" }, { requestKey: "key" })
        await registry.rename("a", "b")
        await registry.create({ name: "gone" })
        await own("gone", "www.example.com")
        await registry.remove("gone")
        expect(await registry.purge()).toBe(0)
        clock.now += DAY
        expect(await registry.purge()).toBe(1)
        expect(await tagOf(registry.create({ name: "other" }, { requestKey: "key" }))).toBe(undefined)
        const { cursor } = await registry.snapshot()
        const { version } = await registry.read("b")
        clock.now += 29 * DAY
        expect(await registry.purge()).toBe(4)
        expect(await registry.purge()).toBe(0)
        const page = await registry.changes(cursor)
        const changes = page.status === "changes" ? page.changes : []
        expect(changes.map(({ key, record }) => `${key} ${record?.kind}`).toSorted()).toEqual([
          "d:www.example.com undefined",
          "p:a undefined",
          "p:gone undefined",
        ])
        for (const key of ["p:a", "p:gone"] as const) expect(await get(key)).toMatchObject({ status: "miss" })
        expect((await registry.read("b")).version).toBe(version)
        await registry.create({ name: "a" })
      })
    })

    describe("a redirect", () => {
      it("takes the machine away, and ends when one is attached", async () => {
        const { registry, record, put } = await setup()
        await put("mach_1")
        await registry.create({ name: "misha", machine: "mach_1", visibility: "public" })
        await registry.redirect("misha", { to: "https://example.com/new", status: 302 })
        expect(await record("p:misha")).toMatchObject({
          kind: "redirect",
          to: "https://example.com/new",
          status: 302,
          visibility: "public",
          epoch: 2,
        })
        expect((await registry.readMachine("mach_1")).project).toBeUndefined()
        expect(await registry.attach("misha", "mach_1")).not.toHaveProperty("redirect")
        expect(await record("p:misha")).toMatchObject({ kind: "machine", epoch: 3 })
        await registry.redirect("misha", { to: { project: "anna" } })
        expect(await record("p:misha")).toMatchObject({ to: { project: "anna" }, status: 308 })
        await registry.detach("misha")
        expect(await record("p:misha")).toMatchObject({ kind: "detached" })
      })

      it.each<[string, unknown]>([
        ["to.project", { to: { project: "misha" } }],
        ["to", { to: "/path" }],
        ["to", {}],
        ["status", { to: "https://example.com/", status: 200 }],
        ["code", { to: "https://example.com/", code: 302 }],
      ])("is refused if it is not valid: %s", async (field, redirect) => {
        const { registry } = await setup()
        await registry.create({ name: "misha" })
        expect(await failing(registry.redirect("misha", redirect as never))).toMatchObject({
          _tag: "InvalidInput",
          field,
        })
      })
    })

    describe("a reference", () => {
      it("is an id, a name or the beginning of one that no other project shares", async () => {
        const { registry } = await setup()
        const api = await registry.create({ name: "api", owner: "org_1" })
        const two = await registry.create({ name: "api-two", owner: "org_2" })
        for (const reference of [api.id, "api", "API"]) expect((await registry.read(reference)).id).toBe(api.id)
        for (const reference of [two.id, "api-", "api-two"]) expect((await registry.read(reference)).id).toBe(two.id)
        const ambiguous = await failing(registry.read("ap"))
        expect(ambiguous).toMatchObject({ _tag: "AmbiguousReference", reference: "ap" })
        expect((ambiguous as { matches?: string[] }).matches?.toSorted()).toEqual([api.id, two.id].toSorted())
        expect((await registry.read("ap", { owner: "org_2" })).id).toBe(two.id)
        expect(await tagOf(registry.read(api.id, { owner: "org_2" }))).toBe("NotFound")
        for (const reference of ["", "nobody", undefined, "__proto__"]) {
          expect(await tagOf(registry.read(reference as string))).toBe("NotFound")
        }
      })

      it("of a change is a whole id or name: a beginning is for reading alone", async () => {
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
            expect(await failing(write())).toMatchObject({ _tag: "NotFound", kind: "project", reference })
          }
        }
        expect((await registry.read("production")).version).toBe(version)
        expect(await registry.configure("Production", { port: 80 })).toMatchObject({ port: 80 })
        expect(await registry.configure(before.id, { port: 81 })).toMatchObject({ port: 81 })
      })

      it.each([
        ["NUL", "\0"],
        ["half of a pair", "\ud800"],
        ["SQL", "'; drop table project_ingress_rows"],
        ["wildcards", "%_"],
        ["long", "x".repeat(60_000)],
      ])("may be any text, and finds nothing: %s", async (_, text) => {
        const { registry } = await setup()
        await registry.create({ name: "misha", owner: "org_1" })
        expect(await tagOf(registry.read(text))).toBe("NotFound")
        expect(await tagOf(registry.read("misha", { owner: text }))).toBe("NotFound")
        expect(await tagOf(registry.revoke(text))).toBe("NotFound")
        expect((await registry.list({ owner: text })).projects).toEqual([])
      })

      it("is not a former name", async () => {
        const { registry } = await setup()
        await registry.create({ name: "old" })
        await registry.rename("old", "new")
        expect(await tagOf(registry.read("old"))).toBe("NotFound")
      })
    })

    describe("an external id", () => {
      it("is one project's, and finds it, in its case and whole", async () => {
        const { registry, put } = await setup()
        await put("mach_1")
        const { id, version } = await registry.create({ name: "misha", externalId: "Cust-7", owner: "org_1" })
        expect(await registry.read({ externalId: "Cust-7" })).toMatchObject({ id, externalId: "Cust-7" })
        expect(await registry.read({ externalId: "Cust-7" }, { owner: "org_1" })).toMatchObject({ id })
        for (const [externalId, owner] of [["cust-7"], ["Cust"], ["misha"], [id], ["\0"], ["Cust-7", "org_2"]]) {
          const options = owner === undefined ? {} : { owner }
          expect(await failing(registry.read({ externalId: externalId! }, options))).toMatchObject({
            _tag: "NotFound",
            reference: externalId,
          })
        }
        expect(await failing(registry.create({ name: "anna", externalId: "Cust-7" }))).toMatchObject({
          _tag: "ExternalIdTaken",
          externalId: "Cust-7",
          project: id,
        })
        expect(await tagOf(registry.read("anna"))).toBe("NotFound")
        expect((await registry.read(id)).version).toBe(version)
        // A name is no external id, and the other way round.
        await registry.create({ name: "cust-7", externalId: "misha" })
        expect((await registry.read("misha")).id).toBe(id)
        for (const wrong of [{}, { externalID: "Cust-7" }, { externalId: "" }, { externalId: 7 }])
          await expect(registry.read(wrong as never)).rejects.toBeInstanceOf(TypeError)
      })

      it("stays through a rename and a transfer, and is free at once when its project is removed", async () => {
        const { registry } = await setup()
        const { id } = await registry.create({ name: "misha", externalId: "7", owner: "org_1" })
        await registry.rename("misha", "anna")
        await registry.transfer("anna", "org_2")
        expect(await registry.read({ externalId: "7" })).toMatchObject({ id, name: "anna", owner: "org_2" })
        await registry.remove("anna")
        expect(await tagOf(registry.read({ externalId: "7" }))).toBe("NotFound")
        const next = await registry.create({ name: "olga", externalId: "7" })
        await registry.purge()
        expect(await registry.read({ externalId: "7" })).toMatchObject({ id: next.id })
      })

      it("is given, replaced and cleared by configure, in the records too", async () => {
        const { registry, record, put } = await setup()
        await put("mach_1")
        await registry.create({ name: "misha", machine: "mach_1" })
        await registry.create({ name: "anna", externalId: "7" })
        expect(await tagOf(registry.configure("misha", { externalId: "7", port: 80 }))).toBe("ExternalIdTaken")
        expect(await registry.read("misha")).not.toHaveProperty("port")
        await registry.configure("misha", { externalId: "8" })
        await registry.configure("misha", { externalId: "8", port: 80 })
        expect([(await record("p:misha"))?.externalId, (await record("m:mach_1"))?.externalId]).toEqual(["8", "8"])
        await registry.configure("misha", { externalId: "9" })
        expect(await tagOf(registry.read({ externalId: "8" }))).toBe("NotFound")
        await registry.configure("anna", { externalId: "8" })
        await registry.configure("misha", { externalId: null })
        expect(await tagOf(registry.read({ externalId: "9" }))).toBe("NotFound")
        expect(await record("m:mach_1")).not.toHaveProperty("externalId")
        for (const wrong of ["", "x".repeat(257), "a\nb", 5, {}])
          expect(await failing(registry.configure("misha", { externalId: wrong as string }))).toMatchObject({
            _tag: "InvalidInput",
            field: "externalId",
          })
      })
    })

    describe("a list", () => {
      it("is read in pages, by owner if wanted", async () => {
        const { registry } = await setup()
        for (let at = 0; at < 7; at++) await registry.create({ name: `p-${at}`, owner: at % 2 === 0 ? "even" : "odd" })
        const names: string[] = []
        let cursor: string | undefined
        do {
          const page = await registry.list({ limit: 3, ...(cursor === undefined ? {} : { cursor }) })
          expect(page.projects.length).toBeLessThanOrEqual(3)
          names.push(...page.projects.map(({ name }) => name))
          cursor = page.next
        } while (cursor !== undefined)
        expect(names.toSorted()).toEqual(["p-0", "p-1", "p-2", "p-3", "p-4", "p-5", "p-6"])
        expect((await registry.list({ owner: "odd" })).projects).toHaveLength(3)
        expect(await tagOf(registry.list({ limit: 0 }))).toBe("InvalidInput")
        expect(await tagOf(registry.list({ cursor: "'; drop table" }))).toBe("InvalidInput")
      })
    })

    describe("an owner", () => {
      it.each<[string, object]>([
        ["ownr is not an option (did you mean owner?)", { ownr: "org_2" }],
        ["owner must be a non-empty string, got undefined", { owner: undefined }],
        ["owner must be a non-empty string, got an empty string", { owner: "" }],
        ["owner must be a non-empty string, got null", { owner: null }],
        ["options must be an object, got a string", "org_2" as never],
      ])("that is misspelt or lost opens no other tenant's projects: %s", async (message, options) => {
        const { registry } = await setup()
        await registry.create({ name: "misha", owner: "org_1" })
        for (const work of [registry.read("misha", options), registry.list(options)]) {
          await expect(work).rejects.toThrow(new TypeError(`registry: ${message}`))
        }
      })
    })

    describe("ifVersion", () => {
      it("lets one of two writers win, and the other know", async () => {
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
        expect(winners).toHaveLength(1)
        // Where the project was removed, there is no version to compare with.
        const tag = results.at(-1)!.status === "fulfilled" ? "NotFound" : "VersionConflict"
        const tags = results.flatMap((result) =>
          result.status === "fulfilled" ? [] : [(result.reason as RegistryError)._tag],
        )
        expect(tags).toEqual(Array.from({ length: 8 }, () => tag))
      })

      it("guards machines, too", async () => {
        const { registry, put } = await setup()
        const { version } = await put("mach_1")
        const again = { id: "mach_1", type: "fake", externalId: "b", metadata: {} }
        await registry.putMachine(again, { ifVersion: version })
        expect(await tagOf(registry.putMachine(again, { ifVersion: version }))).toBe("VersionConflict")
        expect(await tagOf(registry.removeMachine("mach_1", { ifVersion: version }))).toBe("VersionConflict")
      })

      it("is refused if it is misspelt, rather than ignored", async () => {
        const { registry, put } = await setup()
        await registry.create({ name: "misha" })
        const error = await failing(registry.remove("misha", { ifversion: 1 } as never))
        expect(error.message).toBe("registry: ifversion is not an option (did you mean ifVersion?)")
        expect((await registry.read("misha")).name).toBe("misha")
        await put("mach_1")
        const machine = { id: "mach_1", type: "fake", externalId: "other", metadata: {} }
        const putting = await failing(registry.putMachine(machine, { ifversion: 1 } as never))
        expect(putting.message).toBe("registry: ifversion is not an option (did you mean ifVersion?)")
        expect(await registry.readMachine("mach_1")).toMatchObject({ externalId: "ext-mach_1" })
      })
    })
  })
