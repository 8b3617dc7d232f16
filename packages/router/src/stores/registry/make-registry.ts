import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import type { Grammar } from "@project-ingress/hostname"
import type { ChangeOptions, Domain, Project, RegisteredMachine, RouteRegistry } from "../route-registry.ts"
import {
  addDomain,
  domainOfProject,
  markVerified,
  prepareProof,
  proofChecked,
  proofOf,
  removeDomain,
  requireProof,
} from "./domains.ts"
import type { ResolveTxt } from "./domains.ts"
import { findProject, readByPrefix, readPage } from "./find.ts"
import { domainName, newOwner, projectName } from "./input.ts"
import * as operations from "./operations.ts"
import type { Change } from "./operations.ts"
import { purgeRows } from "./purge.ts"
import { randomId } from "./random-id.ts"
import { keyedRequest, pastRequest, rememberRequest } from "./requests.ts"
import type { KeyedRequest } from "./requests.ts"
import { verifiedDomains } from "./routes.ts"
import type { ProjectState, State } from "./state.ts"
import type { RegistryStorage } from "./storage.ts"

/** What every registry is configured with. */
export interface RegistrySettings {
  readonly grammar: Grammar
  readonly resolveTxt: ResolveTxt
  readonly domainGraceMs: number
}

/** The operations of every registry, over the rows of one. */
export const makeRegistry = (
  storage: RegistryStorage,
  { grammar, resolveTxt, domainGraceMs }: RegistrySettings,
): RouteRegistry => {
  /** Runs a change, but not again for a request that has been made. `run` returns the id of what it changed. */
  const once = <A>(
    request: KeyedRequest | undefined,
    run: (change: Change) => string,
    presented: (state: State, id: string) => A,
  ): Promise<A> | A =>
    storage.change((change) => {
      const past = request && pastRequest(change.state, request)
      const subject = past?.subject ?? run(change)
      if (request !== undefined && past === undefined) rememberRequest(change, request, subject)
      return presented(change.state, subject)
    })

  /** Runs one change of a project, if its version is the one that the caller has seen. */
  const changeProject = async <A>(
    call: Call,
    run: (change: Change, project: ProjectState) => unknown,
    presented: (state: State, id: string) => A,
  ): Promise<A> => {
    const { reference, options } = call
    const request = await requestOf(call)
    return once(
      request,
      (change) => {
        const project = findProject(change.state, reference)
        operations.requireVersion(project, options?.ifVersion)
        run(change, project)
        return project.id
      },
      presented,
    )
  }
  /** The same, and returns the project as it is then. */
  const changed = (call: Call, run: (change: Change, project: ProjectState) => unknown): Promise<Project> =>
    changeProject(call, run, presentById)

  /** A project as it is before a change that has to ask the DNS first; `undefined` if the request has been made. */
  const readBefore = <A>(
    { reference, options }: Call,
    request: KeyedRequest | undefined,
    read: (state: State, project: ProjectState) => A,
  ): Promise<A | undefined> | A | undefined =>
    storage.read((state) => {
      if (request !== undefined && pastRequest(state, request) !== undefined) return undefined
      const project = findProject(state, reference)
      operations.requireVersion(project, options?.ifVersion)
      return read(state, project)
    })

  const requireProofs = (domains: readonly Domain[]): Promise<unknown> =>
    Promise.all(domains.map(({ hostname, proof }) => requireProof(resolveTxt, hostname, proof)))

  return {
    create: async (project, options = {}) => {
      checkOptions("registry", options, { requestKey })
      const request = await requestOf({ name: "create", reference: "", input: project, options })
      const id = `prj_${randomId(20)}`
      return once(request, (change) => operations.createProject(change, id, project).id, presentById)
    },
    rename: async (reference, name, options) => {
      const call = { name: "rename", reference, input: name, options }
      const request = await requestOf(call)
      const before = await readBefore(call, request, (state, { id, version, ...project }) => ({
        id,
        version,
        project: present(state, { id, version, ...project }),
        // Refused at once where no proof would help.
        wanted: projectName(grammar, name),
      }))
      const isSame = before !== undefined && before.wanted === before.project.name
      if (isSame) return before.project
      await requireProofs(before?.project.domains.filter(({ verified }) => verified) ?? [])
      return once(
        request,
        (change) => {
          const project = findProject(change.state, before?.id)
          // Only if nothing changed meanwhile: a domain that was added would not have been asked for.
          operations.requireVersion(project, before?.version)
          return operations.renameProject(change, project, name).id
        },
        presentById,
      )
    },
    remove: (reference, options) =>
      changeProject({ name: "remove", reference, options }, operations.removeProject, nothing),
    configure: (reference, input, options) =>
      changed({ name: "configure", reference, input, options }, (change, project) =>
        operations.configureProject(change, project, input),
      ),
    attach: (reference, input, options) =>
      changed({ name: "attach", reference, input, options }, (change, project) =>
        operations.attachMachine(change, project, input),
      ),
    detach: (reference, options) => changed({ name: "detach", reference, options }, operations.detachMachine),
    redirect: (reference, input, options) =>
      changed({ name: "redirect", reference, input, options }, (change, project) =>
        operations.redirectProject(change, project, input),
      ),
    revoke: (reference, options) => changed({ name: "revoke", reference, options }, operations.revokeProject),
    transfer: async (reference, given, options) => {
      const call = { name: "transfer", reference, input: given ?? null, options }
      const request = await requestOf(call)
      const owner = newOwner(given)
      const before = await readBefore(call, request, (_, project) => project)
      const hostnames = Object.keys(before?.domains ?? {})
      // What the new owner has to publish stays the same from one attempt to the next.
      const domains = await storage.change((change) => {
        for (const hostname of hostnames) prepareProof(change, owner, hostname)
        return verifiedDomains(before).map((hostname) => ({
          hostname,
          verified: true,
          proof: proofOf(change.state, owner, hostname),
        }))
      })
      if (before?.owner !== owner) await requireProofs(domains)
      return once(
        request,
        (change) => {
          const project = findProject(change.state, before?.id)
          operations.requireVersion(project, before?.version)
          return project.owner === owner ? project.id : operations.transferProject(change, project, owner).id
        },
        presentById,
      )
    },

    putMachine: async (machine, options = {}) => {
      const request = await requestOf({ name: "putMachine", reference: "", input: machine, options })
      const put = (change: Change) => operations.putMachine(change, machine, options.ifVersion).machine.id
      return once(request, put, presentMachine)
    },
    removeMachine: async (id, options = {}) => {
      const request = await requestOf({ name: "removeMachine", reference: id, options })
      const remove = (change: Change) => {
        const row = operations.findMachine(change.state, id)
        operations.requireVersion(row, options.ifVersion)
        operations.removeMachine(change, row)
        return row.machine.id
      }
      return once(request, remove, nothing)
    },
    readMachine: async (id) => storage.read((state) => presentMachine(state, id)),

    addDomain: async (reference, input, options) =>
      changeProject(
        { name: "addDomain", reference, input, options },
        (change, project) => addDomain(change, project, input),
        (state, id) => domainById(state, id, domainName(grammar, input)),
      ),
    verifyDomain: async (reference, input, options) => {
      const call = { name: "verifyDomain", reference, input, options }
      const request = await requestOf(call)
      const before = await readBefore(call, request, (state, project) => ({
        id: project.id,
        domain: domainById(state, project.id, domainName(grammar, input)),
      }))
      const { hostname } = before?.domain ?? { hostname: domainName(grammar, input) }
      if (before !== undefined) await requireProofs([before.domain])
      return once(
        request,
        (change) => {
          const project = findProject(change.state, before?.id)
          operations.requireVersion(project, options?.ifVersion)
          return markVerified(change, project, hostname).id
        },
        (state, id) => domainById(state, id, hostname),
      )
    },
    recheckDomain: async (reference, input) => {
      const { id, domain } = await storage.read((state) => {
        const { id } = findProject(state, reference)
        return { id, domain: domainById(state, id, domainName(grammar, input)) }
      })
      if (!domain.verified) return domain
      const { hostname } = domain
      const isFound = await requireProofs([domain]).then(
        () => true,
        () => false,
      )
      return storage.change((change) => {
        const project = findProject(change.state, id)
        domainOfProject(project, hostname)
        return domainOf(change.state, proofChecked(change, project, hostname, isFound, domainGraceMs), hostname)
      })
    },
    removeDomain: (reference, input, options) =>
      changeProject(
        { name: "removeDomain", reference, input, options },
        (change, project) => removeDomain(change, project, input),
        nothing,
      ),

    purge: async () => {
      for (let purged = 0; ;) {
        const rows = await storage.purgeable()
        if (rows.length === 0) return purged
        await storage.change((change) => purgeRows(change, rows))
        purged += rows.length
      }
    },

    read: async (reference, options = {}) => {
      checkOwner(options, {})
      if (typeof reference === "object")
        checkOptions("registry", reference, { externalId: accept.string }, { required: ["externalId"] })
      return readByPrefix(storage, reference, options.owner, present)
    },
    list: async (options = {}) => {
      // Their values are checked by `readPage`, with an error of the registry.
      checkOwner(options, { cursor: () => undefined, limit: () => undefined })
      const { found, next } = await readPage(storage, options, present)
      return { projects: found, ...(next === undefined ? {} : { next }) }
    },
  }
}

