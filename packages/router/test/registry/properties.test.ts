import { defineGrammar } from "@project-ingress/hostname"
import * as fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { everything } from "../../../../test/requirements.ts"
import type { RouteKey, RouteRecord } from "../../src/router.ts"
import { decodeRecord } from "../../src/stores/decode-record.ts"
import { memoryRegistry } from "../../src/stores/memory.ts"
import type { MemoryRegistry } from "../../src/stores/memory.ts"
import { settingsOf, settingsOfPort } from "../../src/stores/settings.ts"

import { engines } from "./engines.ts"
import type { AnyRegistry, Engine } from "./engines.ts"
import { everyOperation, ports, START, steps } from "./steps.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const DAY = 86_400_000

const routesOf = async (registry: AnyRegistry): Promise<ReadonlyMap<RouteKey, RouteRecord>> => {
  const routes = new Map<RouteKey, RouteRecord>()
  for await (const [key, record] of (await registry.snapshot()).routes) routes.set(key, record)
  return routes
}

/** Every machine that a record leads to. */
const reached = (record: RouteRecord) =>
  record.kind === "machine"
    ? [
        record.machine,
        ...(record.replicas ?? []),
        ...(record.rules ?? []).flatMap(({ targets }) => targets.flatMap((target) => target.machine ?? [])),
      ]
    : []

type Visitor = "open" | "closed"
/** What a visitor meets who has no rights: a port that is private is closed. */
const verdict = ({ visibility }: { readonly visibility?: string }): Visitor =>
  visibility === "private" ? "closed" : "open"

/** Throws if two keys disagree about a port, or a record leads to another owner's machine. */
const inspect = (routes: ReadonlyMap<RouteKey, RouteRecord>, now: number): number => {
  const seen = new Map<string, string>()
  let compared = 0
  for (const [key, record] of routes) {
    // As the router reads it: what has expired is a miss.
    if (record.kind !== "machine" || (record.expiresAt ?? Infinity) <= now) continue
    for (const { id } of reached(record)) {
      const own = routes.get(`m:${id}`)
      if (own?.owner !== record.owner) throw new Error(`${key} leads to ${id}, which has another owner`)
      for (const port of ports) {
        const settings = settingsOf(record, id, port)
        const said = JSON.stringify([verdict(settings), settings])
        const before = seen.get(`${id}:${port}`)
        if (before !== undefined) compared += 1
        if (before !== undefined && before !== said)
          throw new Error(`${key} says ${said} of ${id}:${port}, not ${before}`)
        seen.set(`${id}:${port}`, said)
      }
    }
  }
  return compared
}

/**
 * Throws if a machine is open by its own name though neither a project that has not expired nor its own settings open it. Gives
 * the number of machines whose project has expired.
 */
const inspectMachines = async (registry: MemoryRegistry, routes: ReadonlyMap<RouteKey, RouteRecord>, now: number) => {
  let expired = 0
  for (const [key, record] of routes) {
    if (!key.startsWith("m:") || record.kind !== "machine") continue
    const own = await registry.readMachine(key.slice(2))
    const project = own.project === undefined ? undefined : await registry.read(own.project)
    const isOver = (project?.expiresAt ?? Infinity) <= now
    if (isOver) expired += 1
    const rightful = project === undefined || isOver ? { visibility: "private" as const, ...own } : project
    expect((record.expiresAt ?? Infinity) > now).toBe(true)
    for (const port of ports) {
      const [found, wanted] = [settingsOf(record, record.machine.id, port), settingsOfPort(rightful, port)]
      if (verdict(found) !== verdict(wanted)) throw new Error(`${key} is ${verdict(found)} on port ${port}`)
    }
  }
  return expired
}

/** Throws if a redirect is open though a port of its project is closed. Gives the number of redirects that must be closed. */
const inspectRedirects = async (registry: MemoryRegistry, routes: ReadonlyMap<RouteKey, RouteRecord>) => {
  const { projects } = await registry.list()
  const named = (slug: string) => projects.find((project) => project.name === slug)
  let closed = 0
  for (const [key, record] of routes) {
    if (!key.startsWith("p:") || record.kind !== "redirect") continue
    // A project that redirects, or the current name of one that had this name before.
    const project = named(key.slice(2)) ?? named(typeof record.to === "object" ? record.to.project : "")
    const all = [project!, ...Object.values(project!.ports ?? {})]
    if (all.every((settings) => verdict(settings) === "open")) continue
    closed += 1
    if (verdict(record) === "open")
      throw new Error(`${key} tells where it leads, and a port of ${project!.name} is closed`)
  }
  return closed
}

