import { describe, expect, it } from "vitest"
import { createIngresses } from "../../src/control/create-ingresses.ts"
import { readJournal, writeJournal } from "../../src/control/journal.ts"
import type { Ingresses } from "../../src/control/ingresses.ts"
import { RevisionConflict } from "../../src/storage/ingress-storage.ts"
import type { IngressStorage } from "../../src/storage/ingress-storage.ts"
import { memoryStorage } from "../../src/storage/memory-storage.ts"
import { document, failure, fakeFront, platform, toA1 } from "./fakes.ts"
import type { FakeFront, Step } from "./fakes.ts"

const restricted = { allowCidrs: ["10.0.0.0/8"] }
const changes = {
  create: (ingresses: Ingresses) => ingresses.create(document("new", "new.example.com", toA1)),
  replace: (ingresses: Ingresses) => ingresses.replace("one", document("one", "other.example.com", toA1, restricted)),
  remove: (ingresses: Ingresses) => ingresses.remove("one"),
}

/** A storage whose commit, or mark, does what a test says. */
const brittle = () => {
  const storage = memoryStorage()
  const hooks: { commit?: (commit: () => Promise<number>) => Promise<number>; mark?: () => void } = {}
  const wrapped: IngressStorage = {
    ...storage,
    commit: (commit) => (hooks.commit ?? ((run) => run()))(() => storage.commit(commit)),
    mark: async (note) => {
      hooks.mark?.()
      await storage.mark(note)
    },
  }
  return { storage: wrapped, hooks }
}

/** All that can be looked at from outside. */
const stateOf = async (fronts: readonly FakeFront[], storage: IngressStorage, registry: { get: Function }) => ({
  running: fronts.map(({ running }) => running),
  stored: (await storage.read(0)).documents,
  marked: await storage.marked!(),
  settings: [registry.get("m:mach_a1"), registry.get("m:mach_a2")].map(({ record }) => [
    record.ports,
    record.allowCidrs,
  ]),
})

const prepared = async (stepTimeoutMs = 30_000) => {
  const fronts = [fakeFront("caddy"), fakeFront("envoy")] as const
  const { storage, hooks } = brittle()
  const made = await platform({ fronts, storage, stepTimeoutMs })
  await made.ingresses.create(document("one", "one.example.com", { machine: "mach_a2", port: 80 }, restricted))
  const state = () => stateOf(fronts, storage, made.registry)
  return { ...made, fronts, hooks, storage, state, before: await state() }
}

describe.each(Object.entries(changes))("a failed %s", (_, change) => {
  for (const at of [0, 1] as const) {
    for (const step of ["plan", "validate", "apply", "read back"] satisfies Step[]) {
      it(`changes nothing on either side: ${step} of front ${at + 1}`, async () => {
        const { ingresses, fronts, state, before } = await prepared()
        const front = fronts[at]
        front.failing.add(step)
        const error = await failure(change(ingresses))
        expect(error).toMatchObject({ _tag: "FrontFailed", front: front.name, step, cause: front.failure })
        expect(String(error)).not.toContain("secret")
        expect(await state()).toEqual(before)
        front.failing.clear()
        await expect(change(ingresses)).resolves.not.toThrow()
        expect(await ingresses.reconcile()).toEqual([])
      })
    }
  }

  it("changes nothing on either side: commit", async () => {
    const { ingresses, hooks, state, before } = await prepared()
    hooks.commit = () => Promise.reject(new Error("disk full"))
    expect(await failure(change(ingresses))).toMatchObject({
      _tag: "StorageUnavailable",
      cause: new Error("disk full"),
    })
    expect(await state()).toEqual({ ...before, marked: expect.any(String) })
    delete hooks.commit
    await expect(change(ingresses)).resolves.not.toThrow()
  })

  it("changes nothing where the mark cannot be made", async () => {
    const { ingresses, hooks, state, before } = await prepared()
    hooks.mark = () => {
      throw new Error("read only")
    }
    expect(await failure(change(ingresses))).toMatchObject({
      _tag: "StorageUnavailable",
      cause: new Error("read only"),
    })
    delete hooks.mark
    expect(await state()).toEqual(before)
  })

  it("is repaired by the next reconcile if it cannot be taken back either", async () => {
    for (const at of [0, 1] as const) {
      const { ingresses, fronts, events, state, before } = await prepared()
      fronts[1].failing.add("read back")
      fronts[at].failing.add("roll back")
      expect(await failure(change(ingresses))).toMatchObject({ _tag: "FrontFailed", step: "read back" })
      expect(events).toContainEqual({
        type: "error",
        during: "roll back",
        cause: expect.objectContaining({ front: fronts[at].name, step: "roll back" }),
      })
      // The other front is as it was, and it is on record that this one may not be.
      expect(fronts[1 - at]!.running).toBe(before.running[1 - at])
      expect((await state()).marked).toBeDefined()
      for (const front of fronts) front.failing.clear()
      expect((await ingresses.reconcile()).map(({ front }) => front)).toEqual([fronts[at].name])
      expect(await state()).toEqual(before)
    }
  })

  it("counts if only the storage's reply is lost", async () => {
    const { ingresses, hooks, storage } = await prepared()
    const before = await storage.read(0)
    hooks.commit = async (commit) => {
      await commit()
      throw new Error("connection lost")
    }
    await change(ingresses)
    delete hooks.commit
    expect((await storage.read(0)).revision).toBe(before.revision + 1)
    expect(await ingresses.reconcile()).toEqual([])
  })

  it.each(["apply", "read back", "commit", "committed"] as const)(
    "that is killed is repaired at the next start: %s",
    async (step) => {
      const { ingresses, fronts, hooks, options, events, state, before } = await prepared()
      // Where it would have been killed, it hangs.
      let isReached = false
      const hang = async (): Promise<number> => {
        isReached = true
        return new Promise(() => undefined)
      }
      if (step === "commit") hooks.commit = hang
      else if (step === "committed") hooks.commit = async (commit) => [await commit(), await hang()][1]!
      else fronts[1].hanging.add(step)
      fronts[1].calls.length = 0
      void change(ingresses).catch(() => undefined)
      await expect.poll(() => isReached || fronts[1].calls.includes(step as Step)).toBe(true)
      fronts[1].hanging.clear()
      delete hooks.commit
      const stored = await options.storage.read(0)

      const next = createIngresses(options)
      await next.start()
      expect(events).toContainEqual({ type: "interrupted", note: expect.any(String) })
      const after = await state()
      expect(after.marked).toBeUndefined()
      expect(after.stored).toEqual(stored.documents)
      // What was not stored is taken back on both sides; what was is what the fronts run and what the registry says.
      const expected = step === "committed" ? after : before
      expect(after).toEqual(expected)
      expect(await createIngresses(options).reconcile()).toEqual([])
    },
  )
})