/** A call of an operation: what tells it from every other call with the same key. */
interface Call {
  readonly name: string
  readonly reference: unknown
  readonly input?: unknown
  readonly options: ChangeOptions | undefined
}

/** The request that a call is, if its caller gave it a key. Checks the options. */
const requestOf = ({ name, reference, input = null, options = {} }: Call): Promise<KeyedRequest> | undefined => {
  // A misspelt `ifVersion` would overwrite what it should protect.
  checkOptions("registry", options, { ifVersion: accept.integer(0), requestKey })
  return options.requestKey === undefined ? undefined : keyedRequest(options.requestKey, [name, reference, input])
}

const requestKey: OptionCheck = (value) =>
  typeof value === "string" && /^[^\p{Cc}\p{Cs}]{1,256}$/u.test(value) ? undefined : "1 to 256 characters"

const nothing = (): void => undefined

const presentById = (state: State, id: string): Project => present(state, findProject(state, id))

const present = (state: State, project: ProjectState): Project => {
  const { formerNames: _, failing: __, domains, ...rest } = project
  return { ...rest, domains: Object.keys(domains).map((hostname) => domainOf(state, project, hostname)) }
}

/** @throws {NotFound} if the project has not asked for the domain */
const domainById = (state: State, id: string, hostname: string): Domain => {
  const project = findProject(state, id)
  return domainOf(state, project, domainOfProject(project, hostname))
}

const domainOf = (state: State, { owner, domains, failing = {} }: ProjectState, hostname: string): Domain => {
  const domain = { hostname, verified: domains[hostname] === true, proof: proofOf(state, owner, hostname) }
  return failing[hostname] === undefined ? domain : { ...domain, failingSince: failing[hostname] }
}

const presentMachine = (state: State, id: string): RegisteredMachine => {
  const { machine, owner, region, settings, version, project } = operations.findMachine(state, id)
  return {
    ...machine,
    ...settings,
    version,
    ...(owner === undefined ? {} : { owner }),
    ...(region === undefined ? {} : { region }),
    ...(project === undefined ? {} : { project }),
  }
}

/** An owner that got lost on its way, or a misspelt one, must not open the projects of every tenant. */
const checkOwner = (options: { readonly owner?: string }, others: Readonly<Record<string, OptionCheck>>): void =>
  checkOptions("registry", options, { owner: accept.string, ...others }, { required: Object.keys(options ?? {}) })
