import type { PortSettings } from "@project-ingress/router"
import { SettingsConflict } from "../resource/errors.ts"
import { matchPort } from "../resource/ingress.ts"
import type { DeclaredIngress, DeclaredRule, DeclaredTarget } from "../resource/ingress.ts"
import type { ExportProblem } from "../fronts/front.ts"
import { isRecorded } from "./targets.ts"

/** What a rule may say of the port that it leads to. The first two are access control. */
export const RULE_SETTINGS = ["allowCidrs", "requireHeader", "responseHeaders", "healthCheck"] as const
export type RuleSetting = (typeof RULE_SETTINGS)[number]
export type ClaimedSettings = Pick<PortSettings, RuleSetting>

export const isAccess = (field: RuleSetting): boolean => field === "allowCidrs" || field === "requireHeader"

/** The settings that a rule gives, as a record has them: without the value of a required header. */
export const settingsOfRule = (rule: DeclaredRule): ClaimedSettings => {
  const { allowCidrs, requireHeader, responseHeaders, healthCheck } = rule
  return {
    ...(allowCidrs === undefined ? {} : { allowCidrs }),
    ...(requireHeader === undefined
      ? {}
      : { requireHeader: { name: requireHeader.name, sha256: requireHeader.sha256 } }),
    ...(responseHeaders === undefined ? {} : { responseHeaders }),
    ...(healthCheck === undefined ? {} : { healthCheck }),
  }
}

/** What an ingress says of a port. */
export interface Claim {
  readonly owner: string | undefined
  readonly ingress: string
  /** `rules.0` */
  readonly at: string
  readonly settings: ClaimedSettings
}

/** `machine mach_1 8080`, `project misha 8080`: where settings can hang. */
export const portKey = (target: DeclaredTarget): string | undefined => {
  if (target.kind === "machine") return `machine ${target.machine} ${target.port}`
  return target.kind === "project" && target.port !== undefined ? `project ${target.project} ${target.port}` : undefined
}

/** What is claimed for each port by rules with settings. */
export const claimsOf = (ingresses: readonly DeclaredIngress[]): ReadonlyMap<string, readonly Claim[]> => {
  const claims = new Map<string, Claim[]>()
  for (const { name, owner, rules } of ingresses) {
    for (const [at, rule] of rules.entries()) {
      if (rule.match.protocol !== "http" || !RULE_SETTINGS.some((field) => rule[field] !== undefined)) continue
      const settings = settingsOfRule(rule)
      for (const key of new Set(rule.targets.map(portKey))) {
        if (key === undefined) continue
        const claim = { owner, ingress: name, at: `rules.${at}`, settings }
        const others = claims.get(key)
        if (others === undefined) claims.set(key, [claim])
        else others.push(claim)
      }
    }
  }
  return claims
}

/** What is claimed, by the number of the port. */
export const claimsByPort = (ingresses: readonly DeclaredIngress[]): ReadonlyMap<number, readonly Claim[]> => {
  const all = [...claimsOf(ingresses)].flatMap(([key, claims]) =>
    claims.map((claim) => [Number(key.slice(key.lastIndexOf(" "))), claim] as const),
  )
  const ports = Map.groupBy(all, ([port]) => port)
  return new Map(Array.from(ports, ([port, claims]) => [port, claims.map(([, claim]) => claim)]))
}

/**
 * The rules that lead to one port must agree on it: on access control also where one of them says nothing, since a front has it
 * by hostname. Rules by a grant count nowhere; they get what the owner's have.
 *
 * @throws {SettingsConflict}
 */
export const checkAgreement = (
  ingress: Pick<DeclaredIngress, "owner" | "rules"> & { readonly id: string | undefined },
  others: readonly DeclaredIngress[],
  ownerOf: (target: DeclaredTarget) => string | undefined,
): void => {
  const owners = new Map<string, string | undefined>()
  const names = new Set<string>()
  for (const rule of ingress.rules) {
    for (const target of rule.targets) {
      const key = agreementKey(rule, target)
      if (key === undefined) continue
      owners.set(key, target.kind === "url" ? ingress.owner : ownerOf(target))
      names.add(nameOf(target)!)
    }
  }
  // What was said of a port, each once: a document may say the same a thousand times.
  const said = new Map<string, Map<string, ClaimedSettings>>()
  const visit = (of: Pick<DeclaredIngress, "owner" | "rules">, isChecked: boolean): void => {
    for (let at = 0; at < of.rules.length; at++) {
      const rule = of.rules[at]!
      for (const target of rule.targets) {
        // First what is cheap: there may be ten thousand rules.
        if (!names.has(nameOf(target) ?? "") || rule.match.protocol !== "http") continue
        const key = agreementKey(rule, target)
        if (key === undefined || !owners.has(key)) continue
        if (of.owner !== undefined && of.owner !== owners.get(key)) continue
        const settings = settingsOfRule(rule)
        const before = said.get(key) ?? new Map<string, ClaimedSettings>()
        const text = canonical(settings)
        if (before.has(text)) continue
        const field = RULE_SETTINGS.find(
          (field) =>
            (target.kind !== "url" || isAccess(field)) &&
            [...before.values()].some((other) => differs(field, settings, other)),
        )
        if (field !== undefined && isChecked) throw new SettingsConflict({ field: `rules.${at}.${field}` })
        said.set(key, before.set(text, settings))
      }
    }
  }
  for (const other of others) if (other.id !== ingress.id) visit(other, false)
  visit(ingress, true)
}

