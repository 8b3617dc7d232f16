import { candidates } from "@project-ingress/hostname"
import type { Candidate, Grammar } from "@project-ingress/hostname"
import type { RouteKey, RouteStore } from "@project-ingress/router"
import { decodeRecord, within } from "@project-ingress/router/internal"
import type { ExportProblem } from "../fronts/front.ts"
import { matchPort } from "../resource/ingress.ts"
import type { DeclaredIngress, DeclaredTarget } from "../resource/ingress.ts"
import { isWildcard } from "../resource/hostname-pattern.ts"
import type { Grant } from "../storage/ingress-storage.ts"
import type { FrontState } from "./changes.ts"
import type { LookUp } from "./look-up.ts"
import { routerProblems } from "./port-settings.ts"
import type { Condition, IngressStatus, ParentStatus } from "./status.ts"
import { findTarget, isRecorded, permission, targetKey } from "./targets.ts"

export interface StatusOptions {
  readonly grammar: Grammar
  readonly lookUp: LookUp
  readonly store: RouteStore
  readonly fronts: readonly { readonly name: string }[]
  readonly states: ReadonlyMap<string, FrontState>
  readonly hasRegistry: boolean
  readonly publicPorts: Readonly<Record<number, number>>
  readonly timeoutMs: number
}

type Verdict = Omit<Condition, "observedGeneration">

/** What became of an ingress, at the router and at each front. Never rejects: what cannot be found out is `Unknown`. */
export const statusOf = async (
  options: StatusOptions,
  ingress: DeclaredIngress,
  grants: readonly Grant[],
): Promise<IngressStatus> => {
  const { fronts, states } = options
  const refs = await references(options.lookUp, ingress, grants)
  const parents: ParentStatus[] = [
    { parent: "router", conditions: dated(await atRouter(options, ingress, refs), ingress) },
    ...fronts.map(({ name }) => ({
      parent: name,
      conditions: dated(atFront(ingress, refs.verdict, states.get(name)), ingress),
    })),
  ]
  return { id: ingress.id, name: ingress.name, parents }
}

const dated = (verdicts: readonly Verdict[], { version }: DeclaredIngress): readonly Condition[] =>
  verdicts.map((verdict) => ({ ...verdict, observedGeneration: version }))

const atRouter = async (
  options: StatusOptions,
  ingress: DeclaredIngress,
  { verdict, granted }: References,
): Promise<readonly Verdict[]> => {
  const isGranted = (target: DeclaredTarget): boolean => isRecorded(target) && granted.has(targetKey(target))
  const problems = routerProblems(ingress, { hasRegistry: options.hasRegistry, isGranted })
  const accepted = await acceptedAtRouter(options.lookUp, ingress, problems)
  const isAccepted = accepted.status === "True"
  const programmed: Verdict = isAccepted
    ? good("Programmed")
    : { type: "Programmed", status: "False", reason: "Invalid", message: "Not all of it is carried out here." }
  return [accepted, verdict, programmed, await served(options, ingress)]
}

const acceptedAtRouter = async (
  lookUp: LookUp,
  { rules }: DeclaredIngress,
  problems: readonly ExportProblem[],
): Promise<Verdict> => {
  const type = "Accepted"
  for (const [at, { match }] of rules.entries()) {
    if (match.hostname === undefined) continue
    try {
      // Verified after it was declared.
      if ((await lookUp(`d:${match.hostname.wildcard}`)) === undefined) continue
    } catch {
      continue
    }
    const message = `rules.${at}.match.hostname is a verified domain of a project, which comes first.`
    return { type, status: "False", reason: "HostnameConflict", message }
  }
  if (problems.length === 0) return good(type)
  return { type, status: "False", reason: "UnsupportedValue", message: sentences(problems) }
}

const atFront = (ingress: DeclaredIngress, refs: Verdict, state: FrontState | undefined): readonly Verdict[] => {
  if (state === undefined) {
    const message = "Nothing was sent to this front since the process started."
    return [pending("Accepted", message), refs, pending("Programmed", message)]
  }
  const own = state.problems.filter((problem) => problem.ingress === ingress.name)
  const unsupported = own.filter(({ kind }) => kind === "unsupported")
  const unresolved = own.filter(({ kind }) => kind === "unresolved")
  const accepted: Verdict =
    unsupported.length === 0
      ? good("Accepted")
      : { type: "Accepted", status: "False", reason: "UnsupportedValue", message: sentences(unsupported) }
  const resolved: Verdict =
    refs.status !== "True" || unresolved.length === 0
      ? refs
      : { type: "ResolvedRefs", status: "False", reason: "BackendNotFound", message: sentences(unresolved) }
  if (state.versions.get(ingress.id) !== ingress.version) {
    return [accepted, resolved, pending("Programmed", "The front runs another version of it.", "False")]
  }
  const missing = [...unsupported, ...unresolved]
  return [
    accepted,
    resolved,
    missing.length === 0
      ? good("Programmed")
      : { type: "Programmed", status: "False", reason: "Invalid", message: sentences(missing) },
  ]
}

