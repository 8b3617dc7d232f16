import { monotonicNow } from "@project-ingress/forward/internal"
import { isProviderError } from "@project-ingress/providers"
import type { ProviderError } from "@project-ingress/providers"
import { providerErrors } from "@project-ingress/providers/internal"
import * as Effect from "effect/Effect"
import type { RequestBalance, Tried } from "../program/balancing.ts"
import type { Candidates, Chosen } from "../program/candidates.ts"
import type { RouteToMachine } from "../program/resolve-route.ts"
import { machineStep } from "../program/select-machine.ts"
import type { MachineResponse } from "../program/send-to-machine.ts"
import type { Sender } from "../program/sender.ts"
import type { TraceStep } from "../program/trace.ts"
import { settingsOf } from "../stores/settings.ts"
import { chooseEntry, takeChoice } from "./choose-entry.ts"
import type { Entry } from "./choose-entry.ts"
import type { HealthChecks } from "./health-checks.ts"
import type { Entries, HealthTable } from "./health-table.ts"
import type { MachineState } from "./machine-state.ts"

/** How many machines one request is sent to at most. */
const MAX_TRIES = 3

/**
 * Failures that say nothing of the machine: its vendor failed, it is starting, or the app got the request and is slow, which any
 * visitor can cause as often as they like. A connection that is not made in time is another failure.
 */
const silent: ReadonlySet<ProviderError["_tag"]> = new Set([
  "ProviderAuth",
  "ProviderRateLimited",
  "MachineStarting",
  "UpstreamTimeout",
])

/** Failures after which no other machine is tried: the record is looked up again, or the app may be slow for good reason. */
const final: ReadonlySet<ProviderError["_tag"]> = new Set(["MachineMismatch", "UpstreamTimeout"])

/** The balance of one request. */
export class RequestTries implements RequestBalance {
  readonly #table: HealthTable
  readonly #checks: HealthChecks
  readonly #tried = new Set<MachineState>()
  #among: Candidates | undefined
  #of: Entries | undefined
  #entry: Entry | undefined

  constructor(table: HealthTable, checks: HealthChecks) {
    this.#table = table
    this.#checks = checks
  }

  choose(among: Candidates): Chosen {
    this.#among = among
    const of = this.#table.of(among.record, among.candidates, true)
    const now = monotonicNow()
    const choice = chooseEntry(of.entries, among, this.#tried, now)
    takeChoice(of.entries, choice, now)
    this.#of = of
    this.#entry = choice.entry
    return { candidate: choice.entry, reason: choice.reason }
  }

  send<A, B, E>(tried: Tried<A, B, E>): Effect.Effect<MachineResponse<A> | B, E> {
    const { route, sender, trace, attempt, again, machines, send } = tried
    // A record that was looked up again may lead to one machine by now.
    const of = this.#entry?.machine === route.machine ? this.#of : undefined
    if (route.settings.healthCheck !== undefined)
      this.#checks.visit({ route, of, machines, send, waitUntil: sender.waitUntil })
    if (of === undefined) return attempt(sender)
    const entry = this.#entry!
    const { state } = entry
    /** Whether an app may have got the request. */
    let sent: "no" | "maybe" = "no"
    let responded = false
    const watched: Sender<A> = {
      ...sender,
      send: (request) =>
        Effect.mapError(
          Effect.map(sender.send(request), (response) => {
            responded = true
            return response
          }),
          (failure) => {
            if (failure.sent === "maybe") sent = "maybe"
            return failure
          },
        ),
    }
    const elsewhere = (
      maySend: boolean,
      otherwise: Effect.Effect<MachineResponse<A>, E>,
      discard?: () => void,
    ): Effect.Effect<MachineResponse<A> | B, E> => {
      this.#tried.add(state)
      const others = of.entries.some((other) => !this.#tried.has(other.state))
      if (!maySend || !others || this.#tried.size >= MAX_TRIES) return otherwise
      discard?.()
      return again(this.#next(route, trace))
    }

    return Effect.suspend(() => {
      state.open++
      let isOver = false
      const end = (): void => {
        if (!isOver) state.open--
        isOver = true
      }
      const attempted = Effect.onExit(attempt(watched), ({ _tag }) =>
        Effect.sync(() => {
          if (_tag === "Failure") end()
        }),
      )
      return Effect.matchEffect(attempted, {
        onFailure: (error): Effect.Effect<MachineResponse<A> | B, E> => {
          const failure: unknown = error
          if (!isProviderError(failure)) return Effect.fail(error)
          if (!silent.has(failure._tag)) this.#table.failed(of, entry, failure._tag)
          const maySend = !final.has(failure._tag) && sender.replayable(responded ? "maybe" : sent)
          return elsewhere(maySend, Effect.fail(error))
        },
        onSuccess: (received): Effect.Effect<MachineResponse<A> | B, E> => {
          const { code, status } = received
          // The machine's own proxy has the code from nobody else. An app may respond as it likes.
          const isFailure = code !== undefined && status >= 502 && status <= 504
          const keep = (): typeof received => {
            this.#untilClosed(sender, received, end)
            return received
          }
          if (!isFailure) {
            this.#table.succeeded(of, entry)
            return Effect.sync(keep)
          }
          const isSlow = code === providerErrors.UpstreamTimeout.code
          if (!isSlow) this.#table.failed(of, entry, code)
          // Behind a closed port nobody got the request.
          const reached = code === providerErrors.PortClosed.code ? sent : "maybe"
          const maySend = !isSlow && sender.replayable(reached)
          return elsewhere(maySend, Effect.sync(keep), () => {
            end()
            sender.discard(received.response)
          })
        },
      })
    })
  }

  /** The same route to another machine. */
  #next(route: RouteToMachine, trace: TraceStep[]): RouteToMachine {
    const among = this.#among!
    const { candidate, reason } = this.choose(among)
    const { machine, port } = candidate
    trace.push(machineStep(among.record, machine, reason))
    if (port !== route.port) trace.push({ step: "port", outcome: port, reason: "of the rule" })
    return { ...route, machine, port, settings: settingsOf(among.record, machine.id, port) }
  }

  /** Counts a request until its response has ended, where that is what the choice depends on: to watch a body is not free. */
  #untilClosed<A>(sender: Sender<A>, { response }: MachineResponse<A>, end: () => void): void {
    const counts = this.#among!.record.balance === "least-requests"
    const closed = counts ? sender.closed?.(response) : undefined
    if (closed === undefined) end()
    else void closed.then(end, end)
  }
}
