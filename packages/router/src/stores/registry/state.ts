import type { Machine, MachineSettings } from "../record.ts"
import type { ProjectConfig, Redirect } from "../route-registry.ts"

/** A project as a registry keeps it. Replaced whole at each change. */
export interface ProjectState extends ProjectConfig {
  readonly id: string
  readonly name: string
  readonly owner?: string
  readonly externalId?: string
  readonly version: number
  readonly epoch: number
  readonly generation: number
  readonly machine?: string
  readonly redirect?: Required<Redirect>
  /** Names from before, which redirect here, and when each becomes free, in ms since 1970. */
  readonly formerNames: Readonly<Record<string, number>>
  /** Custom domains, and whether each is verified. */
  readonly domains: Readonly<Record<string, boolean>>
  /** Since when the proof of a verified domain has been missing, in ms since 1970. */
  readonly failing?: Readonly<Record<string, number>>
}

/** A machine as a registry keeps it. */
export interface MachineState {
  readonly machine: Machine
  readonly owner?: string
  readonly region?: string
  readonly settings: MachineSettings
  readonly version: number
  /** Raised when it is attached, detached or made a replica. */
  readonly epoch: number
  /** The project that it serves, as its machine or as a replica. */
  readonly project?: string
}

/** What is left of a removed project under one of its keys. */
export interface Tombstone {
  readonly key: `p:${string}` | `d:${string}`
  readonly epoch: number
  readonly owner?: string
  readonly visibility?: "public" | "private"
  /** In ms since 1970. */
  readonly until: number
}

/** A change that a caller may ask for again, by the key it gave. */
export interface PastRequest {
  /** A digest of the operation and what it was given. */
  readonly call: string
  /** The id of the project or machine that it changed. */
  readonly subject: string
  /** When the key is forgotten, in ms since 1970. */
  readonly until: number
}

/** All data of a registry: the rows of each table by id. */
export interface Tables {
  readonly projects: ProjectState
  readonly machines: MachineState
  /** By key. */
  readonly tombstones: Tombstone
  /** Name, or former name, of a project → its id. */
  readonly names: string
  /** The control plane's own id → the id of the project that has it. */
  readonly externalIds: string
  /** Domain → the id of the project that verified it. */
  readonly domains: string
  /** Id of a machine → the ids of the projects whose rules lead to it. */
  readonly ruleUsers: readonly string[]
  /** Owner and domain → the secret half of the proof. It stays when a project is renamed, and is of no use to another owner. */
  readonly proofs: string
  /** By the caller's key. */
  readonly requests: PastRequest
}

export type TableName = keyof Tables

/** All tables, in one order. */
export const TABLE_NAMES = [
  "projects",
  "machines",
  "tombstones",
  "names",
  "externalIds",
  "domains",
  "ruleUsers",
  "proofs",
  "requests",
] as const satisfies readonly TableName[]

/** All data of a registry as one change sees it. The writes of a change are visible to others only after it has ended. */
export type State = { readonly [Name in TableName]: Rows<Tables[Name]> }

/** Rows of one table by id. */
export interface Rows<Row> {
  readonly get: (id: string) => Row | undefined
  readonly set: (id: string, row: Row | undefined) => void
}
