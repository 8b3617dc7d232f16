import { portOf } from "@project-ingress/hostname"
import type { Grammar, Target } from "@project-ingress/hostname"
import type { Machine } from "@project-ingress/providers"
import type { MachineRoute, Rule } from "../stores/record.ts"
import type { Candidate, Choose } from "./candidates.ts"
import { matchRule } from "./match-rule.ts"
import type { RuleRequest } from "./match-rule.ts"
import type { TraceStep } from "./trace.ts"

/** A machine and a port in it. */
export interface Selection {
  readonly machine: Machine
  /** 1 to 65535; absent for a service that neither the record nor the grammar knows, and for what no rule of the record takes. */
  readonly port: number | undefined
}

/** What the choice depends on beside the record. */
export interface SelectionRequest extends RuleRequest {
  readonly clientAddress?: string | undefined
}

/**
 * Where a record leads for one request. A hostname's own port or service counts before everything else, then a rule, then the
 * record's port, then the grammar's. `choose` decides between the targets of a rule, and between replicas.
 */
export const selectMachine = (
  grammar: Grammar,
  target: Target,
  record: MachineRoute,
  request: SelectionRequest,
  choose: Choose,
  trace: TraceStep[],
): Selection => {
  const named = namedPort(grammar, target, record)
  const { rules, replicas = [] } = record
  const matched = named !== undefined || rules === undefined ? undefined : matchRule(rules, request)
  if (matched !== undefined) trace.push({ step: "rule", outcome: matched })
  const isUnmatched = record.unmatched === "not-found" && named === undefined && matched === undefined
  const { port, reason } =
    named ??
    (isUnmatched
      ? { port: undefined, reason: "of no rule" }
      : record.port !== undefined
        ? { port: record.port, reason: "of the record" }
        : { port: grammar.defaultPort, reason: "of the grammar" })

  const targets = matched === undefined ? any : rules![matched]!.targets
  // Nearly every record leads to one machine. A service that nobody knows leads nowhere in any.
  const isSingle = port === undefined || (targets === any && replicas.length === 0)
  const found = isSingle ? [] : candidatesOf(record, targets, port)
  const [first = { machine: record.machine, port, own: undefined }] = found
  const chosen =
    found.length > 1
      ? choose({ record, candidates: found, seed: request.clientAddress })
      : { candidate: first, reason: undefined }
  const { candidate } = chosen
  trace.push(machineStep(record, candidate.machine, chosen.reason))
  const why = candidate.own === undefined ? reason : "of the rule"
  trace.push({ step: "port", outcome: candidate.port ?? "unknown", reason: why })
  return candidate
}

/** A machine that was arrived at, and why it rather than another. */
export const machineStep = (
  { version }: MachineRoute,
  { id, type, externalId }: Machine,
  reason: string | undefined,
): TraceStep => ({ step: "machine", outcome: id, type, externalId, version, reason })

/** Where a record leads that has no rule for a request. */
const any: Rule["targets"] = [{}]

/** The machines behind targets that take requests. One that names none is the record's machine and its replicas together. */
const candidatesOf = (record: MachineRoute, targets: Rule["targets"], port: number): readonly Candidate[] =>
  targets.flatMap(({ machine, port: own, weight = 1 }) =>
    weight === 0
      ? []
      : (machine === undefined ? [record.machine, ...(record.replicas ?? [])] : [machine]).map(
          (each, _, { length }) => ({
            machine: each,
            port: own ?? port,
            own,
            weight: weight / length,
          }),
        ),
  )

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
