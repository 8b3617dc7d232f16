import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import type { Grammar } from "@project-ingress/hostname"
import { isGrammar } from "./is-grammar.ts"
import { changeLog } from "./registry/change-log.ts"
import { findByPrefix, findProject, listProjects } from "./registry/find.ts"
import { memoryTables } from "./registry/memory-tables.ts"
import type { RouteKey } from "./record.ts"
import { addDomain, domainOfProject, markVerified, proofOf, removeDomain, requireProof } from "./registry/domains.ts"
import type { ResolveTxt } from "./registry/domains.ts"
import { NotFound, VersionConflict } from "./registry/errors.ts"
import type { DomainProof } from "./registry/errors.ts"
import { baseDomain, domainName, projectName } from "./registry/input.ts"
import * as operations from "./registry/operations.ts"
import type { Change } from "./registry/operations.ts"
import { verifiedDomains } from "./registry/routes.ts"
import type { MachineState, ProjectState } from "./registry/state.ts"
import type { RouteFeed } from "./route-feed.ts"
import type { ChangeOptions, Domain, Project, RegisteredMachine, RouteRegistry } from "./route-registry.ts"
import type { Lookup, RouteStore, StoreStats } from "./route-store.ts"

/** What {@link memoryRegistry} accepts. */
export interface MemoryRegistryOptions {
  /** Says which names, machine ids and domains are valid, and which belong to the platform. */
  readonly grammar: Grammar
  /** Looks for the proofs of custom domains. Default: finds none, so that no domain is ever verified. */
  readonly resolveTxt?: ResolveTxt
  /** How long a name is kept from others after a rename or a removal, in ms. Default 30 days. */
  readonly quarantineMs?: number
  /** How many changes the feed remembers at least, from 1 up. Default 10 000. */
  readonly keptChanges?: number
  /** The time in ms since 1970. Default `Date.now`. */
  readonly now?: () => number
}

/** A registry, its feed and the store to hand to `createRouter`, in one. */
export interface MemoryRegistry extends RouteRegistry, RouteFeed, RouteStore {
  get(key: RouteKey): Lookup
  stats(): StoreStats
}

/**
 * A registry in this process, for tests, examples and platforms with one process. Nothing is kept when the process ends.
 *
 * ```ts
 * const registry = memoryRegistry({ grammar, resolveTxt })
 * await registry.putMachine({ id: "mach_1", type: "docker", externalId: "4f1c", metadata: {} })
 * await registry.create({ name: "misha", machine: "mach_1", ports: { 4096: { visibility: "public" } } })
 * const router = createRouter({ grammar, store: registry, providers, signingKey })
 * ```
 *
 * @throws {TypeError} if an option is unknown, missing or of the wrong type
 */
