import { makeDividedTable, repeatedReport } from "@project-ingress/forward/internal"
import type { DividedKey } from "@project-ingress/forward/internal"
import type { ProviderError } from "../contract/errors.ts"

/**
 * Work for a machine began to fail, or works again: one event per change of state. `keepAlive` and `watch` are work that no
 * request waits for; a `start` that fails also fails the requests that wait for it, each with an error of its own. Holds no
 * secret.
 */
export interface ProviderEvent {
  readonly type: "provider"
  /** The provider's `type`. */
  readonly provider: string
  /** The provider's name of the machine; absent for `watch`, which follows all of them. */
  readonly machine?: string
  /** Which optional method of the provider was called. */
  readonly operation: "keepAlive" | "watch" | "start"
  readonly state: "failing" | "recovered"
  /** The tag of the error, when it is failing: `ProviderAuth`. */
  readonly error?: ProviderError["_tag"]
  /** The error as a sentence, for logs and never for a client. */
  readonly reason?: string
}

/**
 * What came of proving who responded. `wrong_stamp`: somebody who is not the machine responded at its address, and nothing of the
 * response was used. `ticket_renewed`: the machine refused a ticket, and the request was sent again with another one.
 */
export interface ProofEvent {
  readonly type: "proof"
  /** The machine's `type`. */
  readonly provider: string
  /** The machine's `id`. */
  readonly machine: string
  readonly port: number
  readonly outcome: "wrong_stamp" | "ticket_renewed"
  /** For logs, never for a client. */
  readonly reason: string
  /** How often it happened since the last event of this machine and outcome, which comes once a second at most. */
  readonly count: number
}

/** A machine was started for a request, once for all requests that waited for it. */
export interface WakeEvent {
  readonly type: "wake"
  /** The provider's `type`. */
  readonly provider: string
  /** The provider's name of the machine. */
  readonly machine: string
  /** `ready`: its proxy listens. `failed`: it was not started, or does not listen in time. */
  readonly outcome: "ready" | "failed"
  /** In ms, from the first request that wanted it. */
  readonly durationMs: number
  /** The tag of the error, if it failed. */
  readonly error?: ProviderError["_tag"]
}

/** What of a proof is reported. */
export type ProofReport = Omit<ProofEvent, "type" | "count">

/** What `onEvent` of `makeMachines` is called with. */
export type MachinesEvent = ProviderEvent | ProofEvent | WakeEvent

/** What an event is about. */
export type BackgroundWork = Pick<ProviderEvent, "provider" | "machine" | "operation">

/**
 * Turns the results of background work into events. `share`: of the machine's owner, by which what is failing is kept apart; what
 * is forgotten, because there is too much of it, recovers without an event. Default: the provider, for work of its own.
 */
export interface BackgroundEvents {
  readonly failed: (work: BackgroundWork, error: ProviderError, share?: string) => void
  readonly succeeded: (work: BackgroundWork, share?: string) => void
  readonly isFailing: (work: BackgroundWork) => boolean
  readonly proof: (report: ProofReport) => void
  readonly woken: (wake: Omit<WakeEvent, "type">) => void
}

export const makeBackgroundEvents = (onEvent: ((event: MachinesEvent) => void) | undefined): BackgroundEvents => {
  const failing = makeDividedTable<true>()

  const emit = (event: MachinesEvent): void => {
    try {
      onEvent?.(event)
    } catch {
      // A log that fails must fail no request.
    }
  }

  const reportProof = repeatedReport<ProofReport>((report, count) => emit({ type: "proof", ...report, count }))

  return {
    proof: (report) => reportProof(`${report.outcome} ${report.machine}`, report),
    woken: (wake) => emit({ type: "wake", ...wake }),
    isFailing: (work) => failing.get(entryOf(work)) === true,
    failed: (work, error, share) => {
      const entry = entryOf(work, share)
      if (failing.get(entry) === true) return
      failing.set(entry, true)
      emit({ type: "provider", ...work, state: "failing", error: error._tag, reason: error.message })
    },
    succeeded: (work, share) => {
      const entry = entryOf(work, share)
      if (failing.get(entry) === undefined) return
      failing.delete(entry)
      emit({ type: "provider", ...work, state: "recovered" })
    },
  }
}

const entryOf = ({ provider, machine, operation }: BackgroundWork, share = `provider ${provider}`): DividedKey => ({
  share,
  key: JSON.stringify([provider, machine, operation]),
})
