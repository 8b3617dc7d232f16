import { describe, expect, it } from "vitest"
import type { RouteRegistry } from "@project-ingress/router/stores/memory"
import { createIngresses } from "../../src/control/create-ingresses.ts"
import { document, failure, fakeFront, platform, toA1 } from "./fakes.ts"
import type { Platform } from "./fakes.ts"

const a = { owner: "org_a" }
const toMisha = { project: "misha", port: 8080 }
const value = "0123456789abcdef0123456789abcdef"
const settings = {
  allowCidrs: ["10.0.0.0/8"],
  requireHeader: { name: "x-key", value },
  responseHeaders: { set: { "x-frame-options": "DENY" } },
  healthCheck: { path: "/health" },
}

const portOf = ({ registry }: Platform, key: `m:${string}` | `p:${string}`, port = 8080): unknown => {
  const found = registry.get(key)
  return found.status === "hit" && found.record.kind === "machine" ? found.record.ports?.[port] : undefined
}

describe("the settings of a rule", () => {
  it("are those of the port of a machine that serves no project, and go with the rule", async () => {
    const made = await platform()
    const { ingresses, registry } = made
    await registry.putMachine({
      ...(await bare(made, "mach_a1")),
      ports: { 8080: { visibility: "public" }, 9090: { wake: "never" } },
    })
    await ingresses.create(document("x", "x.example.com", toA1, settings), a)
    const { requireHeader: _, ...others } = settings
    expect(portOf(made, "m:mach_a1")).toEqual({
      visibility: "public",
      ...others,
      requireHeader: { name: "x-key", sha256: expect.stringMatching(/^[\da-f]{64}$/) },
    })
    expect(JSON.stringify(registry.get("m:mach_a1"))).not.toContain(value)
    await ingresses.remove("x")
    expect(portOf(made, "m:mach_a1")).toEqual({ visibility: "public" })
    expect(portOf(made, "m:mach_a1", 9090)).toEqual({ wake: "never" })
  })

  it("are those of the project's port, by whichever name: the project's or its machine's", async () => {
    for (const target of [toMisha, { machine: "mach_a2", port: 8080 }]) {
      const made = await platform()
      await made.ingresses.create(document("x", "x.example.com", target, { allowCidrs: ["10.0.0.0/8"] }), a)
      for (const key of ["p:misha", "m:mach_a2"] as const) {
        expect(portOf(made, key)).toEqual({ allowCidrs: ["10.0.0.0/8"] })
      }
      await made.ingresses.replace("x", document("x", "x.example.com", target), a)
      for (const key of ["p:misha", "m:mach_a2"] as const) expect(portOf(made, key)).toBeUndefined()
    }
  })

  it("move with the rule, and change with it", async () => {
    const made = await platform()
    const at = (target: object, ...allowCidrs: string[]) => document("x", "x.example.com", target, { allowCidrs })
    await made.ingresses.create(at(toA1, "10.0.0.0/8"), a)
    await made.ingresses.replace("x", at(toA1, "10.1.0.0/16"), a)
    expect(portOf(made, "m:mach_a1")).toEqual({ allowCidrs: ["10.1.0.0/16"] })
    await made.ingresses.replace("x", at(toMisha, "10.1.0.0/16"), a)
    expect(portOf(made, "m:mach_a1")).toBeUndefined()
    expect(portOf(made, "p:misha")).toEqual({ allowCidrs: ["10.1.0.0/16"] })
  })

  it("are shown in the diff by their names alone", async () => {
    const { ingresses } = await platform()
    const { diffs } = await ingresses.create(document("x", "x.example.com", toA1, settings), a)
    const shown = ["+ allowCidrs", "+ requireHeader", "+ responseHeaders", "+ healthCheck"].join("\n")
    expect(diffs).toEqual([{ front: "router", diff: `machine mach_a1 port 8080\n${shown}\n` }])
  })

  it("stay as long as one of several rules has them", async () => {
    const made = await platform()
    const { responseHeaders } = settings
    await made.ingresses.create(document("x", "x.example.com", toA1, { responseHeaders }), a)
    await made.ingresses.create(document("y", "y.example.com", toA1, { responseHeaders }), a)
    await made.ingresses.remove("x")
    expect(portOf(made, "m:mach_a1")).toEqual({ responseHeaders })
    await made.ingresses.remove("y")
    expect(portOf(made, "m:mach_a1")).toBeUndefined()
  })

  it("conflict where two rules differ on access to one port, by nothing too: a front has it by hostname", async () => {
    const { allowCidrs, responseHeaders } = settings
    const { ingresses } = await platform()
    await ingresses.create(document("x", "x.example.com", toA1, { allowCidrs }), a)
    const conflict = { _tag: "SettingsConflict", field: "rules.0.allowCidrs" }
    const other = (rule: object) => ingresses.create(document("y", "y.example.com", toA1, rule), a)
    expect(await failure(other({}))).toMatchObject(conflict)
    expect(await failure(other({ allowCidrs: ["192.168.0.0/16"] }))).toMatchObject(conflict)
    await other({ allowCidrs, responseHeaders })
    // What restricts nobody may be said by one of them alone, but not in two ways.
    const third = { allowCidrs, responseHeaders: { remove: ["server"] } }
    expect(await failure(ingresses.create(document("z", "z.example.com", toA1, third), a))).toMatchObject({
      field: "rules.0.responseHeaders",
    })
    const target = { machine: "mach_a1", port: 1 }
    const rules = [
      { match: { hostname: "p.example.com", path: "/a" }, target, allowCidrs },
      { match: { hostname: "p.example.com", path: "/b" }, target },
    ]
    expect(await failure(ingresses.create({ name: "p", rules }, a))).toMatchObject({ field: "rules.1.allowCidrs" })
  })

  it("conflict by machine and by project, too", async () => {
    const { ingresses } = await platform()
    await ingresses.create(document("x", "x.example.com", toMisha, { allowCidrs: ["10.0.0.0/8"] }), a)
    const same = { machine: "mach_a2", port: 8080 }
    const other = ingresses.create(document("y", "y.example.com", same, { allowCidrs: ["10.1.0.0/16"] }), a)
    expect(await failure(other)).toMatchObject({ _tag: "SettingsConflict" })
  })

  it("do not replace what somebody has set by another way", async () => {
    const made = await platform()
    const { ingresses, registry } = made
    await registry.configure("misha", { ports: { 8080: { allowCidrs: ["192.168.0.0/16"] } } })
    const mine = document("x", "x.example.com", toMisha, { allowCidrs: ["0.0.0.0/1"] })
    expect(await failure(ingresses.create(mine, a))).toMatchObject({ _tag: "SettingsConflict" })
    // Nor what restricts every port.
    await registry.configure("misha", { ports: null, allowCidrs: ["192.168.0.0/16"] })
    expect(await failure(ingresses.create(mine, a))).toMatchObject({ _tag: "SettingsConflict" })
    expect(portOf(made, "p:misha")).toBeUndefined()
  })

  it.each([
    ["without a registry", { registry: undefined as never }, toA1],
    ["of a captured machine", {}, { capture: "m", port: 80 }],
    ["of a project without a port", {}, { project: "misha" }],
  ])("refuse the change where there is nothing to write them to: %s", async (_, options, target) => {
    for (const fronts of [[], [fakeFront("caddy")]]) {
      const { ingresses } = await platform({ fronts, ...options })
      const hostname = "capture" in target ? "{m}.example.com" : "x.example.com"
      for (const field of ["allowCidrs", "requireHeader"] as const) {
        const given = document("x", hostname, target, { [field]: settings[field] })
        expect(await failure(ingresses.create(given))).toMatchObject({
          _tag: "FrontRefused",
          front: "router",
          field: `rules.0.${field}`,
        })
      }
      // What restricts nobody is reported instead.
      const { healthCheck } = settings
      await ingresses.create(document("x", hostname, target, { healthCheck }))
      const [router] = (await ingresses.status("x")).parents
      expect(router!.conditions[0]).toMatchObject({ type: "Accepted", status: "False", reason: "UnsupportedValue" })
      expect(router!.conditions[0]!.message).toMatch(/^rules\.0\.healthCheck needs /)
    }
  })

  it("that somebody has set by hand are not avoided at a front, which knows nothing of them", async () => {
    const { allowCidrs, requireHeader } = settings
    const made = await platform({ fronts: [fakeFront("caddy")] })
    const { ingresses, registry } = made
    await registry.configure("misha", { ports: { 8080: { allowCidrs } } })
    const create = (rule: object, options: object) =>
      ingresses.create(document("x", "x.example.com", toMisha, rule), options)
    const refused = { _tag: "SettingsConflict", field: "rules.0.allowCidrs" }
    expect(await failure(create({}, a))).toMatchObject(refused)
    await ingresses.grant({ owner: "org_a", to: "org_b", target: { project: "misha" } })
    expect(await failure(create({}, { owner: "org_b" }))).toMatchObject(refused)
    await create({ allowCidrs }, a)
    // A rule that has said it may stop saying it: then it was the rule's.
    await ingresses.replace("x", document("x", "x.example.com", toMisha), a)
    await registry.configure("misha", { ports: null, requireHeader: { name: "x-key", sha256: "0".repeat(64) } })
    expect(
      await failure(ingresses.create(document("y", "y.example.com", toMisha, { requireHeader }), a)),
    ).toMatchObject({ _tag: "SettingsConflict", field: "rules.0.requireHeader" })
    const alone = createIngresses({ ...made.options, fronts: [] })
    await alone.create(document("y", "y.example.com", toMisha), a)
  })

  it("that make a port private are not avoided at a front, which lets everybody in", async () => {
    const front = fakeFront("caddy")
    const made = await platform({ fronts: [front] })
    const { ingresses, registry } = made
    await registry.configure("misha", { ports: { 8080: { visibility: "private" } } })
    const create = () => ingresses.create(document("x", "x.example.com", toMisha), a)
    expect(await failure(create())).toMatchObject({ _tag: "FrontRefused", field: "rules.0.target" })
    await registry.configure("misha", { ports: { 8080: { visibility: "public" } } })
    await create()
    expect(front.running).not.toBe("")
    // Made private afterwards, the port is taken from the front by the next look, and the router keeps it private.
    await registry.configure("misha", { ports: { 8080: { visibility: "private" } } })
    await ingresses.reconcile()
    expect(front.running).toBe("")
    const { parents } = await ingresses.status("x")
    expect(parents.find(({ parent }) => parent === "caddy")?.conditions[0]).toMatchObject({ status: "False" })
    const alone = createIngresses({ ...made.options, fronts: [] })
    await alone.create(document("y", "y.example.com", toMisha), a)
  })

  it("of an address differ by hostname, and not by path, which an app may read in other ways", async () => {
    const { ingresses } = await platform()
    const { allowCidrs, responseHeaders } = settings
    const url = "http://10.0.0.5:3000"
    const rule = (path: string, more: object = {}, hostname = "x.example.com") => ({
      match: { hostname, path },
      target: { url },
      ...more,
    })
    const create = (...rules: readonly object[]) => ingresses.create({ name: "x", rules }, a)
    const error = await failure(create(rule("/"), rule("/admin", { allowCidrs })))
    expect(error).toMatchObject({ _tag: "SettingsConflict", field: "rules.1.allowCidrs" })
    await create(rule("/", { allowCidrs }), rule("/x", { allowCidrs, responseHeaders }), rule("/", {}, "y.example.com"))
    const later = { name: "y", rules: [rule("/later")] }
    expect(await failure(ingresses.create(later, a))).toMatchObject({ _tag: "SettingsConflict" })
  })

  it("of an address are the router's own, without a registry", async () => {
    const { ingresses } = await platform({ registry: undefined as never })
    await ingresses.create(document("x", "x.example.com", { url: "http://192.0.2.1:80" }, settings), a)
    const [router] = (await ingresses.status("x")).parents
    expect(router!.conditions[0]).toMatchObject({ type: "Accepted", status: "True" })
  })

  it("are written again when somebody has changed the registry by hand, or the machine serves another project", async () => {
    const made = await platform()
    const { ingresses, registry } = made
    const { allowCidrs } = settings
    await ingresses.create(document("x", "x.example.com", toA1, { allowCidrs }), a)
    await registry.create({ name: "other", owner: "org_a", machine: "mach_a1" })
    expect(portOf(made, "m:mach_a1")).toBeUndefined()
    expect(await ingresses.reconcile()).toEqual([{ front: "router", diff: expect.stringContaining("allowCidrs") }])
    expect(portOf(made, "p:other")).toEqual({ allowCidrs })
    expect(await ingresses.reconcile()).toEqual([])
  })

  it("of a rule whose machine is gone do not keep others from being written", async () => {
    const made = await platform()
    const { allowCidrs } = settings
    await made.ingresses.create(document("x", "x.example.com", toA1, { allowCidrs }), a)
    await made.ingresses.create(document("y", "y.example.com", toMisha, { allowCidrs }), a)
    await made.registry.removeMachine("mach_a1")
    await made.registry.configure("misha", { ports: null })
    await createIngresses(made.options).start()
    expect(portOf(made, "p:misha")).toEqual({ allowCidrs })
    await made.ingresses.remove("x")
  })

  it("survive others who change the same project at the same time", async () => {
    const made = await platform()
    const { ingresses, registry } = made
    const changes = Array.from({ length: 10 }, (_, at) => at).flatMap((at) => [
      ingresses.create(document(`x${at}`, `x${at}.example.com`, { project: "misha", port: 9000 + at }, settings), a),
      registry.configure("misha", { ports: { [7000 + at]: { visibility: "public" } } }),
    ])
    await Promise.all(changes)
    const { ports = {} } = await registry.read("misha")
    expect(Object.keys(ports)).toHaveLength(20)
  })
})

