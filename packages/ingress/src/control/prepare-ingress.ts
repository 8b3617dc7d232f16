import { candidates } from "@project-ingress/hostname"
import type { Candidate, Grammar } from "@project-ingress/hostname"
import { within } from "@project-ingress/router/internal"
import { FrontRefused, HostnameInUse, HostnameNotAllowed, IngressInvalid, TargetNotFound } from "../resource/errors.ts"
import { matchPort } from "../resource/ingress.ts"
import type { DeclaredIngress, DeclaredRule, DeclaredTarget } from "../resource/ingress.ts"
import { clashIndex } from "./clashes.ts"
import type { IngressTable } from "./ingress-table.ts"
import type { IngressesOptions } from "./ingresses.ts"
import type { LookUp } from "./look-up.ts"
import { checkAgreement, checkSetByHand, claimsByPort, routerProblems } from "./port-settings.ts"
import type { Claim } from "./port-settings.ts"
import { checkHostname } from "./reserved.ts"
import type { HostnameRules } from "./reserved.ts"
import { checkTarget, findTarget, isRecorded, permission, settingsAt, targetKey } from "./targets.ts"
import type { TargetRecord } from "./targets.ts"

export interface PrepareOptions extends Pick<
  IngressesOptions,
  "authorizeHostname" | "authorizeUrl" | "findMachine" | "registry"
> {
  readonly grammar: Grammar
  readonly hostnames: HostnameRules
  readonly lookUp: LookUp
  readonly hasFronts: boolean
  readonly timeoutMs: number
}

/** What is declared, before it is an ingress. */
export type Draft = Pick<DeclaredIngress, "name" | "owner" | "rules"> & { readonly id: string | undefined }

/**
 * Checks a document against all that is there, and resolves what it says of machines. What needs no look-up comes first, and
 * what belongs to the platform before everything.
 *
 * @throws {IngressError | LookupUnavailable}
 */