describe("a change", () => {
  it("ends at the time limit of a step where a front hangs", async () => {
    for (const step of ["plan", "validate", "apply", "read back"] satisfies Step[]) {
      const { ingresses, fronts, state, before } = await prepared(50)
      fronts[1].hanging.add(step)
      expect(await failure(changes.create(ingresses))).toMatchObject({ _tag: "FrontFailed", front: "envoy", step })
      expect(await state()).toEqual(before)
    }
  })

  it("writes a note that fits, however many ports it writes, and reads it again", () => {
    const writes = Array.from({ length: 1_000 }, (_, at) => {
      return { kind: "machine" as const, id: "mach_1", port: at, before: { allowCidrs: undefined }, after: restricted }
    })
    const note = writeJournal(writes)
    expect(note.length).toBeGreaterThan(50_000)
    expect(note.length).toBeLessThan(65_536)
    const read = readJournal(note)
    expect(read).toStrictEqual(writes.slice(0, read.length))
    expect(readJournal("x")).toEqual([])
  })

  it("takes fronts back in reverse order", async () => {
    const { ingresses, fronts } = await prepared()
    const order: string[] = []
    for (const front of fronts) {
      const { calls } = front
      calls.push = (...steps) => {
        order.push(...steps.map((step) => `${front.name} ${step}`))
        return 0
      }
    }
    fronts[1].failing.add("read back")
    await failure(changes.create(ingresses))
    expect(order.slice(-6)).toEqual([
      "caddy apply",
      "caddy read back",
      "envoy apply",
      "envoy read back",
      "envoy roll back",
      "caddy roll back",
    ])
  })

  it("plans and validates only, on a dry run", async () => {
    const { ingresses, fronts, state, before } = await prepared()
    for (const front of fronts) front.calls.length = 0
    const { diffs } = await ingresses.create(document("new", "new.example.com", toA1, restricted), { dryRun: true })
    expect(diffs.map(({ front }) => front)).toEqual(["router", "caddy", "envoy"])
    expect(fronts[0].calls).toEqual(["plan", "validate"])
    expect(await state()).toEqual(before)
    await ingresses.remove("one", { dryRun: true })
    expect(await state()).toEqual(before)
  })

  it("refuses what a front cannot express, by the number that the rule was declared with", async () => {
    const { ingresses, fronts } = await prepared()
    fronts[1].problems = ({ ingresses }) =>
      ingresses
        .filter(({ name }) => name === "new")
        .map(({ name }) => ({ kind: "unsupported", ingress: name, field: "rules.0.healthCheck", reason: "is unknown" }))
    expect(await failure(changes.create(ingresses))).toMatchObject({
      _tag: "FrontRefused",
      front: "envoy",
      field: "rules.0.healthCheck",
      reason: "is unknown",
    })
  })

  it("does not hang on what a front cannot express of another ingress, which is left out there", async () => {
    const { ingresses, fronts } = await prepared()
    fronts[1].problems = ({ ingresses }) =>
      ingresses
        .filter(({ name }) => name === "one")
        .map(({ name }) => ({ kind: "unsupported", ingress: name, field: "rules.0.tls", reason: "is unknown" }))
    await changes.create(ingresses)
    expect(fronts[0].running).toContain("one.example.com")
    expect(fronts[1].running).toBe("new.example.com: -> 10.0.0.1:8080")
    const { parents } = await ingresses.status("one")
    expect(parents[2]!.conditions[0]).toMatchObject({ reason: "UnsupportedValue", message: "rules.0.tls is unknown." })
  })

  it("is not made on what another process has changed meanwhile: it is decided again", async () => {
    const { ingresses, fronts, hooks, options } = await prepared()
    const other = createIngresses({ ...options, fronts: [] })
    let lost = 0
    hooks.commit = async (commit) => {
      delete hooks.commit
      lost += 1
      await other.create(document("between", "between.example.com", toA1))
      return commit()
    }
    await changes.create(ingresses)
    expect(lost).toBe(1)
    expect(fronts[0].running.split("\n")).toHaveLength(3)
    await other.reconcile()
    expect((await other.list()).ingresses).toHaveLength(3)
  })

  it("is decided again also if a look-up has read meanwhile what another process changed", async () => {
    const made = await platform({ pollMs: 100 })
    const other = createIngresses(made.options)
    let isFirst = true
    const ingresses = createIngresses({
      ...made.options,
      findMachine: async (id) => {
        if (!isFirst) return id
        isFirst = false
        await other.create(document("first", "x.example.com", toA1))
        await expect.poll(async () => (await ingresses.list()).ingresses).toHaveLength(1)
        return id
      },
    })
    expect(await failure(ingresses.create(document("second", "x.example.com", toA1)))).toMatchObject({
      _tag: "HostnameInUse",
      ingress: "first",
    })
  })

  it("that loses a hostname to another process leaves the fronts with that one's", async () => {
    const { ingresses, fronts, hooks, options } = await prepared()
    const other = createIngresses({ ...options, fronts: [] })
    hooks.commit = async (commit) => {
      delete hooks.commit
      await other.create(document("first", "new.example.com", { machine: "mach_b1", port: 1 }))
      return commit()
    }
    expect(await failure(changes.create(ingresses))).toMatchObject({ _tag: "HostnameInUse", ingress: "first" })
    expect(fronts[0].running).toContain("new.example.com: -> 10.0.1.1:1")
  })

  it("gives up after some attempts, with everything as it was", async () => {
    const { ingresses, hooks, state, before } = await prepared()
    hooks.commit = () => Promise.reject(new RevisionConflict({ revision: 99 }))
    expect(await failure(changes.create(ingresses))).toMatchObject({ _tag: "RevisionConflict" })
    expect(await state()).toEqual(before)
  })
})

