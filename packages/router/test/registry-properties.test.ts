import { defineGrammar } from "@project-ingress/hostname"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { RouteKey, RouteRecord } from "../src/router.ts"
import { decodeRecord } from "../src/stores/decode-record.ts"
import { memoryRegistry } from "../src/stores/memory.ts"
import type { MemoryRegistry, ProjectChanges } from "../src/stores/memory.ts"
import { settingsOf, settingsOfPort } from "../src/stores/settings.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const DAY = 86_400_000
const START = 2_000_000_000_000

// Small sets, so that the same names, machines and owners meet again and again.
const name = fc.constantFrom("a", "b", "c", "d")
const machine = fc.constantFrom("mach_1", "mach_2", "mach_3", "mach_4")
const owner = fc.constantFrom("org_1", "org_1", "org_2")
const domain = fc.constantFrom("x.example.com", "*.example.com", "y.example.com")
const ports = [80, 3000, 4096]
const settings = fc.record(
  {
    visibility: fc.constantFrom("public", "private"),
    appOrigin: fc.constantFrom("localhost", "public", { host: "app.internal" }),
  },
  { requiredKeys: [] },
)
const portMap = fc.dictionary(fc.constantFrom(...ports.map(String)), settings, { maxKeys: 2 })
const rules = fc.array(
  fc.record({
    match: fc.constantFrom({}, { path: { prefix: "/api" } }),
    targets: fc.array(fc.record({ machine, port: fc.constantFrom(...ports) }, { requiredKeys: [] }), {
      minLength: 1,
      maxLength: 2,
    }),
  }),
  { maxLength: 2 },
)
const config = fc
  .tuple(
    settings,
    fc.record(
      {
        ports: fc.option(portMap),
        rules: fc.option(rules),
        replicas: fc.option(fc.array(machine, { maxLength: 2 })),
        port: fc.constantFrom(80, 3000),
        // The clock of a long sequence reaches them.
        expiresAt: fc.constantFrom(null, null, START + 20 * DAY, START + 50 * DAY),
      },
      { requiredKeys: [] },
    ),
  )
  .map(([all, rest]) => ({ ...all, ...rest }) as ProjectChanges)

interface Step {
  readonly title: string
  readonly run: (registry: MemoryRegistry) => Promise<unknown>
}
const step = (title: string, run: Step["run"]): Step => ({ title, run })

const create = fc.tuple(name, owner, config).map(([n, o, c]) => {
  const { rules: _, replicas: __, ...plain } = c
  const given = Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== null))
  return step(`create ${n} of ${o}`, (r) => r.create({ ...given, name: n, owner: o }))
})
const createOn = fc
  .tuple(name, owner, machine)
  .map(([n, o, m]) => step(`create ${n} of ${o} on ${m}`, (r) => r.create({ name: n, owner: o, machine: m })))
const put = fc.tuple(machine, owner, settings, portMap).map(([m, o, s, p]) => {
  const given = { id: m, type: "fake", externalId: m, metadata: {}, owner: o, ...s, ports: p }
  return step(`put ${JSON.stringify(given)}`, (r) => r.putMachine(given as never))
})
const attach = fc.tuple(name, machine).map(([n, m]) => step(`attach ${n} to ${m}`, (r) => r.attach(n, m)))
const configure = fc
  .tuple(name, config)
  .map(([n, c]) => step(`configure ${n} ${JSON.stringify(c)}`, (r) => r.configure(n, c)))
const steps = fc.oneof(
  { arbitrary: create, weight: 2 },
  { arbitrary: createOn, weight: 2 },
  { arbitrary: put, weight: 3 },
  { arbitrary: attach, weight: 4 },
  { arbitrary: configure, weight: 6 },
  fc.tuple(name, name).map(([n, to]) => step(`rename ${n} to ${to}`, (r) => r.rename(n, to))),
  name.map((n) => step(`remove ${n}`, (r) => r.remove(n))),
  name.map((n) => step(`detach ${n}`, (r) => r.detach(n))),
  name.map((n) => step(`revoke ${n}`, (r) => r.revoke(n))),
  fc.tuple(name, name).map(([n, to]) => step(`redirect ${n}`, (r) => r.redirect(n, { to: { project: to } }))),
  machine.map((m) => step(`forget ${m}`, (r) => r.removeMachine(m))),
  fc.tuple(name, domain).map(([n, d]) => step(`add ${d} to ${n}`, (r) => r.addDomain(n, d))),
  fc.tuple(name, domain).map(([n, d]) => step(`verify ${d} of ${n}`, (r) => r.verifyDomain(n, d))),
  fc.tuple(name, domain).map(([n, d]) => step(`drop ${d} of ${n}`, (r) => r.removeDomain(n, d))),
)

/** Each operation once, so that it succeeds. */
const everyOperation = [
  step("create a project", (r) => r.create({ name: "every", owner: "org_1" })),
  step("put a machine", (r) =>
    r.putMachine({ id: "mach_9", type: "fake", externalId: "mach_9", metadata: {}, owner: "org_1" }),
  ),
  step("attach it", (r) => r.attach("every", "mach_9")),
  step("configure it", (r) => r.configure("every", { port: 8080 })),
  step("add a domain", (r) => r.addDomain("every", "every.example.com")),
  step("verify it", (r) => r.verifyDomain("every", "every.example.com")),
  step("rename it", (r) => r.rename("every", "each")),
  step("drop the domain", (r) => r.removeDomain("each", "every.example.com")),
  step("revoke its sessions", (r) => r.revoke("each")),
  step("redirect it", (r) => r.redirect("each", { to: { project: "other" } })),
  step("detach it", (r) => r.detach("each")),
  step("forget the machine", (r) => r.removeMachine("mach_9")),
  step("remove it", (r) => r.remove("each")),
]

const routesOf = async (registry: MemoryRegistry): Promise<ReadonlyMap<RouteKey, RouteRecord>> => {
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
      { numRuns: 150, examples: [[everyOperation]] },
    )
    expect(seen.compared).toBeGreaterThan(5_000)
    expect(seen.expired).toBeGreaterThan(0)
    expect(seen.closed).toBeGreaterThan(0)
    // Every operation was also seen to succeed: the property is about them, not about refusals.
    const succeeded = [...done.keys()].filter((outcome) => outcome.endsWith(" done")).toSorted()
    const verbs = "add attach configure create detach drop forget put redirect remove rename revoke verify".split(" ")
    expect(succeeded).toEqual(verbs.map((verb) => `${verb} done`))
  })
})
