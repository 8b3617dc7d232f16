import fc from "fast-check"
import { expect, it } from "vitest"
import { createIngresses } from "../../src/control/create-ingresses.ts"
import { document, fakeFront, platform } from "./fakes.ts"

type Owner = "org_a" | "org_b" | undefined
interface Entry {
  readonly owner: Owner
  readonly hostname: string
  readonly machine: string
}

const machineOwner: Readonly<Record<string, Owner>> = { mach_a1: "org_a", mach_a2: "org_a", mach_b1: "org_b" }
const host: Readonly<Record<string, string>> = { mach_a1: "10.0.0.1", mach_a2: "10.0.0.2", mach_b1: "10.0.1.1" }

const owner = fc.constantFrom<Owner>("org_a", "org_b", undefined)
const name = fc.constantFrom("n1", "n2", "n3")
const hostname = fc.constantFrom("a.example.com", "b.example.com", "*.example.com", "x.iterate.app")
const machine = fc.constantFrom("mach_a1", "mach_a2", "mach_b1", "mach_gone")
const step = fc.record({
  by: fc.nat(1),
  owner,
  name,
  hostname,
  machine,
  operation: fc.constantFrom("create", "create", "replace", "remove", "grant", "revoke"),
  breaks: fc.constantFrom("" as const, "" as const, "apply" as const, "validate" as const),
})

it("random changes by two controllers come to what a simple model says, at the storage, the front and in errors", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const front = fakeFront("caddy")
      const { ingresses: first, options } = await platform({ fronts: [front] })
      const controllers = [first, createIngresses(options)]
      const entries = new Map<string, Entry>()
      let granted = false

      const isPermitted = ({ owner, machine }: Entry): boolean =>
        owner === undefined ||
        owner === machineOwner[machine] ||
        (granted && machine === "mach_a1" && owner === "org_b")
      /** What the model says to an entry: an error, or nothing. */
      const verdict = (entry: Entry, name: string, before: string | undefined): string | undefined => {
        const others = [...entries].filter(([other]) => other !== before)
        if (others.some(([other]) => other === name)) return "NameTaken"
        if (entry.hostname.endsWith("iterate.app")) return "HostnameReserved"
        if (others.some(([, other]) => other.hostname === entry.hostname)) return "HostnameInUse"
        if (!(entry.machine in host)) return "TargetNotFound"
        return isPermitted(entry) ? undefined : "GrantRequired"
      }

      for (const { by, owner, name, hostname, machine, operation, breaks } of steps) {
        const ingresses = controllers[by]!
        const scope = owner === undefined ? {} : { owner }
        const wanted = document(name, hostname, { machine, port: 80 })
        const before = entries.get(name)
        const isVisible = before !== undefined && (owner === undefined || before.owner === owner)
        let expected: string | undefined
        let apply = (): void => undefined
        let call: Promise<unknown>
        front.failing.clear()
        if (breaks !== "") front.failing.add(breaks)
        if (operation === "create") {
          const entry: Entry = { owner, hostname, machine }
          expected = verdict(entry, name, undefined)
          apply = () => void entries.set(name, entry)
          call = ingresses.create(wanted, scope)
        } else if (operation === "replace") {
          const entry = { owner: before?.owner, hostname, machine }
          expected = isVisible ? verdict(entry, name, name) : "NotFound"
          apply = () => void entries.set(name, entry)
          call = ingresses.replace(name, wanted, scope)
        } else if (operation === "remove") {
          expected = isVisible ? undefined : "NotFound"
          apply = () => void entries.delete(name)
          call = ingresses.remove(name, scope)
        } else if (operation === "grant") {
          apply = () => void (granted = true)
          call = ingresses.grant({ owner: "org_a", to: "org_b", target: { machine: "mach_a1" } })
        } else {
          front.failing.clear()
          apply = () => void (granted = false)
          // A list may be as old as pollMs.
          await ingresses.reconcile()
          call = ingresses.listGrants().then(async (grants) => {
            for (const { id } of grants) await ingresses.revokeGrant(id)
          })
        }
        const running = front.running
        const got = await call.then(
          () => undefined,
          (cause: { _tag: string }) => cause._tag,
        )
        const isBroken = got === "FrontFailed" && breaks !== "" && expected === undefined
        expect(isBroken ? expected : got).toBe(expected)
        expect(isBroken ? front.running : running).toBe(running)
        if (!isBroken && expected === undefined) apply()
      }

      front.failing.clear()
      for (const ingresses of controllers) {
        await ingresses.reconcile()
        const { ingresses: all } = await ingresses.list()
        const listed = all.map(({ name, owner, rules }) => `${name} ${owner} ${rules[0]!.match.hostname!.text}`)
        const modelled = [...entries].map(([name, { owner, hostname }]) => `${name} ${owner} ${hostname}`)
        expect(listed.toSorted()).toEqual(modelled.toSorted())
        const lines = [...entries.values()]
          .filter(isPermitted)
          .map(({ hostname, machine }) => `${hostname}: -> ${host[machine]}:80`)
        expect(front.running).toBe(lines.toSorted().join("\n"))
      }
    }),
    { numRuns: 100 },
  )
})