export const makePrepareIngress = (options: PrepareOptions, table: IngressTable) => {
  const { hostnames, lookUp, timeoutMs, hasFronts, authorizeHostname, authorizeUrl, findMachine } = options

  const authorize = async ({ owner, rules }: Draft): Promise<void> => {
    for (const [at, { match, targets }] of rules.entries()) {
      const hostname = match.hostname?.text
      if (hostname !== undefined && authorizeHostname !== undefined) {
        const isAllowed = await within(timeoutMs, () => authorizeHostname({ hostname, owner }))
        if (!isTrue(isAllowed)) throw new HostnameNotAllowed({ field: `rules.${at}.match.hostname`, hostname })
      }
      if (owner === undefined) continue
      for (const [index, target] of targets.entries()) {
        if (target.kind !== "url" || (authorizeUrl === undefined && !hasFronts)) continue
        const { host, port, protocol } = target
        const isAllowed =
          authorizeUrl !== undefined && (await within(timeoutMs, () => authorizeUrl({ host, port, protocol, owner })))
        if (isTrue(isAllowed)) continue
        throw new IngressInvalid({ field: targetField(targets, at, index, "url"), accepted: "an allowed address" })
      }
    }
  }

  const checkPlaces = async ({ id, owner, rules }: Draft, isOperator: boolean): Promise<void> => {
    const before = clashIndex()
    for (const [at, rule] of rules.entries()) {
      if (before.find(rule, owner, undefined) !== undefined) throw inUse(rule, at, undefined)
      before.add({ ingress: { id: "", ...(owner === undefined ? {} : { owner }) }, rule })
      const other = table.clashWith(rule, owner, id)
      if (other === undefined) continue
      throw inUse(rule, at, isOperator || other.ingress.owner === owner ? other.ingress.name : undefined)
    }
    for (const [at, rule] of rules.entries()) {
      const { hostname } = rule.match
      if (hostname !== undefined) await checkDomains(rule, hostname.wildcard, owner, at)
    }
  }

  /** A verified domain comes first at the router, and what is under it is its owner's. */
  const checkDomains = async (
    rule: DeclaredRule,
    wildcard: string,
    owner: string | undefined,
    at: number,
  ): Promise<void> => {
    const localPort = matchPort(rule)
    for (const key of [`d:${wildcard}`, `d:${localPort}:${wildcard}`] as const) {
      if ((await lookUp(key)) !== undefined) throw inUse(rule, at, undefined)
    }
    if (owner === undefined) return
    // A port as first label, so that the domain above it is among the keys.
    const sample = wildcard.replaceAll("*", "4096")
    const keys = candidates(options.grammar, sample, { localPort })
    if (!Array.isArray(keys)) return
    for (const { key } of keys as readonly Candidate[]) {
      if (key.endsWith(`:${sample}`)) continue
      const record = await lookUp(key)
      if (record !== undefined && record.owner !== owner) throw inUse(rule, at, undefined)
    }
  }

  const resolveMachine = async (
    target: DeclaredTarget,
    owner: string | undefined,
    field: string,
  ): Promise<DeclaredTarget> => {
    if (target.kind !== "machine") return target
    const reference = target.machine
    const id = findMachine === undefined ? reference : await within(timeoutMs, () => findMachine(reference, { owner }))
    if (typeof id !== "string") throw new TargetNotFound({ field, kind: "machine", reference })
    return { ...target, machine: id.toLowerCase() }
  }

  return async <Given extends Draft>(given: Given, isOperator: boolean): Promise<Given> => {
    for (const [at, rule] of given.rules.entries()) checkHostname(hostnames, rule, `rules.${at}`)
    await authorize(given)
    await checkPlaces(given, isOperator)

    const { grants } = table.view()
    const records = new Map<DeclaredTarget, TargetRecord>()
    const rules: DeclaredRule[] = []
    for (const [at, rule] of given.rules.entries()) {
      const targets: DeclaredTarget[] = []
      for (const [index, target] of rule.targets.entries()) {
        const path = targetField(rule.targets, at, index)
        const resolved = await resolveMachine(target, given.owner, `${path}.machine`)
        targets.push(resolved)
        if (!isRecorded(resolved)) continue
        const record = await findTarget(lookUp, targetKey(resolved))
        checkTarget(given.owner, resolved, record, grants, path)
        records.set(resolved, record)
      }
      rules.push({ ...rule, targets })
    }
    const prepared = { ...given, rules }
    const isGranted = (target: DeclaredTarget): boolean => {
      const record = records.get(target)
      return isRecorded(target) && record !== undefined && permission(given.owner, target, record, []) === "none"
    }
    refuse(prepared, isGranted)
    checkAgreement(prepared, table.view().ingresses, (target) => records.get(target)?.owner)
    if (hasFronts) checkPortsByHand(prepared, records)
    return prepared
  }

  function checkPortsByHand({ rules }: Draft, records: ReadonlyMap<DeclaredTarget, TargetRecord>): void {
    // By machine or by project: of one port number, and of one owner.
    let claims: ReadonlyMap<number, readonly Claim[]> | undefined
    for (const [at, rule] of rules.entries()) {
      for (const target of rule.match.protocol === "http" ? rule.targets : []) {
        const record = records.get(target)
        if (!isRecorded(target)) continue
        const port = target.port ?? record?.port ?? options.grammar.defaultPort
        const set = settingsAt(target, record, options.grammar)
        if (set.visibility === "private") {
          const reason = "leads to a port that is private at the router, which no front can keep private"
          throw new FrontRefused({ front: "fronts", field: `rules.${at}.target`, reason })
        }
        if (set.allowCidrs === undefined && set.requireHeader === undefined) continue
        claims ??= claimsByPort(table.view().ingresses)
        const own = claims.get(port)?.filter(({ owner }) => owner === undefined || owner === record?.owner) ?? []
        checkSetByHand(set, own, rule, `rules.${at}`)
      }
    }
  }

  function refuse(prepared: Draft, isGranted: (target: DeclaredTarget) => boolean): void {
    const problems = routerProblems(prepared, { hasRegistry: options.registry !== undefined, isGranted })
    // Whoever restricts a hostname must not find it open; whatever else the router cannot do, a front may.
    const refused = problems.find(({ isAccess, field }) => isAccess || (!hasFronts && !isCosmetic(field)))
    if (refused !== undefined) throw new FrontRefused({ front: "router", ...refused })
    if (!hasFronts || prepared.owner === undefined) return
    for (const [at, { targets }] of prepared.rules.entries()) {
      const index = targets.findIndex(({ kind }) => kind === "capture")
      if (index === -1) continue
      const reason = "may lead to machines of others: only an ingress without owner may have it where there are fronts"
      throw new FrontRefused({ front: "fronts", field: targetField(targets, at, index, "capture"), reason })
    }
  }
}

/** What is not typed may give a promise's object, or a text: only `true` allows. */
const isTrue = (value: unknown): boolean => value === true

/** Settings that change nothing about who comes in: reported in the status, not refused. */
const isCosmetic = (field: string): boolean => /\.(?:responseHeaders|healthCheck)$/.test(field)

const targetField = (targets: readonly DeclaredTarget[], at: number, index: number, field?: string): string => {
  const path = targets.length === 1 ? `rules.${at}.target` : `rules.${at}.targets.${index}`
  return field === undefined ? path : `${path}.${field}`
}

const inUse = (rule: DeclaredRule, at: number, ingress: string | undefined): HostnameInUse => {
  const { hostname } = rule.match
  const field = `rules.${at}.match.${hostname === undefined ? "port" : "hostname"}`
  return new HostnameInUse({ field, hostname: hostname?.text ?? "*", port: matchPort(rule), ingress })
}
