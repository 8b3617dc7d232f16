import * as Effect from "effect/Effect"
import type { HopHeaderNames } from "@project-ingress/forward"
import { forwardFetch } from "@project-ingress/forward/fetch"
import { machineKey } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { MachineStarting, machineRef } from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import { makeSingleFlight } from "./single-flight.ts"
import type { Endpoint, Machine } from "../contract/machine-provider.ts"
import { withTimeout, fromPromise, providerError, TimedOut } from "./provider-client.ts"
import type { ProviderClient } from "./provider-client.ts"
import type { AttemptResponse, AttemptRequest } from "./attempt-request.ts"
import { classifyResponse } from "./attempt-failure.ts"
import { encapsulateHeaders } from "../transport/edge-headers.ts"

/** Asks a machine for a sign of life. Rejects when nobody answers. */
export type ReadinessProbe = (
  endpoint: Endpoint,
  signal: AbortSignal,
) => Promise<Omit<AttemptResponse<unknown>, "response">>

/** Machines on their way up, each started once for all who want it. */
export interface Waker {
  /** Whether somebody is waking that machine. */
  readonly isWaking: (to: Destination) => boolean
  /** Starts the machine, or joins whoever does, and waits until its proxy answers. */
  readonly wakeAndWait: (
    to: Destination,
    waitUntil: AttemptRequest<unknown>["waitUntil"],
  ) => Effect.Effect<void, ProviderError>
  /** Starts the machine for whoever asks next. Waits for nothing and tells nobody how it went. */
  readonly startInBackground: (to: Destination, waitUntil: AttemptRequest<unknown>["waitUntil"]) => void
}

export interface WakeOptions {
  readonly names: HopHeaderNames
  readonly startupGraceMs: number
  readonly wakeTimeoutMs: number
  readonly wakeQueue: number
  readonly knock?: ReadinessProbe | undefined
}

/** How long a machine may take to show a sign of life before it is asked again, in ms. */
const PROBE_TIMEOUT_MS = 2_000

export const makeWaker = (questions: ProviderClient, options: WakeOptions): Waker => {
  const { names, startupGraceMs, wakeTimeoutMs, wakeQueue, knock = probeByFetch(names) } = options
  // A wake goes on when its first asker leaves: a browser that gave up comes back in a second.
  const wakes = makeSingleFlight<void>({ abandon: false })

  /** Starts it once and asks where it is until its proxy answers there. */
  const wake = async (to: Destination): Promise<void> => {
    const { provider, machine } = to
    const deadline = Date.now() + wakeTimeoutMs
    const stay = new AbortController().signal
    let started = false
    let endpoint: Endpoint | undefined
    let runsSince: number | undefined
    for (let round = 0; ; round++) {
      try {
        if (!started) {
          const told = await withTimeout(wakeTimeoutMs, stay, (signal) => provider.start!(machine, { signal }))
          started = true
          if (told !== undefined && provider.capabilities.ports === "any") endpoint = questions.store(to, told)
        }
        endpoint ??= await questions.resolvePromise(to, stay)
        runsSince ??= Date.now()
        // After its grace each request finds out by itself what is wrong with it.
        if (Date.now() - runsSince >= startupGraceMs || (await listens(to, endpoint))) return
        throw new MachineStarting(machineRef(machine))
      } catch (cause) {
        const error = providerError(cause, machine)
        endpoint = undefined
        const late = !started && cause instanceof TimedOut
        if (!late && (!isTransient(error) || (!started && error._tag === "MachineNotRunning"))) throw error
        // A machine that runs listens in a moment; one that does not may take long.
        const pause = pauseMs(runsSince === undefined ? round : 0, error) / (runsSince === undefined ? 1 : 4)
        if (late || Date.now() + pause > deadline) throw stillStarting(machine, error)
        await new Promise((resolve) => setTimeout(resolve, pause))
      }
    }
  }

  /** Whether requests can be sent: somebody answers, or says something that waiting does not mend. */
  const listens = async (to: Destination, endpoint: Endpoint): Promise<boolean> => {
    try {
      const found = await withTimeout(PROBE_TIMEOUT_MS, new AbortController().signal, (signal) =>
        knock(endpoint, signal),
      )
      return classifyResponse(to, { ...found, response: undefined }, names)?._tag !== "Unclear"
    } catch {
      return false
    }
  }

  const join = (to: Destination, waitUntil: AttemptRequest<unknown>["waitUntil"], signal: AbortSignal) =>
    wakes.join(
      machineKey(to),
      () => {
        const work = wake(to)
        waitUntil?.(work.catch(() => undefined))
        return work
      },
      signal,
    )

  return {
    isWaking: (to) => wakes.size() > 0 && wakes.waiting(machineKey(to)) !== undefined,
    wakeAndWait: (to, waitUntil) =>
      Effect.suspend(() => {
        const { machine } = to
        if ((wakes.waiting(machineKey(to)) ?? 0) >= wakeQueue) return Effect.fail(stillStarting(machine))
        return fromPromise("Machines.wake", to, (signal) => join(to, waitUntil, signal)).pipe(
          Effect.timeoutOrElse({ duration: wakeTimeoutMs + 100, orElse: () => Effect.fail(stillStarting(machine)) }),
        )
      }),
    startInBackground: (to, waitUntil) => void join(to, waitUntil, new AbortController().signal).catch(() => undefined),
  }
}

/** What may be over in a moment, when the machine was told to start. */
export const isTransient = (error: ProviderError): boolean =>
  error._tag === "MachineNotRunning" || error._tag === "MachineStarting" || error._tag === "ProviderRateLimited"

/** 250 ms to 2 s, a quarter more or less, and never before the provider wants to be asked again (at most 30 s). */
export const pauseMs = (round: number, error: ProviderError): number =>
  Math.max(Math.min(250 * 2 ** round, 2_000) * (0.75 + Math.random() / 2), Math.min(retryAfterOf(error) ?? 0, 30_000))

const retryAfterOf = (error: ProviderError): number | undefined =>
  "retryAfterMs" in error ? error.retryAfterMs : undefined

export const stillStarting = (machine: Machine, cause?: ProviderError): MachineStarting =>
  new MachineStarting({
    ...machineRef(machine),
    cause,
    retryAfterMs: (cause === undefined ? undefined : retryAfterOf(cause)) ?? 2_000,
  })

const probeByFetch =
  (names: HopHeaderNames): ReadinessProbe =>
  async (endpoint, signal) => {
    const headers = encapsulateHeaders([], [], endpoint, names)
    const answer = await forwardFetch({
      origin: endpoint.origin,
      fetch: endpoint.fetch,
      target: "/",
      method: "GET",
      headers,
      body: null,
      signal,
    })
    answer.body?.cancel().catch(() => {})
    return { status: answer.status, header: (name) => answer.headers.get(name) ?? undefined }
  }
