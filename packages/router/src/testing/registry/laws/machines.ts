import { claim } from "../../claim.ts"
import { failing, tagOf } from "../law-context.ts"
import { inEachCase, law } from "../law.ts"

/** Machines, and the settings of their ports under every name. */
export const machines = {
  "machine.one-project": law("a machine serves one project at a time", async ({ setup }) => {
    const { registry, put } = await setup()
    await put("mach_1")
    await put("mach_2")
    const a = await registry.create({ name: "a", machine: "mach_1" })
    await registry.create({ name: "b", machine: "mach_2" })
    claim(await failing(registry.attach("b", "mach_1"))).toMatchObject({ _tag: "MachineTaken", project: a.id })
    claim(await tagOf(registry.configure("b", { replicas: ["mach_1"] }))).toBe("MachineTaken")
    claim((await registry.read("b")).machine).toBe("mach_2")
    await registry.detach("a")
    claim(await registry.attach("b", "mach_1")).toMatchObject({ machine: "mach_1" })
  }),
  "machine.replica": law("a machine becomes the machine of a project whose replica it was", async ({ setup }) => {
    const { registry, record, put } = await setup()
    await put("mach_1")
    await put("mach_2")
    await registry.create({ name: "misha", machine: "mach_1", replicas: ["mach_2"] })
    claim(await registry.attach("misha", "mach_2")).not.toHaveProperty("replicas")
    claim(await record("p:misha")).toMatchObject({ machine: { id: "mach_2" } })
    claim((await registry.readMachine("mach_1")).project).toBeUndefined()
  }),
  "machine.owner": law("a machine of another owner is refused everywhere", async ({ setup }) => {
    const { registry, put } = await setup()
    await put("mach_1", { owner: "org_1" })
    await put("mach_2", { owner: "org_2" })
    await put("mach_3")
    await registry.create({ name: "misha", owner: "org_1", machine: "mach_1" })
    const rules = [{ match: {}, targets: [{ port: 80 }, { machine: "mach_2" }] }]
    for (const machine of ["mach_2", "mach_3"])
      claim(await tagOf(registry.attach("misha", machine))).toBe("OwnerMismatch")
    claim(await failing(registry.configure("misha", { replicas: ["mach_2"] }))).toMatchObject({
      _tag: "OwnerMismatch",
      field: "replicas.0",
    })
    claim(await failing(registry.configure("misha", { rules }))).toMatchObject({
      field: "rules.0.targets.1.machine",
    })
    claim(await tagOf(registry.create({ name: "x", owner: "org_1", machine: "mach_2" }))).toBe("OwnerMismatch")
    claim(await tagOf(registry.create({ name: "x", owner: "org_1", rules }))).toBe("OwnerMismatch")
    claim(await tagOf(put("mach_2", { owner: "org_1" }))).toBe("OwnerMismatch")
    claim(await tagOf(registry.attach("misha", "mach_9"))).toBe("NotFound")
  }),
  "machine.in-use": law("a machine is forgotten only when nothing uses it", async ({ setup }) => {
    const { get, registry, put } = await setup()
    await put("mach_1")
    await put("mach_2")
    await registry.create({
      name: "misha",
      machine: "mach_1",
      rules: [{ match: {}, targets: [{ machine: "mach_2" }] }],
    })
    for (const id of ["mach_1", "mach_2"]) claim(await tagOf(registry.removeMachine(id))).toBe("MachineTaken")
    await registry.configure("misha", { rules: null })
    await registry.removeMachine("mach_2")
    claim(await get("m:mach_2")).toMatchObject({ status: "miss" })
    claim(await tagOf(registry.readMachine("mach_2"))).toBe("NotFound")
  }),
  "machine.put-again": law(
    "a machine that is put again changes the records of all that lead to it",
    async ({ setup }) => {
      const { registry, record, put } = await setup()
      await put("mach_1")
      await registry.create({ name: "misha", machine: "mach_1" })
      await put("mach_1", { externalId: "moved" })
      for (const key of ["p:misha", "m:mach_1"] as const)
        claim(await record(key)).toMatchObject({ machine: { externalId: "moved" } })
    },
  ),
  "machine.invalid": law("a machine is refused if it is not valid", async ({ setup }) => {
    await inEachCase<[string, object]>(
      [
        ["id", { id: "misha" }],
        ["id", { id: "mach_" }],
        ["type", { type: "" }],
        ["metadata", { metadata: [] }],
        ["ports.80.visibility", { ports: { 80: { visibility: 1 } } }],
        ["port", { port: 80 }],
      ],
      async ([field, rest]) => {
        claim(await failing((await setup()).put("mach_1", rest))).toMatchObject({
          _tag: "InvalidInput",
          field,
        })
      },
    )
  }),
  "settings.same": law(
    "settings of a port are the same under every name of the project, at once",
    async ({ setup }) => {
      const { registry, record, put, own } = await setup()
      await put("mach_1")
      await put("mach_2")
      await registry.create({ name: "misha", machine: "mach_1", replicas: ["mach_2"] })
      await own("misha", "www.example.com")
      const { version } = await registry.configure("misha", { ports: { 4096: { visibility: "public" } } })
      for (const key of ["p:misha", "d:www.example.com", "m:mach_1", "m:mach_2"] as const) {
        claim(await record(key)).toMatchObject({ ports: { 4096: { visibility: "public" } } })
        claim((await record(key))!.version).toBeGreaterThan(version)
      }
    },
  ),
  "settings.machine": law(
    "settings of a port go with the machine, and are private by default where it serves no project",
    async ({ setup }) => {
      const { registry, record, put } = await setup()
      await put("mach_1", { ports: { 9000: { visibility: "public" } } })
      claim(await record("m:mach_1")).toMatchObject({
        visibility: "private",
        ports: { 9000: { visibility: "public" } },
      })
      await registry.create({ name: "misha", machine: "mach_1", visibility: "public" })
      claim(await record("m:mach_1")).toMatchObject({ visibility: "public" })
      claim(await record("m:mach_1")).not.toHaveProperty("ports")
      // What is said of the machine itself waits until it is free.
      await put("mach_1", { visibility: "private" })
      claim(await record("m:mach_1")).toMatchObject({ visibility: "public" })
      await registry.detach("misha")
      claim(await record("m:mach_1")).toMatchObject({ visibility: "private" })
    },
  ),
  "settings.rule": law(
    "settings of a port of a machine that only a rule leads to are that machine's, and follow it",
    async ({ setup }) => {
      const { registry, record, put } = await setup()
      await put("mach_1")
      await put("mach_2")
      const rules = [{ match: {}, targets: [{ machine: "mach_2" }] }]
      await registry.create({ name: "front", machine: "mach_1", visibility: "public", rules })
      claim(await record("p:front")).toMatchObject({ machines: { mach_2: { visibility: "private" } } })
      await registry.create({ name: "back", machine: "mach_2", ports: { 80: { visibility: "public" } } })
      claim(await record("p:front")).toMatchObject({
        machines: { mach_2: { ports: { 80: { visibility: "public" } } } },
      })
      await registry.configure("back", { ports: { 80: null }, visibility: "private" })
      claim(await record("p:front")).toMatchObject({ machines: { mach_2: { visibility: "private" } } })
      await registry.remove("back")
      claim(await record("p:front")).toMatchObject({ machines: { mach_2: { visibility: "private" } } })
    },
  ),
  "settings.balance": law(
    "how a request's machine is chosen, and how its health is checked, reaches every key of the project",
    async ({ setup }) => {
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
      claim(await record("p:misha")).toMatchObject({ balance: "round-robin", healthCheck })
      claim(await record("m:mach_2")).toMatchObject({ healthCheck })
      claim(await registry.configure("misha", { balance: null, healthCheck: null })).not.toHaveProperty("balance")
      claim(await record("p:misha")).not.toHaveProperty("balance")
      claim(await record("m:mach_2")).not.toHaveProperty("healthCheck")
    },
  ),
}
