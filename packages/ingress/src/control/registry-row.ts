import type { PortSettings } from "@project-ingress/router"
import type { RouteRegistry } from "@project-ingress/router/stores/memory"
import type { ClaimedSettings, RuleSetting } from "./port-settings.ts"
import { isSame } from "./port-settings.ts"

/** What settings hang on in a registry: a project, or a machine that serves none. */
export interface RegistryRow {
  readonly kind: "project" | "machine"
  /** The project's or the machine's id. */
  readonly id: string
  readonly owner: string | undefined
  /** The settings of all ports. */
  readonly settings: ClaimedSettings
  readonly ports: Readonly<Record<number, PortSettings>>
  /** Every target that leads to these ports: `project misha`, `machine mach_1`. */
  readonly names: readonly string[]
}

/** Fields of one port to write; `undefined` clears one. */
export interface PortWrite {
  readonly kind: RegistryRow["kind"]
  readonly id: string
  readonly port: number
  readonly before: FieldValues
  readonly after: FieldValues
}

export type FieldValues = { readonly [Field in RuleSetting]?: PortSettings[Field] | undefined }

/** Attempts where others change the same row. */
const ATTEMPTS = 5

/** The row of a target, `project misha` or `machine mach_1`. Undefined: the registry does not have it. */
export const readRow = async (registry: RouteRegistry, target: string): Promise<RegistryRow | undefined> => {
  const [kind, id = ""] = target.split(" ")
  try {
    if (kind === "project") return await projectRow(registry, id)
    const machine = await registry.readMachine(id)
    if (machine.project !== undefined) return await projectRow(registry, machine.project)
    const { owner, ports = {} } = machine
    return { kind: "machine", id, owner, settings: machine, ports, names: [target] }
  } catch (cause) {
    if (isTagged(cause, "NotFound") || isTagged(cause, "AmbiguousReference")) return undefined
    throw cause
  }
}

const projectRow = async (registry: RouteRegistry, reference: string): Promise<RegistryRow | undefined> => {
  const project = await registry.read(reference)
  // A reading also takes the beginning of a name, which a target is not.
  if (project.name !== reference && project.id !== reference) return undefined
  const { id, name, owner, machine, replicas = [], ports = {} } = project
  const machines = machine === undefined ? [] : [machine, ...replicas]
  return {
    kind: "project",
    id,
    owner,
    settings: project,
    ports,
    names: [`project ${name}`, ...machines.map((each) => `machine ${each}`)],
  }
}

/**
 * Writes the fields of a port, on condition that they are what they were when it was planned.
 *
 * @throws {Error} if somebody else has changed them meanwhile, and whatever the registry rejects with
 */
export const writePort = async (registry: RouteRegistry, write: PortWrite): Promise<void> => {
  for (let attempt = 1; ; attempt++) {
    try {
      await writeOnce(registry, write)
      return
    } catch (cause) {
      if (attempt === ATTEMPTS || !isTagged(cause, "VersionConflict")) throw cause
    }
  }
}

const writeOnce = async (registry: RouteRegistry, { kind, id, port, before, after }: PortWrite): Promise<void> => {
  const fields = Object.keys(after) as readonly RuleSetting[]
  const merged = (ports: Readonly<Record<number, PortSettings>> = {}): PortSettings | null => {
    const own: Record<string, unknown> = { ...ports[port] }
    for (const field of fields) {
      if (!isSame(own[field], before[field]) && !isSame(own[field], after[field])) {
        throw new Error(`${field} of port ${port} was changed meanwhile`)
      }
      if (after[field] === undefined) delete own[field]
      else own[field] = after[field]
    }
    return Object.keys(own).length === 0 ? null : own
  }
  if (kind === "project") {
    const { version, ports } = await registry.read(id)
    await registry.configure(id, { ports: { [port]: merged(ports) } }, { ifVersion: version })
    return
  }
  const { version, project, ports, ...machine } = await registry.readMachine(id)
  if (project !== undefined) throw new Error(`machine ${id} serves a project meanwhile`)
  const { [port]: _, ...others } = ports ?? {}
  const settings = merged(ports)
  const next = settings === null ? others : { ...others, [port]: settings }
  await registry.putMachine(Object.keys(next).length === 0 ? machine : { ...machine, ports: next }, {
    ifVersion: version,
  })
}

/** What the fields of a port are now. */
export const readFields = async (
  registry: RouteRegistry,
  { kind, id, port, after }: PortWrite,
): Promise<FieldValues> => {
  const { ports = {} } = kind === "project" ? await registry.read(id) : await registry.readMachine(id)
  const own: PortSettings = ports[port] ?? {}
  return Object.fromEntries((Object.keys(after) as readonly RuleSetting[]).map((field) => [field, own[field]]))
}

const isTagged = (cause: unknown, tag: string): boolean =>
  typeof cause === "object" && cause !== null && "_tag" in cause && cause._tag === tag
