import type { ProviderEvent } from "@project-ingress/providers/effect"
import type { TraceStep } from "../program/trace.ts"
import type { RequestEvent, RouterEvent } from "../router-options.ts"
import { clipped } from "./html.ts"

/** Errors of one code since the collector was made. */
export interface RecentError {
  /** Of the error response: `ROUTE_NOT_FOUND`. */
  readonly code: string
  readonly count: number
  /** The last ones, the newest first, at most 5. */
  readonly last: readonly RecentFailure[]
}

/** One request that failed. Its texts are at most 300 characters long, and untrusted. */
export interface RecentFailure {
  /** In ms since 1970. */
  readonly at: number
  readonly host: string
  readonly status: number
  readonly reason?: string
  readonly requestId: string
}

/** A machine that requests were sent to, or that something was reported of. Its texts are untrusted. */
export interface RecentMachine {
  /** The machine's `id`; absent as long as only its provider's name of it is known. */
  readonly machine?: string
  /** The machine's `type`. */
  readonly provider: string
  /** The provider's name of it. */
  readonly externalId?: string
  readonly requests: number
  /** Requests that ended with an error response. */
  readonly failures: number
  /** When something was last heard of it, in ms since 1970. */
  readonly at: number
  /** The code of its last request, if that failed. */
  readonly code?: string
  /** What the balancer says of it. */
  readonly health?: "ejected" | "kept" | "returned"
  /** Work for it that fails now: `start`, `keepAlive`. */
  readonly failing?: string
  /** True once a response was refused because the machine's own key did not make its stamp: see the event `proof`. */
  readonly wrongStamp?: true
  /** Why it is as it is. */
  readonly reason?: string
}

/** What was seen of a router's events. */
export interface RecentSnapshot {
  /** Since when, in ms since 1970. */
  readonly since: number
  /** The most frequent first, at most 64 codes. */
  readonly errors: readonly RecentError[]
  /** The last ones heard of first, at most 500. */
  readonly machines: readonly RecentMachine[]
  /** What look-ups come to. */
  readonly store: { readonly state: "working" | "failing"; readonly reason?: string }
}

/** Collects what the console shows of the events of one router. */
export interface RecentEvents {
  /** For `createRouter({ onEvent })`, alone or beside a log. Never throws. */
  readonly onEvent: (event: RouterEvent) => void
  readonly snapshot: () => RecentSnapshot
}

const MAX_CODES = 64
const MAX_EXAMPLES = 5
const MAX_MACHINES = 500
const MAX_TEXT = 300

/**
 * Keeps the last failures by code and the last 500 machines in this process or isolate, some 300 kB at most whatever happens. Texts are cut at
 * 300 characters. Starts nothing.
 *
 * @example
 * const recent = recentEvents()
 * const router = createRouter({ …, onEvent: (event) => { recent.onEvent(event); log(event) } })
 */
