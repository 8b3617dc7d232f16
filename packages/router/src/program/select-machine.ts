import { portOf } from "@project-ingress/hostname"
import type { Grammar, Target } from "@project-ingress/hostname"
import type { Machine } from "@project-ingress/providers"
import type { MachineRoute } from "../stores/record.ts"
import { matchRule } from "./match-rule.ts"
import type { RuleRequest } from "./match-rule.ts"
import type { TraceStep } from "./trace.ts"

/** A machine and a port in it. */
export interface Selection {
  readonly machine: Machine
  /** 1 to 65535; absent for a service that neither the record nor the grammar knows. */
  readonly port: number | undefined
}

/** What the choice depends on beside the record. */
export interface SelectionRequest extends RuleRequest {
  readonly clientAddress?: string | undefined
}

/**
 * Where a record leads for one request. A hostname's own port or service counts before everything else, then a rule, then the
 * record's port, then the grammar's. Replicas are chosen by the visitor's address.
 */
export const selectMachine = (
  grammar: Grammar,
  target: Target,
  record: MachineRoute,
  request: SelectionRequest,
  trace: TraceStep[],
): Selection => {
  // Without an address nobody can be kept at one entry, so that each request may go to any.
  const seed = request.clientAddress ?? String(Math.random())
  const named = namedPort(grammar, target, record)
  const rules = named === undefined ? (record.rules ?? []) : []
  const matched = rules.length === 0 ? undefined : matchRule(rules, request)
  const chosen = matched === undefined ? undefined : pick(rules[matched]!.targets, seed)
  if (matched !== undefined) trace.push({ step: "rule", outcome: matched })

  const machine = chosen?.machine ?? replicaOf(record, seed)
  const { id, type, externalId } = machine
  trace.push({ step: "machine", outcome: id, type, externalId, version: record.version })

  const { port, reason } =
    named ??
    (chosen?.port !== undefined
      ? { port: chosen.port, reason: "of the rule" }
      : record.port !== undefined
        ? { port: record.port, reason: "of the record" }
        : { port: grammar.defaultPort, reason: "of the grammar" })
  trace.push({ step: "port", outcome: port ?? "unknown", reason })
  return { machine, port }
}

const replicaOf = ({ machine, replicas = [] }: MachineRoute, seed: string): Machine =>
  replicas.length === 0
    ? machine
    : pick(
        [machine, ...replicas].map((each) => ({ machine: each, weight: 1 })),
        seed,
      )!.machine

/** The port of a hostname that names a port or a service; a service of the record wins over the grammar's. */
export const namedPort = (
  grammar: Grammar,
  target: Target,
  { services }: MachineRoute,
): { readonly port: number | undefined; readonly reason: string } | undefined => {
  if (target.port !== undefined) return { port: target.port, reason: "of the hostname" }
  const { service } = target
  if (service === undefined) return undefined
  // Own properties only: a hostname may say `constructor`.
  const own = services !== undefined && Object.hasOwn(services, service)
  return { port: own ? services[service] : portOf(grammar, target), reason: `of the service ${service}` }
}

/**
 * Chooses one of several weighted entries, always the same one for the same `seed` while the entries stay: a session in the
 * memory of one replica survives the visitor's next request.
 */
const pick = <T extends { readonly weight?: number | undefined }>(
  entries: readonly T[],
  seed: string,
): T | undefined => {
  const total = entries.reduce((sum, { weight = 1 }) => sum + weight, 0)
  let left = fraction(seed) * total
  for (const entry of entries) {
    left -= entry.weight ?? 1
    if (left < 0) return entry
  }
  return undefined
}

/** A text as a number from 0 up to 1, evenly spread: FNV-1a of 32 bits with a final mix, so that close addresses part. */
const fraction = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000
}
