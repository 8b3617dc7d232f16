import {
  failureCode,
  makeBudget,
  monotonicNow,
  PIN_NOT_SUPPORTED,
  startDeadline,
} from "@project-ingress/forward/internal"
import type { Grammar } from "@project-ingress/hostname"
import { isProviderError } from "@project-ingress/providers"
import type { ProviderError } from "@project-ingress/providers"
import { fetchTransport, isWorkerd } from "@project-ingress/providers/internal"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { canonicalName } from "../hop/canonical-name.ts"
import { publicOrigin } from "../hop/origin.ts"
import { sendByFetch } from "../hosts/send-by-fetch.ts"
import type { BalancerHost, Tried } from "../program/balancing.ts"
import type { RouteToMachine } from "../program/resolve-route.ts"
import { sendToMachine } from "../program/send-to-machine.ts"
import type { Sender, VisitorRequest } from "../program/sender.ts"
import type { HealthCheck, MachineRoute } from "../stores/record.ts"
import { settingsOf } from "../stores/settings.ts"
import type { Entry } from "./choose-entry.ts"
import type { Entries, HealthTable } from "./health-table.ts"
import type { MachineState } from "./machine-state.ts"

/** A visit of a route whose settings have a health check. */
export interface Visit extends Check {
  readonly route: RouteToMachine
  /** The machines of the route; `undefined`: it leads to a single one. */
  readonly of: Entries | undefined
  readonly waitUntil: ((work: Promise<unknown>) => void) | undefined
}

/** Asks machines how they are, as their records want it. */
export interface HealthChecks {
  /** A route has a visitor. On Workers its machines are asked now, if it is time; elsewhere until it had none for a minute. */
  readonly visit: (visit: Visit) => void
  readonly dispose: () => void
}

const DEFAULT_INTERVAL_MS = 10_000
/** The longest that a response may take, in ms. */
const MAX_RESPONSE_MS = 5_000
/** For how long machines are asked after the last visitor, in ms: one that sleeps when nobody asks it is let sleep. */
const VISITED_MS = 60_000
/** Machines are not all asked at once. */
const JITTER = 0.1

/** What one owner's health checks may cost, and all of them: so many at once, and then one more each so many ms. */
const OWNER_LIMITS = { burst: 25, refillMs: 200 }
const ALL_LIMITS = { burst: 250, refillMs: 5 }
const ALL = { share: "all", key: "all" }

/** How the router that has a visitor sends requests. */
type Check = Pick<Tried<never, never, never>, "machines" | "send">

/** Of one machine that is asked. */
interface Subject {
  /** By `monotonicNow`. */
  visitedAt: number
  askedAt: number | undefined
  latest: { readonly check: Check; readonly of: Entries; readonly entry: Entry; readonly route: RouteToMachine }
  /** Whether a timer asks it again, or its response is waited for. */
  isFollowed: boolean
}

export const makeHealthChecks = (table: HealthTable, host: BalancerHost): HealthChecks => {
  /** Lives as long as what is known of the machine. */
  const subjects = new WeakMap<MachineState, Subject>()
  const ofOwner = makeBudget(OWNER_LIMITS)
  const ofAll = makeBudget(ALL_LIMITS)
  let isDisposed = false

  /** Asks a machine, if there is room. Never rejects. */
  const ask = async (subject: Subject): Promise<void> => {
    const { check, of, entry, route } = subject.latest
    const now = monotonicNow()
    subject.askedAt = now
    if (!ofOwner.take({ share: of.share, key: "" }, now) || !ofAll.take(ALL, now)) return
    const found = await findingOf(host, check, route)
    if (found !== undefined) table.checked(of, entry, found.problem)
  }

  /** Asks a machine again and again while its route has visitors. */
  const goOn = (subject: Subject): void => {
    const { of, entry, route } = subject.latest
    const delay = intervalOf(route) * (1 - JITTER + 2 * JITTER * Math.random())
    const timer = setTimeout(() => {
      const isVisited = monotonicNow() - subject.visitedAt < VISITED_MS
      subject.isFollowed = !isDisposed && isVisited && table.holds(of, entry)
      if (subject.isFollowed) void ask(subject).then(() => goOn(subject))
    }, delay)
    timer.unref?.()
  }

  return {
    visit: ({ route, of: known, waitUntil, machines, send }) => {
      if (isDisposed) return
      const check = { machines, send }
      const record = route.record as MachineRoute
      const { machine, port } = route
      const alone = [{ machine, port, own: undefined, weight: 1 }]
      const of = known ?? table.of(record, alone, true)
      const now = monotonicNow()
      for (const entry of of.entries) {
        const settings = settingsOf(record, entry.machine.id, entry.port)
        // A visitor may name any port: those would leave the owner's health checks none for the ones that matter.
        if (settings.healthCheck === undefined || !isNamed(entry, record, send.grammar)) continue
        const to = { ...route, machine: entry.machine, port: entry.port, settings }
        const latest = { check, of, entry, route: to }
        const subject = subjects.get(entry.state) ?? { visitedAt: now, askedAt: undefined, latest, isFollowed: false }
        subjects.set(entry.state, subject)
        subject.visitedAt = now
        subject.latest = latest
        const isDue = subject.askedAt === undefined || now - subject.askedAt >= intervalOf(to)
        // There a timer ends with the request that set it.
        if (isWorkerd()) {
          if (isDue) waitUntil?.(ask(subject))
        } else if (!subject.isFollowed && isDue) {
          subject.isFollowed = true
          void ask(subject).then(() => goOn(subject))
        }
      }
    },
    dispose: () => {
      isDisposed = true
    },
  }
}

