import type { RouteKey } from "@project-ingress/hostname"
import type { MachineSettings, RedirectRoute, RouteRecord, Rule, Visibility } from "../record.ts"
import { NotFound, OwnerMismatch } from "./errors.ts"
import type { MachineState, ProjectState, State, Tombstone } from "./state.ts"
import { PORT_SETTINGS, strictestVisibility } from "../settings.ts"

/** A record whose version is counted by whoever stores it. */
export type UnversionedRecord = RouteRecord extends infer Each
  ? Each extends unknown
    ? Omit<Each, "version">
    : never
  : never

/** All keys of a project: its name, its former names and its verified domains. */
export const projectKeys = (project: ProjectState): readonly RouteKey[] => [
  ...[project.name, ...Object.keys(project.formerNames)].map((name) => `p:${name}` as const),
  ...verifiedDomains(project).map((hostname) => `d:${hostname}` as const),
]

/** The domains that lead to a project. */
export const verifiedDomains = (project: ProjectState | undefined): readonly string[] =>
  Object.entries(project?.domains ?? {}).flatMap(([hostname, verified]) => (verified ? [hostname] : []))

/** Where all keys of a project lead: name and domains to one and the same record. */
export const projectRoutes = (
  project: ProjectState,
  state: State,
  now: number,
): ReadonlyMap<RouteKey, UnversionedRecord> => {
  const record = projectRecord(project, state, now)
  const routes = new Map<RouteKey, UnversionedRecord>(projectKeys(project).map((key) => [key, record]))
  for (const [former, until] of Object.entries(project.formerNames)) {
    const { expiresAt = Infinity } = project
    routes.set(`p:${former}`, {
      ...identityOf(project),
      expiresAt: Math.min(until, expiresAt),
      kind: "redirect",
      to: { project: project.name },
      status: 308,
      ...visibilityOf(strictestVisibility(project)),
    })
  }
  return routes
}

/**
 * Where a machine's own key leads: with the settings of the project that it serves, and not for longer than these count; else
 * with its own.
 */
export const machineRoute = (row: MachineState, state: State, now: number): UnversionedRecord => {
  const { generation, externalId, expiresAt, metadata, port } = projectOf(row, state, now) ?? {}
  return defined({
    kind: "machine",
    machine: row.machine,
    epoch: row.epoch,
    owner: row.owner,
    generation,
    externalId,
    expiresAt,
    metadata,
    port,
    region: row.region,
    ...settingsOfMachine(row, state, now),
  })
}

/** What is left of a removed project. */
export const tombstoneRoute = ({ epoch, owner, visibility, until }: Tombstone): UnversionedRecord =>
  defined({ kind: "removed", epoch, owner, visibility, expiresAt: until })

/**
 * A project's rules with their machines.
 *
 * @throws {NotFound | OwnerMismatch} for a machine that is not registered or has another owner
 */
export const projectRules = (
  { rules = [], owner }: Pick<ProjectState, "rules" | "owner">,
  state: State,
): readonly Rule[] =>
  rules.map(({ match, targets }, rule) => ({
    match,
    targets: targets.map(({ machine: id, ...target }, at) => {
      if (id === undefined) return target
      const row = state.machines.get(id)
      if (row === undefined) throw new NotFound({ kind: "machine", reference: id })
      if (row.owner !== owner) throw new OwnerMismatch({ field: `rules.${rule}.targets.${at}.machine` })
      return { ...target, machine: row.machine }
    }),
  }))

const projectRecord = (project: ProjectState, state: State, now: number): UnversionedRecord => {
  const common = identityOf(project)
  if (project.redirect !== undefined) {
    return { ...common, kind: "redirect", ...project.redirect, ...visibilityOf(strictestVisibility(project)) }
  }
  const row = project.machine === undefined ? undefined : state.machines.get(project.machine)
  if (row === undefined) return { ...common, kind: "detached", ...visibilityOf(project.visibility) }
  const rules = projectRules(project, state)
  const { port, services, replicas, balance } = project
  return defined({
    ...common,
    kind: "machine",
    machine: row.machine,
    replicas: replicas?.map((id) => state.machines.get(id)!.machine),
    balance,
    port,
    services,
    rules: rules.length === 0 ? undefined : rules,
    machines: settingsOfOthers(project, rules, state, now),
    region: row.region,
    ...settingsFields(project),
  })
}

/** The settings of machines that only rules lead to. */
const settingsOfOthers = (project: ProjectState, rules: readonly Rule[], state: State, now: number) => {
  const others: [string, MachineSettings][] = []
  for (const { targets } of rules) {
    for (const { machine } of targets) {
      const row = machine === undefined ? undefined : state.machines.get(machine.id)
      if (row === undefined || row.project === project.id) continue
      others.push([row.machine.id, settingsOfMachine(row, state, now)])
    }
  }
  return others.length === 0 ? undefined : Object.fromEntries(others)
}

/** The one place that says which settings a machine has: those of the project it serves; else its own, private by default. */
const settingsOfMachine = (row: MachineState, state: State, now: number): MachineSettings => {
  const project = projectOf(row, state, now)
  return project === undefined ? { visibility: "private", ...row.settings } : settingsFields(project)
}

/** The project that a machine serves, if it has not expired: what has expired opens nothing any more. */
const projectOf = ({ project: id }: MachineState, state: State, now: number): ProjectState | undefined => {
  const project = id === undefined ? undefined : state.projects.get(id)
  return project !== undefined && (project.expiresAt ?? Infinity) > now ? project : undefined
}

const settingsFields = (settings: MachineSettings): MachineSettings =>
  defined(Object.fromEntries([...PORT_SETTINGS, "ports" as const].map((field) => [field, settings[field]])))

const identityOf = ({ epoch, generation, owner, externalId, expiresAt, metadata }: ProjectState) =>
  defined({ epoch, generation, owner, externalId, expiresAt, metadata })

const visibilityOf = (visibility: Visibility | undefined): Pick<RedirectRoute, "visibility"> =>
  visibility === undefined ? {} : { visibility }

/** Without fields that are absent. */
const defined = <Fields extends object>(
  fields: Fields,
): { [Field in keyof Fields]: Exclude<Fields[Field], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never
