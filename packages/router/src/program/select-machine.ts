import { portOf } from "@project-ingress/hostname"
import type { Grammar, Target } from "@project-ingress/hostname"
import type { Machine } from "@project-ingress/providers"
import type { MachineRoute } from "../stores/record.ts"
import { matchRule } from "./match-rule.ts"
import type { RuleRequest } from "./match-rule.ts"
import { pick } from "./pick.ts"
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
  const seed = request.clientAddress ?? ""
  const named = namedPort(grammar, target, record)
  const rules = named === undefined ? (record.rules ?? []) : []
  const matched = rules.length === 0 ? undefined : matchRule(rules, request)
  const chosen = matched === undefined ? undefined : pick(rules[matched]!.targets, seed)
  if (matched !== undefined) trace.push({ step: "rule", outcome: matched })

  const machine = chosen?.machine ?? pick(replicasOf(record), seed)!.machine
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

const replicasOf = ({ machine, replicas = [] }: MachineRoute): readonly { readonly machine: Machine; readonly weight?: number }[] =>
  replicas.length === 0 ? [{ machine }] : [machine, ...replicas].map((each) => ({ machine: each }))

/** The port of a hostname that names a port or a service; a service of the record wins over the grammar's. */
const namedPort = (
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