describe("two controllers of one storage", () => {
  it("give each hostname to one of those who want it, and lose nothing", async () => {
    const { options } = await platform()
    const both = [createIngresses(options), createIngresses(options)]
    const wanted = Array.from({ length: 20 }, (_, at) => at)
    const results = await Promise.allSettled(
      wanted.map((at) =>
        both[at % 2]!.create(document(`n${at}`, `h${at >> 1}.example.com`, toA1)).then(({ ingress }) => ingress.name),
      ),
    )
    const made = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []))
    const lost = results.flatMap((result) => (result.status === "rejected" ? [result.reason._tag] : []))
    expect(made).toHaveLength(10)
    expect(new Set(lost)).toEqual(new Set(["HostnameInUse"]))
    for (const each of both) {
      await each.reconcile()
      expect((await each.list()).ingresses.map(({ name }) => name).toSorted()).toEqual(made.toSorted())
    }
  })

  it.each(["read back", "commit"] as const)(
    "that start while another one is in the middle of a change take it neither from fronts nor from the registry: %s",
    async (moment) => {
      const { ingresses, fronts, hooks, options, registry } = await prepared()
      let started: Promise<unknown> | undefined
      const start = (): Promise<unknown> => (started ??= createIngresses(options).start())
      if (moment === "commit") hooks.commit = (commit) => start().then(commit)
      else fronts[1].calls.push = (step) => (step === moment ? Number(start() === undefined) : 0)
      const error = await changes.replace(ingresses).then(
        () => undefined,
        (cause: { _tag: string }) => cause._tag,
      )
      await started
      // The other one may have been faster; then it is taken back.
      expect([undefined, "FrontFailed"]).toContain(error)
      const hostname = error === undefined ? "other.example.com" : "one.example.com"
      expect((await ingresses.read("one")).rules[0]!.match.hostname!.text).toBe(hostname)
      for (const { running } of fronts) expect(running).toContain(hostname)
      expect(JSON.stringify(registry.get("m:mach_a1")).includes("allowCidrs")).toBe(error === undefined)
      expect(await ingresses.reconcile()).toEqual([])
    },
  )

  it("expect versions", async () => {
    const { ingresses } = await platform()
    await ingresses.create(document("one", "one.example.com", toA1))
    const next = document("one", "two.example.com", toA1)
    const [a, b] = await Promise.allSettled([1, 1].map((ifVersion) => ingresses.replace("one", next, { ifVersion })))
    expect(a!.status).toBe("fulfilled")
    expect(b).toMatchObject({ reason: { _tag: "VersionConflict", expected: 1, actual: 2 } })
    expect(await failure(ingresses.remove("one", { ifVersion: 1 }))).toMatchObject({ _tag: "VersionConflict" })
    await ingresses.remove("one", { ifVersion: 2 })
  })
})
