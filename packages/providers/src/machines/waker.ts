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
import { makeOwnerStarts } from "./owner-starts.ts"
import { makeStartCount } from "./start-count.ts"
import { isTransient, retryDelayMs, stillStarting } from "./transient.ts"
import { TimedOut, withTimeout } from "./with-timeout.ts"

type WaitUntil = AttemptRequest<unknown>["waitUntil"]

/** Starts machines, each once for all who want it. */
export interface Waker {
  /** Whether that machine is being started. */
  readonly isWaking: (to: Destination) => boolean
  /** Starts the machine, or waits for whoever does, until its proxy listens. */
  readonly wakeAndWait: (to: Destination, waitUntil: WaitUntil) => Effect.Effect<void, ProviderError>
  /** Starts the machine for the next request, and waits for nothing. A failure is an event. `unsure`: only if it does not run. */
  readonly startInBackground: (to: Destination, waitUntil: WaitUntil, unsure?: boolean) => void
  /** Why the machine is not started now; `undefined` while it is. */
  readonly refusal: (to: Destination) => ProviderError | undefined
  /** The machine has responded. */
  readonly responded: (to: Destination) => void
}

/** How machines are started; see `MachinesOptions`. */
export interface WakerOptions {
  readonly fromPromise: FromPromise
  readonly headerNames: HopHeaderNames
  readonly startupGraceMs: number
  readonly wakeTimeoutMs: number
  readonly wakeQueue: number
  readonly maxStartsPerOwner: number
  readonly readinessProbe: ReadinessProbe
  readonly events: BackgroundEvents
}

/** How long the last call of a start that is out of time may take, in ms. */
const LAST_CALL_MS = 10_000

export const makeWaker = (client: ProviderClient, options: WakerOptions): Waker => {
  const { fromPromise, headerNames, startupGraceMs, wakeTimeoutMs, wakeQueue, readinessProbe, events } = options
  const count = makeStartCount()
  const ofOwners = makeOwnerStarts(options.maxStartsPerOwner, wakeTimeoutMs + LAST_CALL_MS)
  // A start goes on when the request that asked for it is gone: a browser that gave up comes back in a second.
  const starts = makeSingleFlight<void>({ abortWhenAbandoned: false })

  /** Whether it runs by what its provider says now. Who cannot say does not hinder a start. */
  const runs = async (to: Destination): Promise<boolean> => {
    const status = await Effect.runPromise(Effect.orElseSucceed(client.status(to), () => undefined))
    return status?.state === "running"
  }

  /** Starts it once, where a call does that, and resolves its endpoint until its proxy listens there. */
  const wake = async (to: Destination, unsure: boolean): Promise<void> => {
    const { provider, machine } = to
    const deadline = monotonicNow() + wakeTimeoutMs
    const { signal } = new AbortController()
    let started = provider.capabilities.wake !== "start" || (unsure && (await runs(to)))
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

  const wakeAndReport = async (to: Destination, unsure: boolean): Promise<void> => {
    const { type, externalId } = to.machine
    const work = { provider: type, machine: externalId, operation: "start" } as const
    count.started(to)
    const since = monotonicNow()
    const woken = (outcome: "ready" | "failed", failure: { readonly error?: ProviderError["_tag"] } = {}) =>
      events.woken({ provider: type, machine: externalId, outcome, durationMs: monotonicNow() - since, ...failure })
    try {
      await wake(to, unsure)
      events.succeeded(work, to.share)
      woken("ready")
    } catch (cause) {
      const error = providerError(cause, to.machine)
      count.failed(to, error)
      woken("failed", { error: error._tag })
      client.startFailed(to, error)
      events.failed(work, error, to.share)
      throw cause
    } finally {
      ofOwners.end(to.share, portlessKey(to))
    }
  }

  /** Why no start of it begins now. */
  const refusal = (to: Destination): ProviderError | undefined => count.refusal(to) ?? client.startFailure(to)

  const join = (to: Destination, waitUntil: WaitUntil, signal: AbortSignal, unsure = false) =>
    starts.join(
      portlessKey(to),
      () => {
        if (!ofOwners.begin(to.share, portlessKey(to))) return Promise.reject(stillStarting(to.machine))
        const work = wakeAndReport(to, unsure)
        waitUntil?.(work.catch(() => undefined))
        return work
      },
      signal,
    )

  // One that ended with its request on Workers is not going on, though nobody has found that out by taking it over.
  const isWaking = (to: Destination): boolean =>
    starts.size() > 0 && starts.waiting(portlessKey(to)) !== undefined && ofOwners.isGoingOn(to.share, portlessKey(to))

  return {
    isWaking,
    wakeAndWait: (to, waitUntil) =>
      Effect.suspend(() => {
        const { machine } = to
        const waiting = starts.waiting(portlessKey(to))
        if ((waiting ?? 0) >= wakeQueue) return Effect.fail(stillStarting(machine))
        const failed = waiting === undefined ? refusal(to) : undefined
        if (failed !== undefined) return Effect.fail(failed)
        return fromPromise("Machines.wake", machine, (signal) =>
          withTimeout(wakeTimeoutMs + 100, signal, (ended) => join(to, waitUntil, ended)).catch((cause) => {
            throw cause instanceof TimedOut ? stillStarting(machine) : cause
          }),
        )
      }),
    startInBackground: (to, waitUntil, unsure) => {
      if (isWaking(to) || refusal(to) !== undefined) return
      join(to, waitUntil, new AbortController().signal, unsure).catch(() => undefined)
    },
    refusal: (to) => (isWaking(to) ? undefined : refusal(to)),
    responded: count.responded,
  }
}
