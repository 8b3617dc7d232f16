import type { Grammar } from "@project-ingress/hostname"
import type { PortSettings, RouteKey, RouteRecord } from "@project-ingress/router"
import { GrantRequired, TargetNotFound } from "../resource/errors.ts"
import type { DeclaredTarget } from "../resource/ingress.ts"
import { isGranted } from "../routes/granted.ts"
import type { Grant } from "../storage/ingress-storage.ts"
import type { LookUp } from "./look-up.ts"

/** A target that a record stands behind. */
export type RecordedTarget = Extract<DeclaredTarget, { readonly kind: "machine" | "project" }>

/** What the platform's records say of a target now. `undefined`: there is none. */
export type TargetRecord =
  | {
      readonly owner: string | undefined
      /** The machine itself, or the one attached to the project. Absent while there is none. */
      readonly machine?: string
      /** A project's default port, if its record has one. */
      readonly port?: number
      /** The origin in the record of a machine of type `upstream`. */
      readonly origin?: string
      /** What its ports have. */
      readonly settings?: PortSettings & { readonly ports?: Readonly<Record<number, PortSettings>> }
    }
  | undefined

export const isRecorded = (target: DeclaredTarget): target is RecordedTarget =>
  target.kind === "machine" || target.kind === "project"

/** The settings of the port that a target leads to, as its record has them now. */
export const settingsAt = (
  { port }: RecordedTarget,
  record: TargetRecord,
  { defaultPort }: Pick<Grammar, "defaultPort">,
): PortSettings => {
  const { settings = {} } = record ?? {}
  return { ...settings, ...settings.ports?.[port ?? record?.port ?? defaultPort] }
}

/** The key that a target is looked up under. */
export const targetKey = (target: RecordedTarget): RouteKey =>
  target.kind === "machine" ? `m:${target.machine}` : `p:${target.project}`

/**
 * Looks a target up. A project that was renamed is found by its former name, as the router finds it.
 *
 * @throws {LookupUnavailable} (may reject)
 */
export const findTarget = (lookUp: LookUp, key: RouteKey): TargetRecord | Promise<TargetRecord> => {
  const found = lookUp(key)
  if (found instanceof Promise) return found.then((record) => renamed(lookUp, record))
  return renamed(lookUp, found)
}

const renamed = (lookUp: LookUp, record: RouteRecord | undefined): TargetRecord | Promise<TargetRecord> => {
  if (record?.kind !== "redirect" || typeof record.to !== "object") return targetRecord(record)
  const found = lookUp(`p:${record.to.project}`)
  return found instanceof Promise ? found.then(targetRecord) : targetRecord(found)
}

/** What counts of a record. A redirect and a tombstone are no target. */
const targetRecord = (record: RouteRecord | undefined): TargetRecord => {
  if (record === undefined || record.kind === "redirect" || record.kind === "removed") return undefined
  const { owner } = record
  if (record.kind === "detached") return { owner }
  const { machine, port } = record
  const origin = machine.type === "upstream" ? machine.metadata["origin"] : undefined
  return {
    owner,
    machine: machine.id,
    settings: record,
    ...(port === undefined ? {} : { port }),
    ...(typeof origin === "string" ? { origin } : {}),
  }
}

/** Whether an ingress may lead there: its owner's own, by a grant, or by nothing. */
export const permission = (
  owner: string | undefined,
  target: RecordedTarget,
  record: NonNullable<TargetRecord>,
  grants: readonly Grant[],
): "own" | "granted" | "none" => {
  if (owner === undefined || owner === record.owner) return "own"
  return isGranted(grants, targetKey(target), record.owner, owner) ? "granted" : "none"
}

/**
 * @throws {TargetNotFound} if there is none, or it has no owner who could grant it
 * @throws {GrantRequired}
 */
export const checkTarget = (
  owner: string | undefined,
  target: RecordedTarget,
  record: TargetRecord,
  grants: readonly Grant[],
  at: string,
): void => {
  const { kind } = target
  const reference = target.kind === "machine" ? target.machine : target.project
  const isOut = record !== undefined && record.owner === undefined && owner !== undefined
  if (record === undefined || isOut) throw new TargetNotFound({ field: `${at}.${kind}`, kind, reference })
  if (permission(owner, target, record, grants) === "none") throw new GrantRequired({ field: `${at}.${kind}` })
}
