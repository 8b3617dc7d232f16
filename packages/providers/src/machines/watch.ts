import type { BackgroundEvents } from "./background-events.ts"
import { ProviderUnavailable } from "../contract/errors.ts"
import type { MachineChange, MachineProvider } from "../contract/machine-provider.ts"
import { providerError } from "./from-promise.ts"
import { pause } from "./pause.ts"

/** Between two watches, in ms: a provider that ended one may be unavailable for a while. */
const FIRST_DELAY_MS = 1_000
const MAX_DELAY_MS = 30_000
/** How long a watch must last, in ms, to count as working again when it reports nothing. */
const STABLE_MS = 30_000

/**
 * Follows the changes that a provider reports, until the signal is aborted. A watch that ends is restarted with exponential
 * back-off, which is reset when a change arrives. Never rejects: changes are a hint, and a request finds a missed one out.
 */
export const followChanges = async (
  provider: MachineProvider,
  onChange: (change: MachineChange) => void,
  events: BackgroundEvents,
  signal: AbortSignal,
): Promise<void> => {
  const { type } = provider
  const work = { provider: type, operation: "watch" } as const
  // The errors of the contract name a machine; a watch has none.
  const nameless = { id: "", type, externalId: "*", metadata: {} }
  let delay = FIRST_DELAY_MS
  const watchOnce = async (): Promise<void> => {
    const stable = events.isFailing(work) ? setTimeout(() => events.succeeded(work), STABLE_MS) : undefined
    try {
      for await (const change of provider.watch!({ signal })) {
        // A watch that does not obey its signal is left at its next change.
        if (signal.aborted) return
        delay = FIRST_DELAY_MS
        events.succeeded(work)
        onChange(change)
      }
      if (signal.aborted) return
      events.failed(work, new ProviderUnavailable({ provider: type, machine: "*", reason: "the watch ended" }))
    } catch (cause) {
      if (!signal.aborted) events.failed(work, providerError(cause, nameless))
    } finally {
      clearTimeout(stable)
    }
  }
  while (!signal.aborted) {
    await watchOnce()
    await pause(delay * (0.75 + Math.random() / 2), signal)
    delay = Math.min(delay * 2, MAX_DELAY_MS)
  }
}
