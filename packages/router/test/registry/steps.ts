/** Operations of a registry at random, on few names, machines and owners. */
import * as fc from "fast-check"
import type { ProjectChanges } from "../../src/stores/memory.ts"
import type { RouteRegistry } from "../../src/stores/route-registry.ts"

const DAY = 86_400_000
/** When the clock of a sequence begins, in ms since 1970. */
export const START = 2_000_000_000_000

// Small sets, so that the same names, machines and owners meet again and again.
const name = fc.constantFrom("a", "b", "c", "d")
const externalId = fc.constantFrom("x1", "x2")
const machine = fc.constantFrom("mach_1", "mach_2", "mach_3", "mach_4")
const owner = fc.constantFrom("org_1", "org_1", "org_2")
const domain = fc.constantFrom("x.example.com", "*.example.com", "y.example.com")
export const ports = [80, 3000, 4096]
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
        balance: fc.constantFrom("sticky", "least-requests", null),
        port: fc.constantFrom(80, 3000),
        // The clock of a long sequence reaches them.
        externalId: fc.option(externalId),
        expiresAt: fc.constantFrom(null, null, START + 20 * DAY, START + 50 * DAY),
      },
      { requiredKeys: [] },
    ),
  )
  .map(([all, rest]) => ({ ...all, ...rest }) as ProjectChanges)

/** An operation, as it is said when it fails. */
export interface Step {
  readonly title: string
  readonly run: (registry: RouteRegistry) => Promise<unknown>
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
export const steps: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: create, weight: 2 },
  { arbitrary: createOn, weight: 2 },
  { arbitrary: put, weight: 3 },
  { arbitrary: attach, weight: 4 },
  { arbitrary: configure, weight: 6 },
  fc.tuple(name, name).map(([n, to]) => step(`rename ${n} to ${to}`, (r) => r.rename(n, to))),
  name.map((n) => step(`remove ${n}`, (r) => r.remove(n))),
  name.map((n) => step(`detach ${n}`, (r) => r.detach(n))),
  fc.tuple(name, owner).map(([n, o]) => step(`transfer ${n} to ${o}`, (r) => r.transfer(n, o))),
  fc.constant(step("purge", (r) => r.purge())),
  name.map((n) => step(`revoke ${n}`, (r) => r.revoke(n))),
  fc.tuple(name, name).map(([n, to]) => step(`redirect ${n}`, (r) => r.redirect(n, { to: { project: to } }))),
  machine.map((m) => step(`forget ${m}`, (r) => r.removeMachine(m))),
  fc.tuple(name, domain).map(([n, d]) => step(`add ${d} to ${n}`, (r) => r.addDomain(n, d))),
  fc.tuple(name, domain).map(([n, d]) => step(`verify ${d} of ${n}`, (r) => r.verifyDomain(n, d))),
  fc.tuple(name, domain).map(([n, d]) => step(`check ${d} of ${n}`, (r) => r.recheckDomain(n, d))),
  fc.tuple(name, domain).map(([n, d]) => step(`drop ${d} of ${n}`, (r) => r.removeDomain(n, d))),
)

/** Each operation once, so that it succeeds. */
export const everyOperation: readonly Step[] = [
  step("create a project", (r) => r.create({ name: "every", owner: "org_1" })),
  step("put a machine", (r) =>
    r.putMachine({ id: "mach_9", type: "fake", externalId: "mach_9", metadata: {}, owner: "org_1" }),
  ),
  step("attach it", (r) => r.attach("every", "mach_9")),
  step("configure it", (r) => r.configure("every", { port: 8080 })),
  step("add a domain", (r) => r.addDomain("every", "every.example.com")),
  step("verify it", (r) => r.verifyDomain("every", "every.example.com")),
  step("check it", (r) => r.recheckDomain("every", "every.example.com")),
  step("rename it", (r) => r.rename("every", "each")),
  step("drop the domain", (r) => r.removeDomain("each", "every.example.com")),
  step("revoke its sessions", (r) => r.revoke("each")),
  step("transfer it", (r) => r.transfer("each", "org_2")),
  step("purge", (r) => r.purge()),
  step("redirect it", (r) => r.redirect("each", { to: { project: "other" } })),
  step("detach it", (r) => r.detach("each")),
  step("forget the machine", (r) => r.removeMachine("mach_9")),
  step("remove it", (r) => r.remove("each")),
]
