import type { Grammar } from "@project-ingress/hostname"
import type { RouteKey } from "@project-ingress/router"
import { within } from "@project-ingress/router/internal"
import type { DialledTarget, ExportInput, ExportProblem } from "../fronts/front.ts"
import type { DeclaredIngress, DeclaredRule, DeclaredTarget } from "../resource/ingress.ts"
import type { Grant } from "../storage/ingress-storage.ts"
import type { LookUp } from "./look-up.ts"
import { isSame } from "./port-settings.ts"
import { rememberedValues } from "./remembered-values.ts"
import { checkHostname } from "./reserved.ts"
import type { HostnameRules } from "./reserved.ts"
import { findTarget, isRecorded, permission, settingsAt, targetKey } from "./targets.ts"
import type { TargetRecord } from "./targets.ts"

/** What fronts beside the router are given, and what of it is left out for them. */
export interface PreparedExport {
  readonly input: ExportInput
  /** Rules that are not theirs: nobody would check at the front what the router checks with each request. */
  readonly withheld: readonly ExportProblem[]
  /** The number of a rule as declared, of one as exported. */
  readonly ruleNumber: (ingress: string, exported: number) => number
}

export interface ExportOptions {
  readonly grammar: Grammar
  readonly hostnames: HostnameRules
  readonly lookUp: LookUp
  readonly address:
    | ((target: { machine: string; port: number }) => string | undefined | Promise<string | undefined>)
    | undefined
  readonly internalZone: string | undefined
  /** Whether somebody decided, at each change, which addresses owners may lead to. */
  readonly checksUrls: boolean
  readonly timeoutMs: number
}

/** Makes {@link PreparedExport}: looks up where targets are, and leaves out what may not be led to. */
export const makePrepareExport = (options: ExportOptions) => {
  const { grammar, hostnames, lookUp, address, internalZone, timeoutMs } = options
  const records = rememberedValues<TargetRecord>((key) => findTarget(lookUp, key as RouteKey))
  const addresses = rememberedValues<string | undefined>((key) => {
    const [port = "", machine = ""] = key.split(" ")
    return within(timeoutMs, () => address!({ machine, port: Number(port) }))
  })

  /** Targets of `fresh` are looked up now; `"all"`: every one. */
  return async (
    ingresses: readonly DeclaredIngress[],
    grants: readonly Grant[],
    fresh: readonly DeclaredIngress[] | "all",
  ): Promise<PreparedExport> => {
    const keys = keysOf(ingresses)
    const found = await records.all(keys, fresh === "all" ? keys : keysOf(fresh))
    const dialled = address === undefined ? undefined : machinePorts(ingresses, found, grammar)
    const given = dialled && (await addresses.all(dialled, fresh === "all" ? dialled : new Set()))

    const access = accessByPort(ingresses, found, grammar)
    const withheld: ExportProblem[] = []
    const numbers = new Map<string, readonly number[]>()
    const exported: DeclaredIngress[] = []
    for (const ingress of ingresses) {
      const rules: DeclaredRule[] = []
      const kept: number[] = []
      for (const [at, rule] of ingress.rules.entries()) {
        const problem = withholding(ingress, rule, at)
        if (problem !== undefined) withheld.push(problem)
        else {
          kept.push(at)
          rules.push(exportedRule(rule))
        }
      }
      if (rules.length === 0) continue
      exported.push(rules.every((rule, at) => rule === ingress.rules[at]) ? ingress : { ...ingress, rules })
      if (kept.length !== ingress.rules.length) numbers.set(ingress.name, kept)
    }

    function withholding(ingress: DeclaredIngress, rule: DeclaredRule, at: number): ExportProblem | undefined {
      const problem = (field: string, reason: string): ExportProblem => ({
        kind: "unsupported",
        ingress: ingress.name,
        field: `rules.${at}.${field}`,
        reason,
      })
      try {
        checkHostname(hostnames, rule, `rules.${at}`)
      } catch {
        return problem("match.hostname", "is not allowed")
      }
      for (const target of rule.targets) {
        if (target.kind === "capture" && ingress.owner !== undefined) {
          return problem("targets", "may lead to machines of others: a front does not know whose a captured machine is")
        }
        if (target.kind === "url" && ingress.owner !== undefined && !options.checksUrls) {
          return problem("targets", "lead to an address that nobody has allowed: set authorizeUrl")
        }
        if (!isRecorded(target)) continue
        const record = found.get(targetKey(target))
        if (record !== undefined && permission(ingress.owner, target, record, grants) === "none") {
          return problem("targets", "lead to a machine or project of another owner, without a grant")
        }
        if (settingsAt(target, record, grammar).visibility === "private") {
          return problem("targets", "lead to a port that is private at the router")
        }
      }
      const settings = inherited(rule)
      return settings === undefined ? problem("targets", "lead to ports with different access control") : undefined
    }

    /** The access control of the ports that a rule leads to. Undefined: they differ, and one rule cannot have both. */
    function inherited(rule: DeclaredRule): Access | undefined {
      if (access.size === 0 || rule.match.protocol !== "http") return {}
      const each = rule.targets.map((target) => ({
        ...accessOf(rule),
        ...access.get(dialledPort(target, found, grammar) ?? ""),
      }))
      return each.every((one) => isSame(one, each[0])) ? each[0]! : undefined
    }

    function exportedRule(rule: DeclaredRule): DeclaredRule {
      const targets = rule.targets.map((target) => dialledTarget(target, found, grammar))
      const settings = inherited(rule)!
      const isSame = targets.every((target, at) => target === rule.targets[at])
      return isSame && Object.keys(settings).every((field) => Object.hasOwn(rule, field))
        ? rule
        : { ...rule, ...settings, targets }
    }

    const input: ExportInput = {
      ingresses: exported,
      address: (target: DialledTarget) => {
        const record = found.get(targetKey(target))
        if (record?.machine === undefined || target.port === undefined) return undefined
        if (given !== undefined) return given.get(`${target.port} ${record.machine}`)
        return record.origin === undefined ? undefined : readOrigin(record.origin)?.host
      },
      ...(internalZone === undefined ? {} : { internalZone }),
    }
    return { input, withheld, ruleNumber: (ingress, at) => numbers.get(ingress)?.[at] ?? at }
  }
}

