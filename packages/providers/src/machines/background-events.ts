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
}

/** What `onEvent` of `makeMachines` is called with. */
export type MachinesEvent = ProviderEvent | ProofEvent

/** What an event is about. */
export type BackgroundWork = Pick<ProviderEvent, "provider" | "machine" | "operation">

/** Turns the results of background work into events. */
export interface BackgroundEvents {
  readonly failed: (work: BackgroundWork, error: ProviderError) => void
  readonly succeeded: (work: BackgroundWork) => void
  readonly isFailing: (work: BackgroundWork) => boolean
  readonly proof: (event: Omit<ProofEvent, "type">) => void
}

/** How many failing operations are kept; the oldest is forgotten first, and its recovery is then no event. */
const MAX_ENTRIES = 10_000

export const makeBackgroundEvents = (onEvent: ((event: MachinesEvent) => void) | undefined): BackgroundEvents => {
  const failing = new Set<string>()

  const emit = (event: MachinesEvent): void => {
    try {
      onEvent?.(event)
    } catch {
      // A log that fails must fail no request.
    }
  }

  return {
    proof: (event) => emit({ type: "proof", ...event }),
    isFailing: (work) => failing.has(keyOf(work)),
    failed: (work, error) => {
      const key = keyOf(work)
      if (failing.has(key)) return
      if (failing.size >= MAX_ENTRIES) failing.delete(failing.values().next().value!)
      failing.add(key)
      emit({ type: "provider", ...work, state: "failing", error: error._tag, reason: error.message })
    },
    succeeded: (work) => {
      if (failing.delete(keyOf(work))) emit({ type: "provider", ...work, state: "recovered" })
    },
  }
}

const keyOf = ({ provider, machine, operation }: BackgroundWork): string =>
  JSON.stringify([provider, machine, operation])
