import * as Effect from "effect/Effect"
import type { HopNames } from "@project-ingress/forward"
import { forwardFetch } from "@project-ingress/forward/fetch"
import { machineKey } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { MachineStarting, where } from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import { makeFlights } from "./single-flight.ts"
import type { Endpoint, Machine } from "../contract/machine-provider.ts"
import { bounded, lifted, providerError, TimedOut } from "./provider-client.ts"
import type { Questions } from "./provider-client.ts"
import type { Received, Sendable } from "./attempt-request.ts"
import { troubleOf } from "./attempt-failure.ts"
import { tunnelHeaders } from "../transport/edge-headers.ts"

/** Asks a machine for a sign of life. Rejects when nobody answers. */
export type Knock = (endpoint: Endpoint, signal: AbortSignal) => Promise<Omit<Received<unknown>, "answer">>

/** Machines on their way up, each started once for all who want it. */
export interface Wakes {
  /** Whether somebody is waking that machine. */
  readonly underway: (to: Destination) => boolean
  /** Starts the machine, or joins whoever does, and waits until its proxy answers. */
  readonly awake: (to: Destination, waitUntil: Sendable<unknown>["waitUntil"]) => Effect.Effect<void, ProviderError>
  /** Starts the machine for whoever asks next. Waits for nothing and tells nobody how it went. */
  readonly begin: (to: Destination, waitUntil: Sendable<unknown>["waitUntil"]) => void
}

export interface WakeOptions {
  readonly names: HopNames
  readonly startupGraceMs: number
  readonly wakeTimeoutMs: number
  readonly wakeQueue: number
  readonly knock?: Knock | undefined
}

/** How long a machine may take to show a sign of life before it is asked again, in ms. */
const KNOCK_MS = 2_000

export const makeWakes = (questions: Questions, options: WakeOptions): Wakes => {
  const { names, startupGraceMs, wakeTimeoutMs, wakeQueue, knock = knockByFetch(names) } = options
  // A wake goes on when its first asker leaves: a browser that gave up comes back in a second.
  const wakes = makeFlights<void>({ abandon: false })

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
          const told = await bounded(wakeTimeoutMs, stay, (signal) => provider.start!(machine, { signal }))
          started = true
          if (told !== undefined && provider.capabilities.ports === "any") endpoint = questions.learn(to, told)
        }
        endpoint ??= await questions.resolved(to, stay)
        runsSince ??= Date.now()
        // After its grace each request finds out by itself what is wrong with it.
        if (Date.now() - runsSince >= startupGraceMs || (await listens(to, endpoint))) return
        throw new MachineStarting(where(machine))
      } catch (cause) {
        const error = providerError(cause, machine)
        endpoint = undefined
        const late = !started && cause instanceof TimedOut
        if (!late && (!mayPass(error) || (!started && error._tag === "MachineNotRunning"))) throw error
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
      const found = await bounded(KNOCK_MS, new AbortController().signal, (signal) => knock(endpoint, signal))
      return troubleOf(to, { ...found, answer: undefined }, names)?._tag !== "Unclear"
    } catch {
      return false
    }
  }

  const join = (to: Destination, waitUntil: Sendable<unknown>["waitUntil"], signal: AbortSignal) =>
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
    underway: (to) => wakes.size() > 0 && wakes.waiting(machineKey(to)) !== undefined,
    awake: (to, waitUntil) =>
      Effect.suspend(() => {
        const { machine } = to
        if ((wakes.waiting(machineKey(to)) ?? 0) >= wakeQueue) return Effect.fail(stillStarting(machine))
        return lifted("Machines.wake", to, (signal) => join(to, waitUntil, signal)).pipe(
          Effect.timeoutOrElse({ duration: wakeTimeoutMs + 100, orElse: () => Effect.fail(stillStarting(machine)) }),
        )
      }),
    begin: (to, waitUntil) => void join(to, waitUntil, new AbortController().signal).catch(() => undefined),
  }
}

/** What may be over in a moment, when the machine was told to start. */
export const mayPass = (error: ProviderError): boolean =>
  error._tag === "MachineNotRunning" || error._tag === "MachineStarting" || error._tag === "ProviderRateLimited"

/** 250 ms to 2 s, a quarter more or less, and never before the provider wants to be asked again (at most 30 s). */
export const pauseMs = (round: number, error: ProviderError): number =>
  Math.max(Math.min(250 * 2 ** round, 2_000) * (0.75 + Math.random() / 2), Math.min(retryAfterOf(error) ?? 0, 30_000))

const retryAfterOf = (error: ProviderError): number | undefined =>
  "retryAfterMs" in error ? error.retryAfterMs : undefined

export const stillStarting = (machine: Machine, cause?: ProviderError): MachineStarting =>
  new MachineStarting({
    ...where(machine),
    cause,
    retryAfterMs: (cause === undefined ? undefined : retryAfterOf(cause)) ?? 2_000,
  })

const knockByFetch =
  (names: HopNames): Knock =>
  async (endpoint, signal) => {
    const headers = tunnelHeaders([], [], endpoint, names)
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
