import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import type { Grammar } from "@project-ingress/hostname"
import type { ChangeOptions, Domain, Project, RegisteredMachine, RouteRegistry } from "../route-registry.ts"
import { addDomain, domainOfProject, markVerified, proofOf, removeDomain, requireProof } from "./domains.ts"
import type { ResolveTxt } from "./domains.ts"
import { findProject, readByPrefix, readPage } from "./find.ts"
import { domainName, projectName } from "./input.ts"
import * as operations from "./operations.ts"
import type { Change } from "./operations.ts"
import { randomId } from "./random-id.ts"
import { verifiedDomains } from "./routes.ts"
import type { MachineState, ProjectState, State } from "./state.ts"
import type { RegistryStorage } from "./storage.ts"

/** What every registry is configured with. */
export interface RegistrySettings {
  readonly grammar: Grammar
  readonly resolveTxt: ResolveTxt
}

/** The operations of every registry, over the rows of one. */
export const makeRegistry = (storage: RegistryStorage, { grammar, resolveTxt }: RegistrySettings): RouteRegistry => {
  /** Runs one change of a project, if its version is the one that the caller has seen. */
  const changeProject = <A>(
    reference: string,
    options: ChangeOptions = {},
    run: (change: Change, project: ProjectState) => A,
  ): Promise<A> | A => {
    checkChange(options)
    return storage.change((change) => {
      const project = findProject(change.state, reference)
      operations.requireVersion(project, options.ifVersion)
      return run(change, project)
    })
  }
  /** The same, and returns the project as it is then. */
  const changed = async (
    reference: string,
    options: ChangeOptions | undefined,
    run: (change: Change, project: ProjectState) => ProjectState,
  ): Promise<Project> =>
    changeProject(reference, options, (change, project) => present(change.state, run(change, project)))

  /** A project as it is before a change that has to ask the DNS first. */
  const readBefore = <A>(
    reference: string,
    options: ChangeOptions = {},
    read: (state: State, project: ProjectState) => A,
  ): Promise<A> | A => {
    checkChange(options)
    return storage.read((state) => {
      const project = findProject(state, reference)
      operations.requireVersion(project, options.ifVersion)
      return read(state, project)
    })
  }

  return {
    create: async (project) => {
      const id = `prj_${randomId(20)}`
      return storage.change((change) => present(change.state, operations.createProject(change, id, project)))
    },
    rename: async (reference, name, options) => {
      const before = await readBefore(reference, options, (state, project) => ({
        project: present(state, project),
        // Refused at once where no proof would help.
        wanted: projectName(grammar, name),
        proofs: verifiedDomains(project).map((hostname) => domainOf(state, project, hostname)),
      }))
      const { project, wanted, proofs } = before
      if (wanted === project.name) return project
      await Promise.all(proofs.map(({ hostname, proof }) => requireProof(resolveTxt, hostname, proof)))
      // Only if nothing changed meanwhile: a domain that was added would not have been asked for.
      return changed(project.id, { ifVersion: project.version }, (change, row) =>
        operations.renameProject(change, row, wanted),
      )
    },
    remove: async (reference, options) => changeProject(reference, options, operations.removeProject),
    configure: (reference, changes, options) =>
      changed(reference, options, (change, project) => operations.configureProject(change, project, changes)),
    attach: (reference, machine, options) =>
      changed(reference, options, (change, project) => operations.attachMachine(change, project, machine)),
    detach: (reference, options) => changed(reference, options, operations.detachMachine),
    redirect: (reference, redirect, options) =>
      changed(reference, options, (change, project) => operations.redirectProject(change, project, redirect)),
    revoke: (reference, options) => changed(reference, options, operations.revokeProject),

    putMachine: async (machine, options = {}) => {
      checkChange(options)
      return storage.change((change) => presentMachine(operations.putMachine(change, machine, options.ifVersion)))
    },
    removeMachine: async (id, options = {}) => {
      checkChange(options)
      return storage.change((change) => {
        const row = operations.findMachine(change.state, id)
        operations.requireVersion(row, options.ifVersion)
        operations.removeMachine(change, row)
      })
    },
    readMachine: async (id) => storage.read((state) => presentMachine(operations.findMachine(state, id))),

    addDomain: async (reference, hostname, options) =>
      changeProject(reference, options, (change, before) => {
        const project = addDomain(change, before, hostname)
        return domainOf(change.state, project, domainName(grammar, hostname))
      }),
    verifyDomain: async (reference, given, options) => {
      const { id, hostname, proof } = await readBefore(reference, options, (state, project) => {
        const { hostname, proof } = domainOf(state, project, domainOfProject(project, domainName(grammar, given)))
        return { id: project.id, hostname, proof }
      })
      await requireProof(resolveTxt, hostname, proof)
      return changeProject(id, options, (change, before) =>
        domainOf(change.state, markVerified(change, before, hostname), hostname),
      )
    },
    removeDomain: async (reference, hostname, options) =>
      changeProject(reference, options, (change, project) => void removeDomain(change, project, hostname)),

    read: async (reference, options = {}) => {
      checkOwner(options, {})
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

const present = (state: State, project: ProjectState): Project => {
  const { formerNames: _, domains, ...rest } = project
  return { ...rest, domains: Object.keys(domains).map((hostname) => domainOf(state, project, hostname)) }
}

const domainOf = (state: State, { owner, domains }: ProjectState, hostname: string): Domain => ({
  hostname,
  verified: domains[hostname] === true,
  proof: proofOf(state, owner, hostname),
})

const presentMachine = ({ machine, owner, settings, version, project }: MachineState): RegisteredMachine => ({
  ...machine,
  ...settings,
  version,
  ...(owner === undefined ? {} : { owner }),
  ...(project === undefined ? {} : { project }),
})

/** A misspelt `ifVersion` would overwrite what it should protect. */
const checkChange = (options: ChangeOptions): void =>
  checkOptions("registry", options, { ifVersion: accept.integer(0) })

/** An owner that got lost on its way, or a misspelt one, must not open the projects of every tenant. */
const checkOwner = (options: { readonly owner?: string }, others: Readonly<Record<string, OptionCheck>>): void =>
  checkOptions("registry", options, { owner: accept.string, ...others }, { required: Object.keys(options ?? {}) })
