import { failureCode, monotonicNow } from "@project-ingress/forward/internal"
import { isProviderError } from "@project-ingress/providers"
import type { MachineFetcher } from "@project-ingress/providers"
import { withTimeout } from "@project-ingress/providers/internal"

/** What one probe of a machine came to. */
export interface ProbeResult {
  /** Whether the response was as expected. */
  readonly ready: boolean
  /** The status of the response; absent without one. */
  readonly status?: number
  /**
   * The tag or code of the failure where there was no response of the app's, or `expect` failed: `MachineNotRunning`, `TimeoutError`; `PORT_CLOSED`
   * of the machine's proxy.
   */
  readonly error?: string
  /** In ms. */
  readonly durationMs: number
}

/** Statuses, or what decides about a response. */
export type Expectation = readonly number[] | ((response: Response) => boolean | Promise<boolean>)

/** How a machine is probed. */
export interface ProbeSettings {
  readonly path: string
  readonly expect: Expectation
  readonly timeoutMs: number
  /** The name of the field in which a machine's proxy says why it generated a response itself. */
  readonly errorField: string
}

/** Sends one request to a machine. Rejects with the signal's reason alone. */
export const probeMachine = async (
  fetcher: MachineFetcher,
  { path, expect, timeoutMs, errorField }: ProbeSettings,
  signal: AbortSignal,
): Promise<ProbeResult> => {
  const startedAt = monotonicNow()
  const durationMs = () => Math.round(monotonicNow() - startedAt)
  let status: number | undefined
  let generated: string | null = null
  try {
    const ready = await withTimeout(timeoutMs, signal, async (ended) => {
      const response = await fetcher(new Request(`http://localhost${path}`, { signal: ended }))
      status = response.status
      generated = response.headers.get(errorField)
      try {
        // Not the app's, whatever is expected of that.
        if (generated !== null) return false
        return typeof expect === "function" ? await expect(response) : expect.includes(status)
      } finally {
        if (!response.bodyUsed) response.body?.cancel().catch(() => {})
      }
    })
    return { ready, status: status!, ...(generated === null ? {} : { error: generated }), durationMs: durationMs() }
  } catch (cause) {
    signal.throwIfAborted()
    return {
      ready: false,
      ...(status === undefined ? {} : { status }),
      error: nameOf(cause),
      durationMs: durationMs(),
    }
  }
}

/** Never a message, which may hold anything. */
const nameOf = (cause: unknown): string => {
  if (isProviderError(cause)) return cause._tag
  return failureCode(cause) ?? (cause instanceof Error ? cause.name : "unknown")
}