/** Whether a port is the record's or the grammar's choice, and not the visitor's alone. */
const isNamed = ({ machine, port }: Entry, record: MachineRoute, { defaultPort, services }: Grammar): boolean => {
  const { ports = {}, rules = [], machines = {} } = record
  const others = Object.hasOwn(machines, machine.id) ? machines[machine.id]!.ports : undefined
  return (
    port === (record.port ?? defaultPort) ||
    Object.hasOwn(ports, port) ||
    (others !== undefined && Object.hasOwn(others, port)) ||
    Object.values(record.services ?? {}).includes(port) ||
    Object.values(services).includes(port) ||
    rules.some(({ targets }) => targets.some((target) => target.port === port))
  )
}

const intervalOf = ({ settings }: RouteToMachine): number => settings.healthCheck?.intervalMs ?? DEFAULT_INTERVAL_MS

/** Failures that do not say whether the app is well: it sleeps, it is about to be there, or its vendor refuses us. */
const silent: ReadonlySet<ProviderError["_tag"]> = new Set([
  "MachineNotRunning",
  "MachineStarting",
  "ProviderAuth",
  "ProviderRateLimited",
])

/** What a health check found: the problem, if there is one. */
interface Finding {
  readonly problem: string | undefined
}

/** Asks a machine once. `undefined`: nothing can be said of it. */
const findingOf = async (host: BalancerHost, check: Check, route: RouteToMachine): Promise<Finding | undefined> => {
  const health = route.settings.healthCheck!
  const aborted = new AbortController()
  const waitMs = Math.min(MAX_RESPONSE_MS, intervalOf(route))
  const settled = startDeadline(waitMs, () => aborted.abort())
  const { machines, send } = check
  const request = probeRequest(canonicalName(send.grammar, route.key), health, aborted.signal)
  const own = publicOrigin(request)
  const origins = { own, ports: new Map([[own, route.port]]) }
  // What policies add speaks of a visitor, and nobody visits here.
  const by = { ...send, edits: undefined }
  const sender = probeSender(host, check, route, request)
  const asked = Effect.suspend(() => sendToMachine(machines, by, request, route, origins, sender))
  const exit = await Effect.runPromiseExit(asked, { signal: aborted.signal })
  settled()
  if (Exit.isSuccess(exit)) {
    const { status, response, code } = exit.value
    fetchTransport.discard(response)
    return { problem: isHealthy(health, status) ? undefined : `health check: ${code ?? `status ${status}`}` }
  }
  if (aborted.signal.aborted) return { problem: `health check: no response in ${waitMs} ms` }
  const error = Cause.squash(exit.cause)
  // Any other failure is one of ours, as a limit of tickets. A pin that this runtime's fetch cannot check is, too.
  if (!isProviderError(error) || silent.has(error._tag) || failureCode(error.cause) === PIN_NOT_SUPPORTED)
    return undefined
  return { problem: `health check: ${error._tag}` }
}

const isHealthy = ({ statuses }: HealthCheck, status: number): boolean =>
  statuses === undefined ? status >= 200 && status <= 399 : statuses.includes(status)

/** The same whoever visits: else a visitor could choose what an app takes for a wrong name, or answers by a redirect. */
const probeRequest = (name: string, { path }: HealthCheck, signal: AbortSignal) =>
  ({
    method: "GET",
    host: name,
    path,
    headers: ["host", name, "user-agent", "project-ingress-health-check", "accept", "*/*"],
    scheme: "https",
    upgrade: false,
    signal,
  }) satisfies VisitorRequest

const probeSender = (
  { transport, headerNames }: BalancerHost,
  { machines }: Check,
  route: RouteToMachine,
  request: VisitorRequest,
): Sender<Response> => ({
  send: (machineRequest) =>
    sendByFetch({ transport, headerNames, headersTimeoutMs: 0 }, { request, body: () => null }, machineRequest),
  discard: fetchTransport.discard,
  replayable: () => true,
  isUse: false,
  // A health check starts no machine. One that every request starts was started by the visitor.
  ...(machines.provider(route.machine.type)?.capabilities.wake === "request" ? {} : { wake: false }),
})