/**
 * Fronts know nothing of what somebody has set at a port by another way than a rule, and would let everybody in: so the rule has to say the
 * same, or another rule of the owner of the port.
 *
 * @throws {SettingsConflict}
 */
export const checkSetByHand = (
  { allowCidrs, requireHeader }: ClaimedSettings,
  claims: readonly Claim[],
  rule: DeclaredRule,
  at: string,
): void => {
  for (const [field, value] of Object.entries({ allowCidrs, requireHeader })) {
    const isSaid = [settingsOfRule(rule), ...claims.map(({ settings }) => settings)].some((settings) =>
      isSame(settings[field as RuleSetting], value),
    )
    if (value !== undefined && !isSaid) throw new SettingsConflict({ field: `${at}.${field}` })
  }
}

const differs = (field: RuleSetting, one: ClaimedSettings, other: ClaimedSettings): boolean => {
  const [a, b] = [one[field], other[field]]
  if (a === undefined || b === undefined) return isAccess(field) && a !== b
  return !isSame(a, b)
}

/**
 * What rules agree about: a port of a machine or project, or an address under one hostname and port. By path alone nobody is kept out of
 * it: to the app `/%61dmin` may be `/admin`.
 */
const agreementKey = (rule: DeclaredRule, target: DeclaredTarget): string | undefined =>
  target.kind === "url"
    ? `url ${rule.match.hostname?.wildcard} ${matchPort(rule)} ${target.protocol} ${target.host} ${target.port}`
    : portKey(target)

const nameOf = (target: DeclaredTarget): string | undefined => {
  if (target.kind === "machine") return target.machine
  if (target.kind === "project") return target.project
  return target.kind === "url" ? target.host : undefined
}

/** Equal JSON, whatever the order of names. */
export const isSame = (one: unknown, other: unknown): boolean => canonical(one) === canonical(other)

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) =>
    typeof each === "object" && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  ) ?? "undefined"

/** What the router does not carry out. With `isAccess` the rule would be open there. */
export interface RouterProblem extends ExportProblem {
  readonly kind: "unsupported"
  readonly isAccess: boolean
}

/** What our own router cannot do of an ingress: fields that only other fronts have, and settings that have no port to hang on. */
export const routerProblems = (
  { name, rules }: Pick<DeclaredIngress, "name" | "rules">,
  {
    hasRegistry,
    isGranted,
  }: { readonly hasRegistry: boolean; readonly isGranted: (target: DeclaredTarget) => boolean },
): readonly RouterProblem[] => {
  const problems: RouterProblem[] = []
  const add = (field: string, reason: string, isAccess = false): void =>
    void problems.push({ kind: "unsupported", ingress: name, field, reason, isAccess })
  for (const [at, rule] of rules.entries()) {
    const { match, passthrough = false, proxyProtocol } = rule
    const path = `rules.${at}`
    if (match.protocol !== "http") {
      add(`${path}.match.protocol`, `is ${match.protocol}, which only other fronts have`)
      continue
    }
    if (passthrough) add(`${path}.passthrough`, "is for other fronts")
    if (proxyProtocol !== undefined) add(`${path}.proxyProtocol`, "is for other fronts")
    const given = RULE_SETTINGS.filter((field) => rule[field] !== undefined)
    for (const target of rule.targets) {
      const isSpoken = target.protocol === "http" || (target.kind === "url" && target.protocol === "https")
      if (!isSpoken) add(`${path}.targets`, `speak ${target.protocol}, which only other fronts do`)
      const reason = noPort(target, hasRegistry, isGranted)
      if (reason !== undefined) for (const field of given) add(`${path}.${field}`, reason, isAccess(field))
    }
  }
  return problems
}

/** Why settings have no port of a target to hang on. */
const noPort = (
  target: DeclaredTarget,
  hasRegistry: boolean,
  isGranted: (target: DeclaredTarget) => boolean,
): string | undefined => {
  if (target.kind === "capture") return "needs one known machine: settings hang on its port"
  if (!isRecorded(target)) return undefined
  if (!hasRegistry) return "needs a registry to write it to"
  if (target.port === undefined) return "needs the port of the target: settings hang on it"
  return isGranted(target) ? "is for the owner of the target to say" : undefined
}