interface References {
  readonly verdict: Verdict
  /** Keys of targets that a grant alone leads to. */
  readonly granted: ReadonlySet<RouteKey>
}

const references = async (
  lookUp: LookUp,
  { owner, rules }: DeclaredIngress,
  grants: readonly Grant[],
): Promise<References> => {
  const type = "ResolvedRefs"
  const granted = new Set<RouteKey>()
  let verdict: Verdict = good(type)
  const worsen = (status: "False" | "Unknown", reason: string, message: string): void => {
    if (verdict.status === "True" || (verdict.status === "Unknown" && status === "False")) {
      verdict = { type, status, reason, message }
    }
  }
  for (const [at, { targets }] of rules.entries()) {
    for (const target of targets) {
      if (!isRecorded(target)) continue
      const name = `rules.${at}: ${target.kind} ${target.kind === "machine" ? target.machine : target.project}`
      try {
        const record = await findTarget(lookUp, targetKey(target))
        if (record === undefined) worsen("False", "BackendNotFound", `${name} does not exist.`)
        else {
          const allowed = permission(owner, target, record, grants)
          if (allowed === "granted") granted.add(targetKey(target))
          if (allowed === "none") worsen("False", "RefNotPermitted", `${name} has another owner, without a grant.`)
        }
      } catch {
        worsen("Unknown", "Unknown", `${name} cannot be looked up now.`)
      }
    }
  }
  return { verdict, granted }
}

/** Looks every literal hostname up, as the router would. */
const served = async (options: StatusOptions, { rules }: DeclaredIngress): Promise<Verdict> => {
  const { grammar, store, publicPorts, timeoutMs } = options
  const type = "Served"
  const asked = new Map<string, readonly RouteKey[]>()
  for (const rule of rules) {
    const { hostname, protocol } = rule.match
    if (protocol !== "http" || hostname === undefined || isWildcard(hostname)) continue
    const wanted = matchPort(rule)
    const listening = Object.entries(publicPorts).find(([, port]) => port === wanted)?.[0]
    const keys = candidates(grammar, hostname.text, { localPort: Number(listening ?? wanted) })
    if (Array.isArray(keys)) {
      asked.set(
        `${hostname.text}:${wanted}`,
        (keys as readonly Candidate[]).map(({ key }) => key),
      )
    }
  }
  if (asked.size === 0) {
    return { type, status: "Unknown", reason: "NoHostname", message: "No rule has one hostname to look up." }
  }
  const missing: string[] = []
  const unknown: string[] = []
  let layer: string | undefined
  let ageMs: number | undefined
  for (const [place, keys] of asked) {
    try {
      const found = await within(timeoutMs, (signal) => store.getFirst!(keys, { signal }))
      // A record may be too large for the router: a thousand rules of one hostname, with settings of their own.
      const record = found.status === "hit" ? decodeRecord(found.record).record : undefined
      const isLed = record !== undefined && record.kind !== "detached"
      if (found.status !== "unknown" && !isLed) missing.push(place)
      else if (found.status === "unknown") unknown.push(place)
      layer ??= found.layer
      if (found.ageMs !== undefined) ageMs = Math.max(ageMs ?? 0, found.ageMs)
    } catch {
      unknown.push(place)
    }
  }
  const verdict = (status: Verdict["status"], reason: string, message: string): Verdict => ({
    type,
    status,
    reason,
    message,
    ...(layer === undefined ? {} : { layer }),
    ...(ageMs === undefined ? {} : { ageMs }),
  })
  if (missing.length > 0) return verdict("False", "NotServed", `${shown(missing)}: no machine is led to.`)
  if (unknown.length > 0) return verdict("Unknown", "Unknown", `${shown(unknown)}: cannot be looked up now.`)
  return verdict("True", "Served", "Every hostname leads somewhere.")
}

const good = (type: "Accepted" | "ResolvedRefs" | "Programmed"): Verdict => ({
  type,
  status: "True",
  reason: type,
  message: "",
})

const pending = (
  type: "Accepted" | "Programmed",
  message: string,
  status: "Unknown" | "False" = "Unknown",
): Verdict => ({
  type,
  status,
  reason: "Pending",
  message,
})

const sentences = (problems: readonly ExportProblem[]): string =>
  shown(problems.map(({ field, reason }) => `${field} ${reason}`)) + "."

/** A message is for people. */
const shown = (parts: readonly string[]): string =>
  parts.length <= 10 ? parts.join("; ") : `${parts.slice(0, 10).join("; ")}; and ${parts.length - 10} more`
