import { makeDividedTable, monotonicNow } from "@project-ingress/forward/internal"
import { MachineStartFailed, machineRef } from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import { machineEntry } from "./destination.ts"
import type { Destination } from "./destination.ts"

/**
 * Counts the starts of each machine since it last responded, so that pages which reload, and clients which try again, do not go on
 * starting one that never comes up.
 */
export interface StartCount {
  /** Why the machine must not be started now; `undefined`: it may be. */
  readonly refusal: (to: Destination) => MachineStartFailed | undefined
  /** It is being started. */
  readonly started: (to: Destination) => void
  /** Why that start failed. */
  readonly failed: (to: Destination, error: ProviderError) => void
  readonly responded: (to: Destination) => void
}

/** How many starts in a row may bring no response. */
const MAX_STARTS = 3
/** How long after the last of them no other one is made, in ms. */
const PAUSE_MS = 60_000

/** Errors that say nothing of whether the machine comes up, or that no other start would bring. */
const ofOthers: ReadonlySet<ProviderError["_tag"]> = new Set([
  "MachineNotFound",
  "MachineRecordInvalid",
  "ProviderAuth",
  "ProviderRateLimited",
])

export const makeStartCount = (): StartCount => {
  const counts = makeDividedTable<{ readonly starts: number; readonly at: number; readonly cause?: ProviderError }>()
  return {
    refusal: (to) => {
      const found = counts.get(machineEntry(to))
      if (found === undefined || found.starts < MAX_STARTS || monotonicNow() - found.at >= PAUSE_MS) return undefined
      const { starts, cause } = found
      return new MachineStartFailed({ ...machineRef(to.machine), starts, cause })
    },
    started: (to) => {
      const entry = machineEntry(to)
      counts.set(entry, { starts: (counts.get(entry)?.starts ?? 0) + 1, at: monotonicNow() })
    },
    failed: (to, cause) => {
      const entry = machineEntry(to)
      const { starts } = counts.get(entry) ?? { starts: 1 }
      counts.set(entry, { starts: ofOthers.has(cause._tag) ? starts - 1 : starts, at: monotonicNow(), cause })
    },
    responded: (to) => counts.delete(machineEntry(to)),
  }
}