export const recentEvents = (): RecentEvents => {
  const since = Date.now()
  const errors = new Map<string, { count: number; last: readonly RecentFailure[] }>()
  /** The oldest first. */
  const machines = new Map<string, Entry>()
  let store: RecentSnapshot["store"] = { state: "working" }

  const failed = (code: string, event: RequestEvent): void => {
    const { count, last } = errors.get(code) ?? { count: 0, last: [] }
    const { host, status, reason, requestId } = event
    const failure = { at: Date.now(), host: cut(host), status, ...reasonOf(reason), requestId: cut(requestId) }
    // A machine may make up codes: the rarest makes room, so that they cannot displace those that are frequent.
    if (count === 0 && errors.size >= MAX_CODES) errors.delete(rarest(errors))
    errors.set(code, { count: count + 1, last: [failure, ...last].slice(0, MAX_EXAMPLES) })
  }

  const heard = (key: string, change: Partial<RecentMachine> & Pick<RecentMachine, "provider">): void => {
    const known = machines.get(key) ?? { requests: 0, failures: 0 }
    machines.delete(key)
    machines.set(key, { ...known, ...change, at: Date.now() })
    if (machines.size > MAX_MACHINES) machines.delete(machines.keys().next().value!)
  }

  const onRequest = (event: RequestEvent): void => {
    const code = event.code === undefined ? undefined : cut(event.code)
    if (code !== undefined) failed(code, event)
    const step = event.trace.findLast((step) => step.step === "machine")
    // What a policy refused, or another region responded to, says nothing of the machine.
    if (step === undefined || event.trace.at(-1)?.step === "policy" || event.trace.some(isElsewhere)) return
    const [machine, provider, externalId] = [cut(step.outcome), cut(step.type), cut(step.externalId)]
    const key = byId(provider, machine)
    const entry = machines.get(key)
    if (entry !== undefined && code === undefined && entry.code === undefined) {
      // Nearly every request: nothing is copied.
      entry.requests++
      entry.at = Date.now()
      machines.delete(key)
      machines.set(key, entry)
      return
    }
    if (entry === undefined) {
      // What its provider reported before its first request is kept under the provider's name of it.
      const reported = machines.get(byExternalId(provider, externalId))
      machines.delete(byExternalId(provider, externalId))
      if (reported !== undefined) machines.set(key, reported)
    }
    const { requests = 0, failures = 0, code: _, ...known } = machines.get(key) ?? {}
    machines.delete(key)
    const failure = code === undefined ? {} : { code, ...reasonOf(event.reason) }
    const counts = { requests: requests + 1, failures: failures + (code === undefined ? 0 : 1) }
    heard(key, { ...known, ...counts, ...failure, machine, provider, externalId })
  }

  const onProvider = ({ provider: type, machine, operation, state, reason }: ProviderEvent): void => {
    if (machine === undefined) return
    const [provider, externalId] = [cut(type), cut(machine)]
    const isIt = (each: RecentMachine) => each.provider === provider && each.externalId === externalId
    const [key] = [...machines].find(([, each]) => isIt(each)) ?? []
    if (state === "failing") {
      heard(key ?? byExternalId(provider, externalId), {
        provider,
        externalId,
        failing: operation,
        ...reasonOf(reason),
      })
    } else if (key !== undefined) {
      const { failing: _, reason: __, ...known } = machines.get(key)!
      machines.set(key, known)
    }
  }

  const onOther = (event: RouterEvent): void => {
    if (event.type === "store") {
      store = event.state === "failing" ? { state: "failing", ...reasonOf(event.reason) } : { state: "working" }
    } else if (event.type === "machine_health" || event.type === "proof") {
      const [machine, provider] = [cut(event.machine), cut(event.provider)]
      const wrongStamp =
        event.type === "proof" && event.outcome === "wrong_stamp" ? ({ wrongStamp: true } as const) : {}
      const health = event.type === "proof" ? wrongStamp : { health: event.state }
      heard(byId(provider, machine), { machine, provider, ...health, ...reasonOf(event.reason) })
    } else if (event.type === "provider") onProvider(event)
  }

  return {
    onEvent: (event) => {
      try {
        if (event.type === "request") onRequest(event)
        else onOther(event)
      } catch {
        // A console that fails must not fail a request, or the log beside it.
      }
    },
    snapshot: () => ({
      since,
      errors: [...errors]
        .map(([code, { count, last }]) => ({ code, count, last }))
        .toSorted((a, b) => b.count - a.count),
      machines: [...machines.values()].toReversed().map((entry) => ({ ...entry })),
      store,
    }),
  }
}

const isElsewhere = (step: TraceStep): boolean =>
  step.step === "closed" || (step.step === "region" && step.decision !== "here")

const rarest = (errors: ReadonlyMap<string, { readonly count: number }>): string =>
  [...errors].reduce((found, each) => (each[1].count < found[1].count ? each : found))[0]

// A provider's type is the platform's own and has no control character.
const byId = (provider: string, id: string): string => `${provider}\0id\0${id}`
const byExternalId = (provider: string, externalId: string): string => `${provider}\0name\0${externalId}`

/** What is kept of a machine. */
type Entry = { -readonly [Field in keyof RecentMachine]: RecentMachine[Field] }

const cut = (text: string): string => clipped(text, MAX_TEXT)

const reasonOf = (reason: string | undefined): { readonly reason?: string } =>
  reason === undefined ? {} : { reason: cut(reason) }