describe("after any sequence of operations", () => {
  it("every hostname that leads to a port has the same settings, and no failed operation leaves a trace", async () => {
    const seen = { compared: 0, expired: 0, closed: 0 }
    const done = new Map<string, number>()
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 10, maxLength: 60, size: "max" }), async (sequence) => {
        const clock = { now: START }
        // Every proof is there.
        const resolveTxt = async () => proofs
        const proofs: string[] = []
        const registry = memoryRegistry({ grammar, now: () => clock.now, resolveTxt, keptChanges: 100_000 })
        for (const id of ["mach_1", "mach_2", "mach_3", "mach_4"]) {
          const given = { id, type: "fake", externalId: id, metadata: {}, owner: id === "mach_4" ? "org_2" : "org_1" }
          await registry.putMachine(given)
        }
        const versions = new Map<RouteKey, number>()
        let { cursor } = await registry.snapshot()
        const replayed = new Map(await routesOf(registry))
        for (const [at, { title, run }] of sequence.entries()) {
          for (const project of (await registry.list()).projects)
            for (const { proof } of project.domains) proofs.push(proof.value)
          const before = await routesOf(registry)
          const failure = await run(registry).then(
            () => undefined,
            (cause: unknown) => cause as { readonly _tag?: string },
          )
          const routes = await routesOf(registry)
          const outcome = `${title.split(" ")[0]} ${failure === undefined ? "done" : failure._tag}`
          done.set(outcome, (done.get(outcome) ?? 0) + 1)
          expect(outcome).not.toMatch(/undefined$/)
          expect(failure === undefined ? routes : before).toEqual(routes)
          seen.compared += inspect(routes, clock.now)
          seen.expired += await inspectMachines(registry, routes, clock.now)
          seen.closed += await inspectRedirects(registry, routes)

          const page = await registry.changes(cursor)
          if (page.status === "gap") throw new Error("gap")
          for (const { key, version, record } of page.changes) {
            expect(version).toBeGreaterThan(versions.get(key) ?? 0)
            versions.set(key, version)
            expect(record?.version ?? version).toBe(version)
            expect(record === undefined ? undefined : decodeRecord(record).problem).toBeUndefined()
            if (record === undefined) replayed.delete(key)
            else replayed.set(key, record)
          }
          cursor = page.cursor
          expect(replayed).toEqual(routes)
          if (at % 7 === 6) clock.now += 11 * DAY
        }
      }),
      // The first run takes the rare way to each operation's success, so that the check below needs no luck.
      { numRuns: 150, examples: [[[...everyOperation]]] },
    )
    expect(seen.compared).toBeGreaterThan(5_000)
    expect(seen.expired).toBeGreaterThan(0)
    expect(seen.closed).toBeGreaterThan(0)
    // Every operation was also seen to succeed: the property is about them, not about refusals.
    const succeeded = [...done.keys()].filter((outcome) => outcome.endsWith(" done")).toSorted()
    const verbs =
      "add attach check configure create detach drop forget purge put redirect remove rename revoke transfer verify".split(
        " ",
      )
    expect(succeeded).toEqual(verbs.map((verb) => `${verb} done`))
  })
})

const databases = engines.filter(({ name }) => name !== "memory")
for (const { name, missing, start } of databases)
  describe.skipIf(missing !== "")(`in ${name}${missing}`, () => {
    let engine: Engine
    beforeAll(async () => void (engine = await start()))
    afterAll(() => engine?.close())

    it("any sequence of operations comes to the same as in memory, and so does its feed", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(steps, { minLength: 10, maxLength: 40, size: "max" }), async (sequence) => {
          await engine.empty()
          const clock = { now: START }
          const proofs: string[] = []
          const options = { grammar, now: () => clock.now, resolveTxt: async () => proofs }
          const registries = [memoryRegistry(options), engine.open(options)] as const
          const { cursor } = await registries[1].snapshot()
          for (const [at, { title, run }] of sequence.entries()) {
            const happened = []
            for (const registry of registries) {
              for (const project of (await registry.list()).projects)
                for (const { proof } of project.domains) proofs.push(proof.value)
              happened.push(
                await run(registry).then(
                  () => `${title} done`,
                  (cause: { readonly _tag?: string }) => `${title} ${cause._tag ?? (cause as Error)}`,
                ),
              )
            }
            expect(happened[1]).toBe(happened[0])
            if (at % 7 === 6) clock.now += 11 * DAY
          }
          const [inMemory, stored] = [await routesOf(registries[0]), await routesOf(registries[1])]
          const unversioned = (routes: ReadonlyMap<RouteKey, RouteRecord>) =>
            [...routes]
              .map(([key, record]) => [key, { ...record, version: 0 }] as const)
              .toSorted(([a], [b]) => (a < b ? -1 : 1))
          expect(unversioned(stored)).toEqual(unversioned(inMemory))
          const replayed = new Map<RouteKey, RouteRecord>()
          const versions = new Map<RouteKey, number>()
          const page = await registries[1].changes(cursor, { limit: 10_000 })
          if (page.status === "gap") throw new Error("gap")
          for (const { key, version, record } of page.changes) {
            expect(version).toBeGreaterThan(versions.get(key) ?? 0)
            versions.set(key, version)
            if (record === undefined) replayed.delete(key)
            else replayed.set(key, record)
          }
          expect(replayed).toEqual(stored)
        }),
        { numRuns: everything ? 15 : 5, examples: [[[...everyOperation]]] },
      )
    })
  })
