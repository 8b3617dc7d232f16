import { memoryStore } from "@project-ingress/router/stores/memory"
import type { ChangeOptions, Ingresses } from "../../src/control/ingresses.ts"
import type { Front, FrontPlan } from "../../src/fronts/front.ts"
import {
  AmbiguousReference,
  decodeIngress,
  FrontFailed,
  FrontRefused,
  GrantRequired,
  HostnameInUse,
  HostnameReserved,
  matchPort,
  NameTaken,
  NotFound,
  PortInUse,
  TargetNotFound,
  VersionConflict,
} from "../../src/ingress.ts"
import type { DeclaredIngress, Grant } from "../../src/ingress.ts"

/** What the tests need of a platform, whichever implementation of `Ingresses` is on it. */
export interface TestPlatform {
  readonly machines: readonly { readonly id: string; readonly owner?: string }[]
  readonly reservedHostnames?: readonly string[]
  readonly fronts?: readonly Front[]
}

export type IngressesFactory = (platform: TestPlatform) => Ingresses | Promise<Ingresses>

/** Ingresses in memory, with the checks that the API's own tests can see. */
export const fakeIngresses: IngressesFactory = ({ machines, reservedHostnames = [], fronts = [] }): Ingresses => {
  const stored = new Map<string, DeclaredIngress>()
  const grants = new Map<string, Grant>()
  let last = 0

  const seen = (owner: string | undefined) =>
    [...stored.values()].filter((ingress) => owner === undefined || ingress.owner === owner)

  const without = (id: string) => [...stored.values()].filter((ingress) => ingress.id !== id)

  const find = (reference: string, owner: string | undefined): DeclaredIngress => {
    const all = seen(owner)
    const exact = all.find(({ id }) => id === reference) ?? all.find(({ name }) => name === reference)
    const matches = exact === undefined ? all.filter(({ id }) => id.startsWith(reference)) : [exact]
    if (matches.length > 1) {
      throw new AmbiguousReference({ reference, matches: matches.slice(0, 10).map(({ id }) => id) })
    }
    if (matches[0] === undefined) throw new NotFound({ kind: "ingress", reference })
    return matches[0]
  }

  const check = (ingress: DeclaredIngress): void => {
    const others = without(ingress.id)
    const { name, rules, owner } = ingress
    if (others.some((other) => other.name === name)) throw new NameTaken({ ingress: name })
    const taken = new Set(others.flatMap((other) => other.rules.map(keyOf)))
    for (const [at, rule] of rules.entries()) {
      const field = `rules.${at}.match.hostname`
      const hostname = rule.match.hostname?.text ?? ""
      if (reservedHostnames.includes(hostname)) throw new HostnameReserved({ field, hostname })
      for (const target of rule.targets) {
        if (target.kind !== "machine") continue
        const machine = machines.find(({ id }) => id === target.machine)
        const at = `${field.replace(/match.*/, "")}target`
        if (machine === undefined) {
          throw new TargetNotFound({ field: at, kind: "machine", reference: target.machine })
        }
        const isGranted = [...grants.values()].some((grant) => grant.to === owner && "machine" in grant.target)
        if (owner !== undefined && machine.owner !== owner && !isGranted) throw new GrantRequired({ field: at })
      }
      if (taken.has(keyOf(rule))) throw new HostnameInUse({ field, hostname, port: matchPort(rule) })
      taken.add(keyOf(rule))
    }
  }

  /** Plans, and unless it is a dry run, validates and applies. */
  const drive = async (next: readonly DeclaredIngress[], dryRun: boolean) => {
    const { signal } = new AbortController()
    const diffs: { front: string; diff: string }[] = []
    for (const front of fronts) {
      const plan = await front.plan({ ingresses: next, address: () => "10.0.0.5" }, { signal })
      for (const { field, reason } of plan.problems) throw new FrontRefused({ front: front.name, field, reason })
      diffs.push({ front: front.name, diff: plan.diff })
      if (!dryRun) await applied(front.name, plan, signal)
    }
    return diffs
  }

  const change = async (ingress: DeclaredIngress, { dryRun = false }: ChangeOptions) => {
    check(ingress)
    const diffs = await drive([...without(ingress.id), ingress], dryRun)
    if (!dryRun) stored.set(ingress.id, ingress)
    return { ingress, diffs }
  }

  const current = (reference: string, { owner, ifVersion }: ChangeOptions): DeclaredIngress => {
    const found = find(reference, owner)
    if (ifVersion !== undefined && ifVersion !== found.version) {
      throw new VersionConflict({ expected: ifVersion, actual: found.version })
    }
    return found
  }

  return {
    async create(document, options = {}) {
      const declared = await decodeIngress(document)
      const now = Date.now()
      const owner = options.owner === undefined ? {} : { owner: options.owner }
      return change(
        {
          id: `fake${(++last).toString().padStart(4, "0")}`,
          version: 1,
          createdAt: now,
          updatedAt: now,
          ...owner,
          ...declared,
        },
        options,
      )
    },
    async replace(reference, document, options = {}) {
      const before = current(reference, options)
      const declared = await decodeIngress(document)
      return change({ ...before, ...declared, version: before.version + 1, updatedAt: Date.now() }, options)
    },
    async remove(reference, options = {}) {
      const { id } = current(reference, options)
      await drive(without(id), options.dryRun ?? false)
      if (!options.dryRun) stored.delete(id)
    },
    read: async (reference, { owner } = {}) => find(reference, owner),
    async list({ owner, cursor = "", limit = 100 } = {}) {
      const rest = seen(owner)
        .filter(({ id }) => id > cursor)
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
      const ingresses = rest.slice(0, limit)
      return rest.length > limit ? { ingresses, next: ingresses.at(-1)!.id } : { ingresses }
    },
    async status(reference, { owner } = {}) {
      const { id, name, version } = find(reference, owner)
      const condition = {
        type: "Accepted",
        status: "True",
        reason: "Accepted",
        message: "",
        observedGeneration: version,
      }
      return { id, name, parents: [{ parent: "router", conditions: [{ ...condition } as never] }] }
    },
    async grant(grant) {
      const id = `grant${grants.size + 1}`
      const made = { ...grant, id, createdAt: Date.now() }
      grants.set(id, made)
      return made
    },
    async revokeGrant(id, { owner } = {}) {
      const grant = grants.get(id)
      if (grant === undefined || (owner !== undefined && grant.owner !== owner)) {
        throw new NotFound({ kind: "grant", reference: id })
      }
      grants.delete(id)
    },
    listGrants: async ({ owner } = {}) =>
      [...grants.values()].filter((grant) => owner === undefined || grant.owner === owner),
    reconcile: async () => [],
    start: async () => ({ unreadable: [] }),
    store: memoryStore(),
    dispose: async () => {},
  }
}

const keyOf = (rule: DeclaredIngress["rules"][number]): string =>
  [matchPort(rule), rule.match.hostname?.wildcard, JSON.stringify(rule.match.path)].join(" ")

const applied = async (front: string, plan: FrontPlan, signal: AbortSignal): Promise<void> => {
  for (const step of ["validate", "apply", "readBack"] as const) {
    try {
      await plan[step](signal)
    } catch (cause) {
      await plan.rollBack(signal)
      if (cause instanceof FrontRefused || cause instanceof PortInUse) throw cause
      throw new FrontFailed({ front, step: step === "readBack" ? "read back" : step, cause })
    }
  }
}
