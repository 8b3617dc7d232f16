import type { Grammar } from "@project-ingress/hostname"
import {
  ExternalIdTaken,
  InvalidInput,
  MachineTaken,
  NameTaken,
  NotFound,
  OwnerMismatch,
  VersionConflict,
} from "./errors.ts"
import { machineId, mergeConfig, newMachine, newProject, projectChanges, projectName, redirectInput } from "./input.ts"
import { validConfig } from "./input.ts"
import { projectRules, verifiedDomains } from "./routes.ts"
import type { MachineState, ProjectState, State } from "./state.ts"
import type { NewMachine, NewProject, ProjectChanges, Redirect } from "../route-registry.ts"
import { strictestVisibility } from "../settings.ts"

/** What one change works with. It writes to `state` alone, so that it can be dropped whole. */
export interface Change {
  readonly state: State
  readonly grammar: Grammar
  /** In ms since 1970. */
  readonly now: number
  readonly quarantineMs: number
  /** A number above all before it. */
  readonly nextVersion: () => number
  /** What nobody can guess, in lower-case letters and digits. */
  readonly newToken: () => string
}

export const createProject = (change: Change, id: string, input: NewProject): ProjectState => {
  const { name: given, machine: machineGiven, ...rest } = newProject(input)
  const name = projectName(change.grammar, given)
  claimName(change, name, id)
  const machine = machineGiven?.toLowerCase()
  const epoch = machine === undefined ? 0 : 1
  const fresh = { ...rest, id, name, version: 0, epoch, generation: 0, formerNames: {}, domains: {} }
  return saveProject(change, undefined, machine === undefined ? fresh : { ...fresh, machine })
}

export const renameProject = (change: Change, project: ProjectState, to: string): ProjectState => {
  const name = projectName(change.grammar, to)
  if (name === project.name) return project
  claimName(change, name, project.id)
  const { [name]: _, ...formerNames } = project.formerNames
  const until = change.now + change.quarantineMs
  return saveProject(change, project, { ...project, name, formerNames: { ...formerNames, [project.name]: until } })
}

export const removeProject = (change: Change, project: ProjectState): void => {
  const { state, now, quarantineMs } = change
  const { owner, epoch } = project
  const visibility = strictestVisibility(project)
  const bury = (key: `p:${string}` | `d:${string}`, until: number): void => {
    const kept = { key, until, epoch: epoch + 1 }
    const mine = owner === undefined ? kept : { ...kept, owner }
    state.tombstones.set(key, visibility === undefined ? mine : { ...mine, visibility })
  }
  bury(`p:${project.name}`, now + quarantineMs)
  for (const [former, until] of Object.entries(project.formerNames)) if (until > now) bury(`p:${former}`, until)
  for (const hostname of verifiedDomains(project)) bury(`d:${hostname}`, now + quarantineMs)
  index(change, project, undefined)
  state.projects.set(project.id, undefined)
}

export const configureProject = (change: Change, project: ProjectState, input: ProjectChanges): ProjectState => {
  const changes = projectChanges(input)
  const merged = mergeConfig(project, changes) as ProjectState
  return saveProject(change, project, merged)
}

export const attachMachine = (change: Change, project: ProjectState, given: string): ProjectState => {
  const machine = machineId(change.grammar, given)
  const { redirect: _, replicas = [], ...rest } = project
  const others = replicas.filter((id) => id !== machine)
  const next = { ...rest, machine, epoch: project.epoch + 1 }
  return saveProject(change, project, others.length === 0 ? next : { ...next, replicas: others })
}

export const detachMachine = (change: Change, project: ProjectState): ProjectState => {
  const { redirect: _, replicas: __, machine: ___, ...rest } = project
  return saveProject(change, project, { ...rest, epoch: project.epoch + 1 })
}

export const redirectProject = (change: Change, project: ProjectState, input: Redirect): ProjectState => {
  const redirect = redirectInput(input)
  if (typeof redirect.to === "object" && redirect.to.project === project.name) {
    throw new InvalidInput({ field: "to.project", accepted: "another project" })
  }
  const { replicas: _, machine: __, ...rest } = project
  return saveProject(change, project, { ...rest, redirect, epoch: project.epoch + 1 })
}

export const revokeProject = (change: Change, project: ProjectState): ProjectState =>
  saveProject(change, project, { ...project, generation: project.generation + 1 })

