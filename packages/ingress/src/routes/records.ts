import type { RouteRecord } from "@project-ingress/router"
import { PORT_SETTINGS } from "@project-ingress/router/internal"
import type { DeclaredIngress } from "../resource/ingress.ts"
import type { PlacedRule } from "./hostname-index.ts"
import type { FoundTarget, MachineRecord } from "./target-record.ts"

type Machine = MachineRecord["machine"]
type RecordRule = NonNullable<MachineRecord["rules"]>[number]
type RecordTarget = RecordRule["targets"][number]
type MachineSettings = NonNullable<MachineRecord["machines"]>[string]

/** A rule and what its targets have come to. */
export interface FoundRule extends PlacedRule {
  readonly found: readonly FoundTarget[]
}

/** Weights of records are at most this. */
const MAX_WEIGHT = 1_000_000

/** Leads nowhere: a provider that no router has. Gateway API: requests for a target that does not exist are 500. */
const MISSING: Machine = { id: "missing", type: "missing", externalId: "", metadata: {} }

/**
 * The record of a declared hostname. The settings of a port are those of the records that its targets have, so that no other hostname
 * of the port avoids them. All rules of one hostname have one owner.
 */
export const composedRecord = (revision: number, rules: readonly [FoundRule, ...FoundRule[]]): RouteRecord => {
  const [first] = rules
  const records = rules.flatMap(({ found }) => found.flatMap(({ record }) => record ?? []))
  const primary = records[0]
  const version = records.reduce((sum, record) => sum + record.version, revision)
  if (primary === undefined) {
    return { kind: "detached", version, epoch: 0, visibility: "public", ...ownerOf(first.ingress) }
  }
  const [only, ...others] = first.found
  // One target, and nothing to choose by: the record that it has, with its replicas and its own rules.
  if (isEmpty(first) && only?.record !== undefined && others.length === 0) {
    return wholeRecord(only.record, version, only.port)
  }
  return {
    kind: "machine",
    version,
    epoch: primary.epoch,
    ...identityOf(records),
    ...settingsOf(primary),
    ...(primary.region === undefined ? {} : { region: primary.region }),
    machine: primary.machine,
    rules: rules.map(recordRule),
    ...(rules.some(isEmpty) ? {} : { unmatched: "not-found" as const }),
    machines: Object.fromEntries(records.flatMap(machinesOf)),
  }
}

const ownerOf = ({ owner }: Pick<DeclaredIngress, "owner">) => (owner === undefined ? {} : { owner })

/** A rule that takes every request of its hostname. */
const isEmpty = ({ rule: { match } }: PlacedRule): boolean =>
  match.path === undefined && match.method === undefined && match.headers === undefined

/** A port that is declared counts before the project's own rules. */
const wholeRecord = (found: MachineRecord, version: number, port: number | undefined): MachineRecord => {
  if (port === undefined) return { ...found, version }
  const { rules: _rules, ...record } = found
  return { ...record, version, port }
}

/**
 * Whose the hostname is, for policies: with targets of several projects it belongs to no single one, so that access to one of them opens no
 * other; sessions end when access to any of them is withdrawn.
 */
const identityOf = (records: readonly MachineRecord[]) => {
  const [{ owner, externalId, metadata }] = records as [MachineRecord]
  const isOne = records.every((record) => record.owner === owner && record.externalId === externalId)
  const generation = records.reduce((sum, record) => sum + (record.generation ?? 0), 0)
  const expiresAt = Math.min(...records.map((record) => record.expiresAt ?? Infinity))
  return {
    ...(records.every((record) => record.owner === owner) && owner !== undefined ? { owner } : {}),
    ...(isOne && externalId !== undefined ? { externalId } : {}),
    ...(isOne && metadata !== undefined ? { metadata } : {}),
    ...(generation === 0 ? {} : { generation }),
    ...(expiresAt === Infinity ? {} : { expiresAt }),
  }
}

const settingsOf = (record: MachineSettings): MachineSettings => {
  const settings: Record<string, unknown> = {}
  for (const name of [...PORT_SETTINGS, "ports"] as const) if (record[name] !== undefined) settings[name] = record[name]
  return settings
}

/** The settings of every machine that a record leads to. */
const machinesOf = (record: MachineRecord): readonly (readonly [string, MachineSettings])[] => [
  ...Object.entries(record.machines ?? {}),
  ...[record.machine, ...(record.replicas ?? [])].map(({ id }) => [id, settingsOf(record)] as const),
]

const recordRule = ({ rule: { match }, found }: FoundRule): RecordRule => {
  const { path, method, headers } = match
  return {
    match: {
      ...(path === undefined ? {} : { path }),
      ...(method === undefined ? {} : { method }),
      ...(headers === undefined ? {} : { headers }),
    },
    targets: recordTargets(found),
  }
}

/** A target with replicas shares its weight among them. */
const recordTargets = (found: readonly FoundTarget[]): readonly RecordTarget[] => {
  const counts = found.map(({ record }) => 1 + (record?.replicas?.length ?? 0))
  const common = counts.reduce((product, count) => product * (product % count === 0 ? 1 : count), 1)
  const scaled = found.map(({ weight }, at) => (weight * common) / counts[at]!)
  // Within what a record may hold; whoever takes something keeps taking something.
  const shrink = Math.max(1, Math.max(...scaled) / MAX_WEIGHT)
  return found.flatMap(({ record, port }, at) => {
    const weight = scaled[at] === 0 ? 0 : Math.max(1, Math.floor(scaled[at]! / shrink))
    if (record === undefined) return { machine: MISSING, port: 1, weight }
    const own = port ?? record.port
    return [record.machine, ...(record.replicas ?? [])].map((machine) => ({
      machine,
      ...(own === undefined ? {} : { port: own }),
      weight,
    }))
  })
}
