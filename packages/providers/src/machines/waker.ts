import * as Effect from "effect/Effect"
import { monotonicNow } from "@project-ingress/forward/internal"
import type { HopHeaderNames } from "@project-ingress/forward"
import type { AttemptRequest } from "./attempt-request.ts"
import type { BackgroundEvents } from "./background-events.ts"
import { portlessKey } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { MachineStarting, machineRef } from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import { providerError } from "./from-promise.ts"
import type { FromPromise } from "./from-promise.ts"
import type { Endpoint } from "../contract/machine-provider.ts"
import type { ProviderClient } from "./provider-client.ts"
import { isReady } from "./readiness-probe.ts"
import type { ReadinessProbe } from "./readiness-probe.ts"
import { makeSingleFlight } from "./single-flight.ts"
import { isTransient, retryDelayMs, stillStarting } from "./transient.ts"
import { TimedOut, withTimeout } from "./with-timeout.ts"

type WaitUntil = AttemptRequest<unknown>["waitUntil"]

/** Starts machines, each once for all who want it. */
export interface Waker {
  /** Whether that machine is being started. */
  readonly isWaking: (to: Destination) => boolean
  /** Starts the machine, or waits for whoever does, until its proxy listens. */
  readonly wakeAndWait: (to: Destination, waitUntil: WaitUntil) => Effect.Effect<void, ProviderError>
  /** Starts the machine for the next request, and waits for nothing. A failure is an event. */
  readonly startInBackground: (to: Destination, waitUntil: WaitUntil) => void
}

/** How machines are started; see `MachinesOptions`. */
export interface WakerOptions {
  readonly fromPromise: FromPromise
  readonly headerNames: HopHeaderNames
  readonly startupGraceMs: number
  readonly wakeTimeoutMs: number
  readonly wakeQueue: number
  readonly readinessProbe: ReadinessProbe
  readonly events: BackgroundEvents
}

export const makeWaker = (client: ProviderClient, options: WakerOptions): Waker => {
  const { fromPromise, headerNames, startupGraceMs, wakeTimeoutMs, wakeQueue, readinessProbe, events } = options
  // A start goes on when the request that asked for it is gone: a browser that gave up comes back in a second.
  const starts = makeSingleFlight<void>({ abortWhenAbandoned: false })

  /** Starts it once and resolves its endpoint until its proxy listens there. */
  const wake = async (to: Destination): Promise<void> => {
    const { provider, machine } = to
    const deadline = monotonicNow() + wakeTimeoutMs
    const { signal } = new AbortController()
    let started = false
    let endpoint: Endpoint | undefined
    let runningSince: number | undefined
    for (let round = 0; ; round++) {
      try {
        if (!started) {
          const given = await client.start(to, wakeTimeoutMs, signal)
          started = true
          if (given !== undefined && provider.capabilities.ports === "any") endpoint = client.store(to, given)
        }
        endpoint ??= await client.resolvePromise(to, signal)
        runningSince ??= monotonicNow()
        // After its grace each request finds out by itself what is wrong with it.
        if (monotonicNow() - runningSince >= startupGraceMs) return
        if (await isReady(readinessProbe, to, endpoint, headerNames)) return
        throw new MachineStarting(machineRef(machine))
      } catch (cause) {
        const error = providerError(cause, machine)
        endpoint = undefined
        const startTimedOut = !started && cause instanceof TimedOut
        if (startTimedOut) throw stillStarting(machine, error)
        if (!isTransient(error) || (!started && error._tag === "MachineNotRunning")) throw error
        // A machine that is running listens in a moment; one that is not may take long.
        const delay = runningSince === undefined ? retryDelayMs(round, error) : retryDelayMs(0, error) / 4
        if (monotonicNow() + delay > deadline) throw stillStarting(machine, error)
        await new Promise((resolve) => setTimeout(resolve, delay))
      }
    }
  }

  const wakeAndReport = async (to: Destination): Promise<void> => {
    const { type, externalId } = to.machine
    const work = { provider: type, machine: externalId, operation: "start" } as const
    const since = monotonicNow()
    const woken = (outcome: "ready" | "failed", failure: { readonly error?: ProviderError["_tag"] } = {}) =>
      events.woken({ provider: type, machine: externalId, outcome, durationMs: monotonicNow() - since, ...failure })
    try {
      await wake(to)
      events.succeeded(work, to.share)
      woken("ready")
    } catch (cause) {
      const error = providerError(cause, to.machine)
      woken("failed", { error: error._tag })
      client.startFailed(to, error)
      events.failed(work, error, to.share)
      throw cause
    }
  }

  const join = (to: Destination, waitUntil: WaitUntil, signal: AbortSignal) =>
    starts.join(
      portlessKey(to),
      () => {
        const work = wakeAndReport(to)
        waitUntil?.(work.catch(() => undefined))
        return work
      },
      signal,
    )

  return {
    isWaking: (to) => starts.size() > 0 && starts.waiting(portlessKey(to)) !== undefined,
    wakeAndWait: (to, waitUntil) =>
      Effect.suspend(() => {
        const { machine } = to
        const waiting = starts.waiting(portlessKey(to))
        if ((waiting ?? 0) >= wakeQueue) return Effect.fail(stillStarting(machine))
        const failed = waiting === undefined ? client.startFailure(to) : undefined
        if (failed !== undefined) return Effect.fail(failed)
        return fromPromise("Machines.wake", machine, (signal) =>
          withTimeout(wakeTimeoutMs + 100, signal, (ended) => join(to, waitUntil, ended)).catch((cause) => {
            throw cause instanceof TimedOut ? stillStarting(machine) : cause
          }),
        )
      }),
    startInBackground: (to, waitUntil) => {
      if (client.startFailure(to) !== undefined) return
      join(to, waitUntil, new AbortController().signal).catch(() => undefined)
    },
  }
}