export const memoryRegistry = (options: MemoryRegistryOptions): MemoryRegistry => {
  checkOptions(
    "memoryRegistry",
    options,
    {
      grammar: (value) => (isGrammar(value) ? undefined : "a grammar made by defineGrammar"),
      resolveTxt: accept.function,
      quarantineMs: accept.number(0),
      keptChanges: accept.integer(1),
      now: accept.function,
    },
    { required: ["grammar"] },
  )
  const { grammar, quarantineMs = 30 * 86_400_000, keptChanges = 10_000 } = options
  const { resolveTxt = async () => [], now = () => Date.now() } = options
  const tables = memoryTables(changeLog(randomId(16), keptChanges), now)
  const { log, projects, machines } = tables
  // One proof for each owner and domain: it stays when a project is renamed, and is of no use to another owner.
  const tokens = new Map<string, string>()
  const tokenFor = (owner: string | undefined, hostname: string): string => {
    const id = JSON.stringify([owner ?? null, baseDomain(hostname)])
    const token = tokens.get(id) ?? randomId(32)
    tokens.set(id, token)
    return token
  }
  const proofFor = ({ owner }: ProjectState, hostname: string): DomainProof =>
    proofOf(hostname, tokenFor(owner, hostname))

  const change = <A>(run: (change: Change) => A): A =>
    tables.transact((state, at) => run({ state, grammar, now: at, quarantineMs, nextVersion: tables.nextVersion }))

  /** Runs one change of a project, if its version is the one that the caller has seen. */
  const changeProject = <A>(
    reference: string,
    options: ChangeOptions | undefined,
    run: (change: Change, project: ProjectState) => A,
  ): A => {
    const project = findProject(tables, reference)
    requireVersion(project, options)
    return change((inside) => run(inside, project))
  }

  const present = (project: ProjectState): Project => {
    const { formerNames: _, domains, ...rest } = project
    return { ...rest, domains: Object.keys(domains).map((hostname) => domainOf(project, hostname)) }
  }
  const domainOf = (project: ProjectState, hostname: string): Domain => ({
    hostname,
    verified: project.domains[hostname] === true,
    proof: proofFor(project, hostname),
  })
  const findMachine = (given: unknown): MachineState => {
    const id = String(given).toLowerCase()
    const row = machines.get(id)
    if (row === undefined) throw new NotFound({ kind: "machine", reference: id })
    return row
  }

  return {
    create: async (project) =>
      present(change((inside) => operations.createProject(inside, `prj_${randomId(20)}`, project))),
    rename: async (reference, name, options) => {
      const before = findProject(tables, reference)
      requireVersion(before, options)
      // Refused at once where no proof would help.
      const wanted = projectName(grammar, name)
      if (wanted === before.name) return present(before)
      const proofs = verifiedDomains(before)
      await Promise.all(proofs.map((hostname) => requireProof(resolveTxt, hostname, proofFor(before, hostname))))
      // Only if nothing changed meanwhile: a domain that was added would not have been asked for.
      const guarded = { ifVersion: before.version }
      return present(
        changeProject(before.id, guarded, (inside, project) => operations.renameProject(inside, project, wanted)),
      )
    },
    remove: async (reference, options) => changeProject(reference, options, operations.removeProject),
    configure: async (reference, changes, options) =>
      present(
        changeProject(reference, options, (inside, project) => operations.configureProject(inside, project, changes)),
      ),
    attach: async (reference, machine, options) =>
      present(
        changeProject(reference, options, (inside, project) => operations.attachMachine(inside, project, machine)),
      ),
    detach: async (reference, options) => present(changeProject(reference, options, operations.detachMachine)),
    redirect: async (reference, redirect, options) =>
      present(
        changeProject(reference, options, (inside, project) => operations.redirectProject(inside, project, redirect)),
      ),
    revoke: async (reference, options) => present(changeProject(reference, options, operations.revokeProject)),

    putMachine: async (machine, options) => {
      checkChange(options)
      if (options?.ifVersion !== undefined) requireVersion(findMachine(machine.id), options)
      return presentMachine(change((inside) => operations.putMachine(inside, machine)))
    },
    removeMachine: async (id, options) => {
      const row = findMachine(id)
      requireVersion(row, options)
      change((inside) => operations.removeMachine(inside, row))
    },
    readMachine: async (id) => presentMachine(findMachine(id)),

    addDomain: async (reference, hostname, options) => {
      const project = changeProject(reference, options, (inside, before) => addDomain(inside, before, hostname))
      return domainOf(project, domainName(grammar, hostname))
    },
    verifyDomain: async (reference, given, options) => {
      const before = findProject(tables, reference)
      requireVersion(before, options)
      const hostname = domainOfProject(before, domainName(grammar, given))
      await requireProof(resolveTxt, hostname, proofFor(before, hostname))
      return domainOf(
        changeProject(before.id, options, (inside, project) => markVerified(inside, project, hostname)),
        hostname,
      )
    },
    removeDomain: async (reference, hostname, options) => {
      changeProject(reference, options, (inside, project) => removeDomain(inside, project, hostname))
    },

    read: async (reference, options = {}) => {
      checkOwner(options, {})
      return present(findByPrefix(tables, reference, options.owner))
    },
    list: async (options = {}) => {
      // Their values are checked by `listProjects`, with an error of the registry.
      checkOwner(options, { cursor: () => undefined, limit: () => undefined })
      const { found, next } = listProjects(projects, options)
      return { projects: found.map(present), ...(next === undefined ? {} : { next }) }
    },

    snapshot: async (options) => {
      tables.expire()
      return log.snapshot(options)
    },
    changes: async (since, options) => {
      tables.expire()
      return log.changes(since, options)
    },
    get: (key) => {
      tables.expire()
      const record = log.get(key)
      return record === undefined ? { status: "miss" } : { status: "hit", record, layer: "memory" }
    },
    stats: () => ({ layers: [{ layer: "memory", routes: log.size(), ageMs: 0 }] }),
  }
}

const presentMachine = ({ machine, owner, settings, version, project }: MachineState): RegisteredMachine => ({
  ...machine,
  ...settings,
  version,
  ...(owner === undefined ? {} : { owner }),
  ...(project === undefined ? {} : { project }),
})

/** A misspelt `ifVersion` would overwrite what it should protect. */
const checkChange = (options: ChangeOptions = {}): void =>
  checkOptions("registry", options, { ifVersion: accept.integer(0) })

const requireVersion = ({ version }: { readonly version: number }, options: ChangeOptions = {}): void => {
  checkChange(options)
  const { ifVersion } = options
  if (ifVersion !== undefined && ifVersion !== version)
    throw new VersionConflict({ expected: ifVersion, actual: version })
}

/** An owner that got lost on its way, or a misspelt one, must not open the projects of every tenant. */
const checkOwner = (options: { readonly owner?: string }, others: Readonly<Record<string, OptionCheck>>): void =>
  checkOptions("registry", options, { owner: accept.string, ...others }, { required: Object.keys(options ?? {}) })

/** Lower-case letters and digits, 5 random bits each. */
const randomId = (length: number): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(length))
  return Array.from(bytes, (byte) => "0123456789abcdefghjkmnpqrstvwxyz"[byte % 32]).join("")
}
