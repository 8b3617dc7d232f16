import type { Grammar, RouteKey } from "@project-ingress/hostname"
import type { Lookup, LookupOptions, RouteRecord, RouteStore } from "@project-ingress/router"
import type { DeclaredIngress, DeclaredTarget, RequiredHeader } from "../resource/ingress.ts"
import type { Grant } from "../storage/ingress-storage.ts"
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
  readonly inner: RouteStore
  readonly grants: readonly Grant[]
  readonly options: LookupOptions
}

/** What came of it: an `unknown` ends the whole look-up. */
export type TargetResult = FoundTarget | { readonly unknown: Extract<Lookup, { readonly status: "unknown" }> }

/**
 * Finds a target. Machines and projects are looked up at each request, so that an attach, a detach, another owner or a withdrawn grant
 * counts from then on.
 */
export const findTarget = async (
  lookup: TargetLookup,
  { ingress, rule }: PlacedRule,
  target: DeclaredTarget,
  captures: Readonly<Record<string, string>>,
): Promise<TargetResult> => {
  const { weight } = target
  if (target.kind === "url") {
    const isSpoken = target.protocol === "http" || target.protocol === "https"
    if (!isSpoken) return { weight }
    let record = addressRecords.get(target)
    if (record === undefined) addressRecords.set(target, (record = addressRecord(ingress, target, rule)))
    return { weight, record, port: target.port }
  }
  // The others are of a later version: until then nobody is led to where it is not spoken.
  if (target.protocol !== "http") return { weight }
  const keys = keysOf(lookup.grammar, target, captures)
  const found = await firstRecord(lookup, keys)
  if ("unknown" in found) return found
  const { record, key, layer, ageMs } = found
  if (record === undefined || !mayLead(ingress, record.owner, key, lookup.grants)) return { weight }
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

/** Whether an ingress may lead to what an owner has. One without an owner is the operator's, who may lead anywhere. */
export const mayLead = (
  { owner: to }: Pick<DeclaredIngress, "owner">,
  owner: string | undefined,
  key: RouteKey,
  grants: readonly Grant[],
): boolean =>
  to === undefined ||
  owner === to ||
  grants.some(
    (grant) =>
      grant.owner === owner &&
      grant.to === to &&
      key === ("machine" in grant.target ? `m:${grant.target.machine}` : `p:${grant.target.project}`),
  )

interface FoundRecord {
  readonly key: RouteKey
  readonly record?: MachineRecord
  readonly layer?: string
  readonly ageMs?: number
}

const firstRecord = async (
  { inner, options }: TargetLookup,
  keys: readonly RouteKey[],
): Promise<FoundRecord | Exclude<TargetResult, FoundTarget>> => {
  for (const key of keys) {
    let found = await inner.get(key, options)
    // A project that was renamed: its former name says where it is now.
    if (found.status === "hit" && found.record.kind === "redirect" && typeof found.record.to === "object") {
      found = await inner.get(`p:${found.record.to.project}`, options)
    }
    if (found.status === "unknown") return { unknown: found }
    if (found.status === "miss" || found.record.kind === "removed") continue
    const { record, layer, ageMs } = found
    const isGone = record.expiresAt !== undefined && record.expiresAt <= Date.now()
    if (isGone) continue
    return {
      key,
      ...(record.kind === "machine" ? { record } : {}),
      ...(layer === undefined ? {} : { layer }),
      ...(ageMs === undefined ? {} : { ageMs }),
    }
  }
  return { key: keys[0]! }
}

/** One object for each target, so that it is decoded once. */
const addressRecords = new WeakMap<DeclaredTarget, MachineRecord>()

/**
 * An address as the machine of a record. No hostname but that of the rule leads there, so the rule's settings are the port's. It is
 * public, as whoever declares it says with the declaration; `allowCidrs` and `requireHeader` guard it.
 */
const addressRecord = (
  { owner, version }: DeclaredIngress,
  { host, port, protocol }: Extract<DeclaredTarget, { readonly kind: "url" }>,
  { allowCidrs, requireHeader, responseHeaders, healthCheck }: PlacedRule["rule"],
): MachineRecord => {
  const origin = `${protocol}://${host.includes(":") ? `[${host}]` : host}:${port}`
  return {
    kind: "machine",
    version,
    epoch: 0,
    ...(owner === undefined ? {} : { owner }),
    machine: { id: `url ${origin}`, type: "upstream", externalId: origin, metadata: { origin } },
    visibility: "public",
    ...(allowCidrs === undefined ? {} : { allowCidrs }),
    ...(requireHeader === undefined ? {} : { requireHeader: hashOnly(requireHeader) }),
    ...(responseHeaders === undefined ? {} : { responseHeaders }),
    ...(healthCheck === undefined ? {} : { healthCheck }),
  }
}

const hashOnly = ({ name, sha256 }: Required<Pick<RequiredHeader, "name" | "sha256">>) => ({ name, sha256 })