describe("a registry", () => {
  const allowCidrs = ["10.0.0.0/8"]

  it("keeps what somebody else writes to the same port between reading and writing", async () => {
    const made = await platform()
    const { registry } = made
    let between = 0
    const meddled: RouteRegistry = {
      ...registry,
      configure: async (...call) => {
        between += 1
        if (between === 1) await registry.configure("misha", { ports: { 8080: { visibility: "public" } } })
        return registry.configure(...call)
      },
    }
    const ingresses = createIngresses({ ...made.options, registry: meddled })
    await ingresses.create(document("x", "x.example.com", toMisha, { allowCidrs }), a)
    expect(portOf(made, "p:misha")).toEqual({ visibility: "public", allowCidrs })
  })

  it("that fails when a change is taken back is brought to what is stored by the next one", async () => {
    const front = fakeFront("caddy")
    const made = await platform({ fronts: [front] })
    const { registry, events, options } = made
    let isDown = false
    const failing: RouteRegistry = {
      ...registry,
      putMachine: async (...call) => {
        if (isDown) throw new Error("down")
        return registry.putMachine(...call)
      },
    }
    const ingresses = createIngresses({ ...options, registry: failing })
    front.failing.add("read back")
    const { calls } = front
    calls.push = (step) => Number((isDown ||= step === "read back"))
    const given = document("x", "x.example.com", toA1, { allowCidrs })
    expect(await failure(ingresses.create(given, a))).toMatchObject({ _tag: "FrontFailed", step: "read back" })
    expect(events).toContainEqual(expect.objectContaining({ during: "roll back" }))
    expect(portOf(made, "m:mach_a1")).toEqual({ allowCidrs })
    expect(await options.storage.marked!()).toBeDefined()
    calls.push = () => 0
    front.failing.clear()
    // Still down: nothing is forgotten.
    await ingresses.create(document("y", "y.example.com", toMisha), a)
    expect(await options.storage.marked!()).toBeDefined()
    isDown = false
    await ingresses.create(document("z", "z.example.com", toMisha), a)
    expect(portOf(made, "m:mach_a1")).toBeUndefined()
    expect(await options.storage.marked!()).toBeUndefined()
  })
})

const bare = async ({ registry }: Platform, id: string) => {
  const { version: _, project: __, ...machine } = await registry.readMachine(id)
  return machine
}