/**
 * Gives a project and the machines that serve it another owner. Whoever had a session has none any more.
 *
 * @throws {MachineTaken} for a machine that rules of another project lead to
 */
export const transferProject = (change: Change, project: ProjectState, owner: string | undefined): ProjectState => {
  const { state } = change
  for (const id of serving(project)) {
    const user = state.ruleUsers.get(id)?.find((each) => each !== project.id)
    if (user !== undefined) throw new MachineTaken({ machine: id, project: user })
    const { owner: _, ...row } = state.machines.get(id)!
    state.machines.set(id, { ...row, ...(owner === undefined ? {} : { owner }), version: change.nextVersion() })
  }
  // The new owner's proofs have just been seen.
  const { owner: _, failing: __, ...rest } = project
  const next = { ...rest, ...(owner === undefined ? {} : { owner }), generation: project.generation + 1 }
  return saveProject(change, project, next)
}

export const putMachine = (change: Change, input: NewMachine, ifVersion: number | undefined): MachineState => {
  if (ifVersion !== undefined) requireVersion(findMachine(change.state, input.id), ifVersion)
  const { id, type, externalId, metadata, owner, region, ...settings } = newMachine(change.grammar, input)
  const before = change.state.machines.get(id)
  if (before !== undefined && before.owner !== owner) throw new OwnerMismatch({ field: "owner" })
  const { region: _, ...kept } = before ?? {}
  const row: MachineState = {
    epoch: 0,
    ...kept,
    machine: { id, type, externalId, metadata },
    settings,
    version: change.nextVersion(),
    ...(owner === undefined ? {} : { owner }),
    ...(region === undefined ? {} : { region }),
  }
  change.state.machines.set(id, row)
  for (const user of [row.project ?? [], change.state.ruleUsers.get(id) ?? []].flat()) {
    requireOneRegion(change.state.projects.get(user)!, change.state)
  }
  return row
}

export const removeMachine = ({ state }: Change, { machine: { id }, project }: MachineState): void => {
  const user = project ?? state.ruleUsers.get(id)?.[0]
  if (user !== undefined) throw new MachineTaken({ machine: id, project: user })
  state.machines.set(id, undefined)
}

/** @throws {NotFound} */
export const findMachine = ({ machines }: State, given: unknown): MachineState => {
  const id = String(given).toLowerCase()
  const row = machines.get(id)
  if (row === undefined) throw new NotFound({ kind: "machine", reference: id })
  return row
}

/** @throws {VersionConflict} if a version is expected and it is another */
export const requireVersion = ({ version }: { readonly version: number }, expected: number | undefined): void => {
  if (expected !== undefined && expected !== version) throw new VersionConflict({ expected, actual: version })
}

/** Writes a project and keeps every index in step with it: the one place where a project's row changes. */
export const saveProject = (change: Change, before: ProjectState | undefined, draft: ProjectState): ProjectState => {
  const { state } = change
  const after = { ...draft, version: change.nextVersion() }
  if (after.replicas !== undefined && after.machine === undefined) {
    throw new InvalidInput({ field: "replicas", accepted: "absent as long as no machine is attached" })
  }
  index(change, before, after)
  state.projects.set(after.id, after)
  validConfig(after, projectRules(after, state))
  requireOneRegion(after, state)
  return after
}

/**
 * A record has one region, so that whoever reads it knows where all that it leads to is reached.
 *
 * @throws {InvalidInput} naming the replica or the rule's machine that is in another region than the attached machine
 */
const requireOneRegion = (project: ProjectState, { machines }: State): void => {
  if (project.machine === undefined) return
  const region = machines.get(project.machine)?.region
  const others = [
    ...(project.replicas ?? []).map((id, at) => [`replicas.${at}`, id] as const),
    ...(project.rules ?? []).flatMap(({ targets }, rule) =>
      targets.map(({ machine }, at) => [`rules.${rule}.targets.${at}.machine`, machine] as const),
    ),
  ]
  const misplaced = others.find(([, id]) => id !== undefined && machines.get(id)?.region !== region)
  if (misplaced === undefined) return
  throw new InvalidInput({ field: misplaced[0], accepted: "a machine of the same region as the attached one" })
}

