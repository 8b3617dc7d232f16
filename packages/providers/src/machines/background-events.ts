import { makeDividedTable } from "@project-ingress/forward/internal"
import type { DividedKey } from "@project-ingress/forward/internal"
import type { ProviderError } from "../contract/errors.ts"

/**
 * Work for a machine began to fail, or works again: one event per change of state. `keepAlive` and `watch` are work that no
 * request waits for; a `start` that fails also fails the requests that wait for it, each with an error of its own. Holds no
 * secret.
 */
export interface MachinesEvent {
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

/** What an event is about. */
export type BackgroundWork = Pick<MachinesEvent, "provider" | "machine" | "operation">

/**
 * Turns the results of background work into events. `share`: of the machine's owner, by which what is failing is kept apart; what
 * is forgotten, because there is too much of it, recovers without an event. Default: the provider, for work of its own.
 */
export interface BackgroundEvents {
  readonly failed: (work: BackgroundWork, error: ProviderError, share?: string) => void
  readonly succeeded: (work: BackgroundWork, share?: string) => void
  readonly isFailing: (work: BackgroundWork) => boolean
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

  return {
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
