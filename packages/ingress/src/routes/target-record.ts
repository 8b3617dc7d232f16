import type { Grammar, RouteKey } from "@project-ingress/hostname"
import type { Lookup, RouteRecord } from "@project-ingress/router"
import type { DeclaredIngress, DeclaredTarget, RequiredHeader } from "../resource/ingress.ts"
import type { Grant } from "../storage/ingress-storage.ts"
import { isGranted } from "./granted.ts"
import type { PlacedRule } from "./hostname-index.ts"

/** A record that leads to a machine. */
export type MachineRecord = Extract<RouteRecord, { readonly kind: "machine" }>

/** A target as the router finds it. */
export interface FoundTarget {
  readonly weight: number
  /** Absent: there is no such machine or project now, or it may not be used. */
  readonly record?: MachineRecord
  /** Absent: the record's own. */
  readonly port?: number
  readonly layer?: string
  readonly ageMs?: number
}

/** How targets are looked up. */
export interface TargetLookup {
  readonly grammar: Grammar
  /** One look-up of a key, however many rules lead there. */
  readonly get: (key: RouteKey) => Promise<Lookup>
  readonly grants: readonly Grant[]
  readonly now: () => number
}

/** What came of it: an `unknown` ends the whole look-up. */
export type TargetResult = FoundTarget | { readonly unknown: Extract<Lookup, { readonly status: "unknown" }> }

/**
 * Finds a target. Machines and projects are looked up at each request, so that an attach, a detach, another owner or a withdrawn grant
 * counts from then on.
 */
export const findTarget = async (
  lookup: TargetLookup,
  { ingress, rule, at }: PlacedRule,
  target: DeclaredTarget,
  captures: Readonly<Record<string, string>>,
): Promise<TargetResult> => {
  const { weight } = target
  if (target.kind === "url") {
    const isSpoken = target.protocol === "http" || target.protocol === "https"
    if (!isSpoken) return { weight }
    let record = addressRecords.get(target)
    if (record === undefined) addressRecords.set(target, (record = addressRecord(ingress, target, rule, at)))
    return { weight, record, port: target.port }
  }
  // The others are of a later version: until then nobody is led to where it is not spoken.
  if (target.protocol !== "http") return { weight }
  const found = await firstRecord(lookup, ingress, keysOf(lookup.grammar, target, captures))
  if ("unknown" in found) return found
  const { record, layer, ageMs } = found
  if (record === undefined) return { weight }
  const { port } = target
  return {
    weight,
    record,
    ...(port === undefined ? {} : { port }),
    ...(layer === undefined ? {} : { layer }),
    ...(ageMs === undefined ? {} : { ageMs }),
  }
}

/** The keys that name a target, the first that is there counts. */
export const keysOf = (
  grammar: Grammar,
  target: Exclude<DeclaredTarget, { readonly kind: "url" }>,
  captures: Readonly<Record<string, string>>,
): readonly RouteKey[] => {
  if (target.kind === "machine") return [`m:${target.machine}`]
  if (target.kind === "project") return [`p:${target.project}`]
  const name = Object.hasOwn(captures, target.capture) ? captures[target.capture]! : ""
  // No label of a certificate has a `_`, so `mach-1` is a name of `mach_1`, as in the grammar.
  const { dashedPrefix } = grammar.lookup
  const id = name.startsWith(dashedPrefix) ? grammar.machinePrefix + name.slice(dashedPrefix.length) : name
  return [`m:${id}`, `p:${name}`]
}

interface FoundRecord {
  readonly record?: MachineRecord
  readonly layer?: string
  readonly ageMs?: number
}

/** What an ingress may not lead to is not there for it: another owner's machine does not hide a project of that name. */
const firstRecord = async (
  { get, grants, now }: TargetLookup,
  ingress: DeclaredIngress,
  keys: readonly RouteKey[],
): Promise<FoundRecord | Exclude<TargetResult, FoundTarget>> => {
  // One without an owner is the operator's, who may lead anywhere.
  const { owner: to } = ingress
  for (const key of keys) {
    let found = await get(key)
    // A project that was renamed: its former name says where it is now.
    if (found.status === "hit" && found.record.kind === "redirect" && typeof found.record.to === "object") {
      found = await get(`p:${found.record.to.project}`)
    }
    if (found.status === "unknown") return { unknown: found }
    if (found.status === "miss" || found.record.kind === "removed") continue
    const { record, layer, ageMs } = found
    const isGone = record.expiresAt !== undefined && record.expiresAt <= now()
    const isAllowed = to === undefined || record.owner === to || isGranted(grants, key, record.owner, to)
    if (isGone || !isAllowed) continue
    return {
      ...(record.kind === "machine" ? { record } : {}),
      ...(layer === undefined ? {} : { layer }),
      ...(ageMs === undefined ? {} : { ageMs }),
    }
  }
  return {}
}

/** One object for each target, so that it is decoded once. */
const addressRecords = new WeakMap<DeclaredTarget, MachineRecord>()

/** The ids of machines have at most 256 characters, and a hostname has 253. */
const MAX_ORIGIN = 180

/**
 * An address as the machine of a record. No rule but this one leads to it, so the rule's settings are the port's: two rules of one hostname
 * that lead to one address must not share them. It is public, as whoever declares it says with the declaration; `allowCidrs` and
 * `requireHeader` guard it.
 */
const addressRecord = (
  { id, owner, version }: DeclaredIngress,
  target: Extract<DeclaredTarget, { readonly kind: "url" }>,
  rule: PlacedRule["rule"],
  at: number,
): MachineRecord => {
  const { host, port, protocol } = target
  const { allowCidrs, requireHeader, responseHeaders, healthCheck } = rule
  const origin = `${protocol}://${host.includes(":") ? `[${host}]` : host}:${port}`
  const hasSettings = [allowCidrs, requireHeader, responseHeaders, healthCheck].some((each) => each !== undefined)
  const isOwn = hasSettings || origin.length > MAX_ORIGIN
  const place = isOwn ? ` of ${id}.${at}.${rule.targets.indexOf(target)}` : ""
  return {
    kind: "machine",
    version,
    epoch: 0,
    ...(owner === undefined ? {} : { owner }),
    machine: {
      id: `url ${origin.slice(0, MAX_ORIGIN)}${place}`,
      type: "upstream",
      externalId: origin,
      metadata: { origin },
    },
    visibility: "public",
    ...(allowCidrs === undefined ? {} : { allowCidrs }),
    ...(requireHeader === undefined ? {} : { requireHeader: hashOnly(requireHeader) }),
    ...(responseHeaders === undefined ? {} : { responseHeaders }),
    ...(healthCheck === undefined ? {} : { healthCheck }),
  }
}

const hashOnly = ({ name, sha256 }: Required<Pick<RequiredHeader, "name" | "sha256">>) => ({ name, sha256 })