/** Makes a name free for a project. @throws {NameTaken} if another has it, or its quarantine is not over */
const claimName = ({ state, now }: Change, name: string, project: string): void => {
  const tombstone = state.tombstones.get(`p:${name}`)
  if (tombstone !== undefined) {
    if (tombstone.until > now) throw new NameTaken({ project: name, reusableAt: tombstone.until })
    state.tombstones.set(`p:${name}`, undefined)
  }
  const holder = state.projects.get(state.names.get(name) ?? "")
  if (holder === undefined || holder.id === project) return
  const reusableAt = holder.name === name ? undefined : holder.formerNames[name]
  if (reusableAt === undefined || reusableAt > now) throw new NameTaken({ project: name, reusableAt })
  const { [name]: _, ...formerNames } = holder.formerNames
  state.projects.set(holder.id, { ...holder, formerNames })
}

/** Makes `after` the holder of its external id. @throws {ExternalIdTaken} if it is new to the project and another has it */
const indexExternalId = (
  { externalIds }: State,
  before: ProjectState | undefined,
  after: ProjectState | undefined,
): void => {
  const [old, wanted] = [before?.externalId, after?.externalId]
  if (old !== undefined && old !== wanted && externalIds.get(old) === before!.id) externalIds.set(old, undefined)
  if (wanted === undefined) return
  const holder = externalIds.get(wanted)
  if (holder === undefined) externalIds.set(wanted, after!.id)
  // Two projects may have had one id before ids were unique: both can still be changed.
  else if (holder !== after!.id && old !== wanted) throw new ExternalIdTaken({ externalId: wanted, project: holder })
}

/** Names, external id, domains, machines and rules of a project, as others find them. */
const index = (change: Change, before: ProjectState | undefined, after: ProjectState | undefined): void => {
  const { state } = change
  const id = (after ?? before)!.id
  // A former name may be another's by now.
  for (const name of namesOf(before)) if (state.names.get(name) === id) state.names.set(name, undefined)
  for (const name of namesOf(after)) state.names.set(name, id)
  indexExternalId(state, before, after)
  for (const hostname of verifiedDomains(before)) state.domains.set(hostname, undefined)
  for (const hostname of verifiedDomains(after)) state.domains.set(hostname, id)

  const wanted = serving(after)
  for (const machine of serving(before)) if (!wanted.includes(machine)) release(change, machine)
  for (const [at, machine] of wanted.entries())
    serve(change, after!, machine, at === 0 ? "machine" : `replicas.${at - 1}`)

  for (const machine of ruleMachines(before)) {
    const users = state.ruleUsers.get(machine)?.filter((user) => user !== id) ?? []
    state.ruleUsers.set(machine, users.length === 0 ? undefined : users)
  }
  for (const machine of ruleMachines(after)) {
    state.ruleUsers.set(machine, [...(state.ruleUsers.get(machine) ?? []), id])
  }
}

/** Makes a machine serve a project. */
const serve = (change: Change, project: ProjectState, id: string, field: string): void => {
  const row = change.state.machines.get(id)
  if (row === undefined) throw new NotFound({ kind: "machine", reference: id })
  if (row.owner !== project.owner) throw new OwnerMismatch({ field })
  if (row.project === project.id) return
  if (row.project !== undefined) throw new MachineTaken({ machine: id, project: row.project })
  change.state.machines.set(id, { ...row, project: project.id, epoch: row.epoch + 1, version: change.nextVersion() })
}

const release = (change: Change, id: string): void => {
  const { project: _, ...row } = change.state.machines.get(id)!
  change.state.machines.set(id, { ...row, epoch: row.epoch + 1, version: change.nextVersion() })
}

const namesOf = (project: ProjectState | undefined): readonly string[] =>
  project === undefined ? [] : [project.name, ...Object.keys(project.formerNames)]

/** The machine of a project, then its replicas. */
export const serving = (project: ProjectState | undefined): readonly string[] =>
  project?.machine === undefined ? [] : [project.machine, ...(project.replicas ?? [])]

/** Each machine that rules of a project lead to, once. */
const ruleMachines = (project: ProjectState | undefined): ReadonlySet<string> => {
  const machines = (project?.rules ?? []).flatMap(({ targets }) => targets.map(({ machine }) => machine))
  return new Set(machines.filter((machine) => machine !== undefined))
}