const keysOf = (ingresses: readonly DeclaredIngress[]): ReadonlySet<string> => {
  const keys = new Set<string>()
  for (const { rules } of ingresses) {
    for (const { targets } of rules) for (const target of targets) if (isRecorded(target)) keys.add(targetKey(target))
  }
  return keys
}

const machinePorts = (
  ingresses: readonly DeclaredIngress[],
  found: ReadonlyMap<string, TargetRecord>,
  grammar: Grammar,
): ReadonlySet<string> => {
  const keys = new Set<string>()
  for (const target of ingresses.flatMap(({ rules }) => rules.flatMap(({ targets }) => targets))) {
    if (!isRecorded(target)) continue
    const machine = found.get(targetKey(target))?.machine
    const { port } = dialledTarget(target, found, grammar) as DialledTarget
    if (machine !== undefined && port !== undefined) keys.add(`${port} ${machine}`)
  }
  return keys
}

/** A target as it is dialled: a project's port filled in, and that of an origin which leads to one port alone. */
const dialledTarget = (
  target: DeclaredTarget,
  found: ReadonlyMap<string, TargetRecord>,
  grammar: Grammar,
): DeclaredTarget => {
  if (!isRecorded(target)) return target
  const record = found.get(targetKey(target))
  const origin = record?.origin === undefined ? undefined : readOrigin(record.origin)
  const port = origin?.port ?? target.port ?? record?.port ?? grammar.defaultPort
  const protocol = origin?.isTls === true && target.protocol === "http" ? "https" : target.protocol
  return port === target.port && protocol === target.protocol ? target : { ...target, port, protocol }
}

/** The origin of a machine of type `upstream`, as the provider reads it. */
const readOrigin = (
  origin: string,
): { readonly host: string; readonly port: number | undefined; readonly isTls: boolean } | undefined => {
  if (!URL.canParse(origin)) return undefined
  const { protocol, hostname } = new URL(origin)
  // A URL drops the default port of its scheme, so the text says whether one was named.
  const port = /:(\d+)$/.exec(origin)?.[1]
  const host = hostname.replace(/^\[|\]$/g, "")
  return { host, port: port === undefined ? undefined : Number(port), isTls: protocol === "https:" }
}

/** The access control that owners gave their ports, with the values of headers, which fronts need. */
const accessByPort = (
  ingresses: readonly DeclaredIngress[],
  found: ReadonlyMap<string, TargetRecord>,
  grammar: Grammar,
): ReadonlyMap<string, Access> => {
  const access = new Map<string, Access>()
  for (const { owner, rules } of ingresses) {
    for (const rule of rules) {
      if (rule.match.protocol !== "http" || Object.keys(accessOf(rule)).length === 0) continue
      for (const target of rule.targets) {
        const key = dialledPort(target, found, grammar)
        if (key === undefined || !isRecorded(target)) continue
        if (owner !== undefined && owner !== found.get(targetKey(target))?.owner) continue
        access.set(key, { ...access.get(key), ...accessOf(rule) })
      }
    }
  }
  return access
}

/** What restricts who comes in. */
type Access = Partial<Pick<DeclaredRule, "allowCidrs" | "requireHeader">>

const accessOf = ({ allowCidrs, requireHeader }: DeclaredRule): Access => ({
  ...(allowCidrs === undefined ? {} : { allowCidrs }),
  ...(requireHeader === undefined ? {} : { requireHeader }),
})

/** The port of the machine, whether it is reached by its id or by its project. */
const dialledPort = (
  target: DeclaredTarget,
  found: ReadonlyMap<string, TargetRecord>,
  grammar: Grammar,
): string | undefined => {
  const record = isRecorded(target) ? found.get(targetKey(target)) : undefined
  if (record?.machine === undefined || !isRecorded(target)) return undefined
  return `${target.port ?? record.port ?? grammar.defaultPort} ${record.machine}`
}
