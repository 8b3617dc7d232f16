import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { monotonicNow } from "@project-ingress/forward/internal"
import { defaultHeaderNames } from "@project-ingress/forward"
import { makeAttempt } from "./attempt.ts"
import type { AttemptRequest, ReachedResponse } from "./attempt-request.ts"
import { makeBackgroundEvents } from "./background-events.ts"
import { destinationOf } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { MachineRecordInvalid, machineRef } from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import { makeFromPromise } from "./from-promise.ts"
import { makeKeepAlive } from "./keep-alive.ts"
import type { Machine, MachineChange, MachineProvider, MachineStatus } from "../contract/machine-provider.ts"
import { checkMachinesOptions } from "./machines-options.ts"
import type { MachinesOptions } from "./machines-options.ts"
import type { MachineSnapshot } from "./machine-snapshot.ts"
import { pause } from "./pause.ts"
import { makeProviderClient } from "./provider-client.ts"
import { probeByFetch } from "./readiness-probe.ts"
import { noSpans } from "./spans.ts"
import type { Spans } from "./spans.ts"
import { isTransient, retryDelayMs, stillStarting } from "./transient.ts"
import { validProviders } from "../contract/validate.ts"
import { makeWaker } from "./waker.ts"
import { followChanges } from "./watch.ts"

/** The machines of all providers: sends requests to them, and knows what follows from a failure. */
export interface Machines {
  /** The provider of a type, for what it can do and which headers its platform intercepts. */
  readonly provider: (type: string) => MachineProvider | undefined
  /**
   * Sends a request to a port of a machine, 1 to 65535. Succeeds with the response of the machine's own proxy, or of an app's own
   * address, head included, whatever its status; starts a machine that sleeps, and sends again whatever may be sent again.
   */
  readonly reach: <A>(
    machine: Machine,
    port: number,
    request: AttemptRequest<A>,
  ) => Effect.Effect<ReachedResponse<A>, ProviderError>
  /**
   * What is known of a machine, as a request for it would find it: from the tables alone, without a call of its provider. Or what is
   * invalid about its record.
   */
  readonly snapshot: (machine: Machine, port: number, owner?: string) => MachineSnapshot | MachineRecordInvalid
  /**
   * Asks the machine's provider what it is doing, within the budgets of requests: one whose budget is used up gets the last status that is
   * known. `undefined` if the provider cannot tell.
   */
  readonly status: (
    machine: Machine,
    port: number,
    owner?: string,
  ) => Effect.Effect<MachineStatus | undefined, ProviderError>
  /** Forgets a machine's endpoints, for callers that hear of a change before a request does. */
  readonly forget: (type: string, externalId: string) => void
  /**
   * Follows the changes that providers with `watch` report, and forgets the endpoints of each machine that changed. Runs until
   * it is interrupted, and never fails; without it a request finds the same out by one failed attempt.
   */
  readonly watch: Effect.Effect<never>
}

/**
 * Sends requests to machines, whoever runs them. Retries, waking, caching and the meaning of failures are decided here once,
 * so that no adapter needs any of it. Opens nothing and starts nothing. `spans` puts calls to providers into spans of a tracer, as
 * `layer` of `./effect` does; there are none by default.
 *
 * @throws {TypeError} naming the option that is unknown or invalid, an invalid provider, or the second one of a type
 */
export const makeMachines = (options: MachinesOptions, spans: Spans = noSpans): Machines => {
  checkMachinesOptions("makeMachines", options)
  const providers = validProviders(options.providers)
  const {
    headerNames = defaultHeaderNames,
    startupGraceMs = 10_000,
    resolveTimeoutMs = 10_000,
    callsPerMinute = 6_000,
  } = options
  const { wake = true, wakeTimeoutMs = 30_000, wakeQueue = 1_000 } = options
  const { readinessProbe = probeByFetch(headerNames) } = options
  const events = makeBackgroundEvents(options.onEvent)
  const fromPromise = makeFromPromise(spans)
  const client = makeProviderClient({ fromPromise, timeoutMs: resolveTimeoutMs, callsPerMinute })
  const keepAlive = makeKeepAlive({ timeoutMs: resolveTimeoutMs, events })
  const wakerOptions = { fromPromise, headerNames, startupGraceMs, wakeTimeoutMs, wakeQueue, readinessProbe, events }
  const waker = makeWaker(client, wakerOptions)
  const attempt = makeAttempt(client, { headerNames, startupGraceMs, onProof: events.proof })

  const reach = <A>(machine: Machine, port: number, request: AttemptRequest<A>) =>
    Effect.suspend((): Effect.Effect<ReachedResponse<A>, ProviderError> => {
      const to = destinationOf(providers, machine, port, request.owner)
      if (to instanceof MachineRecordInvalid) return Effect.fail(to)
      if (to.provider.keepAlive === undefined) return send(to, request)
      return Effect.map(send(to, request), (received) => {
        keepAlive.markUsed(to, request.closed?.(received.response), request.waitUntil)
        return received
      })
    })

  /** Sends a request, and starts a machine that sleeps. */
  const send = <A>(to: Destination, request: AttemptRequest<A>): Effect.Effect<ReachedResponse<A>, ProviderError> => {
    const { provider } = to
    const mayWake = wake && request.wake !== false
    if (request.wake === false && provider.capabilities.wake === "request") return Effect.fail(wakesByItself(to))
    const wakeable = mayWake && provider.capabilities.wake === "start" && provider.start !== undefined
    if (!wakeable) return Effect.mapError(attempt(to, request), ({ error }) => error)
    // Somebody is starting it already: its provider would only say that it is not running.
    if (waker.isWaking(to) && client.cached(to) === undefined) return wakeAndSend(to, request)
    return Effect.catch(attempt(to, request), ({ error, sent }) => {
      const asleep = error._tag === "MachineNotRunning" || (error._tag === "MachineStarting" && waker.isWaking(to))
      if (!asleep) return Effect.fail(error)
      if (request.replayable(sent)) return wakeAndSend(to, request)
      // It cannot be sent again, but its client may try again, and should then find the machine starting.
      return Effect.suspend(() => {
        waker.startInBackground(to, request.waitUntil)
        return Effect.fail(error)
      })
    })
  }

  /** Waits until the machine is running, then sends until it responds: what arrives meanwhile waits unsent. */
  const wakeAndSend = Effect.fnUntraced(function* <A>(
    to: Destination,
    request: AttemptRequest<A>,
  ): Effect.fn.Return<ReachedResponse<A>, ProviderError> {
    const deadline = monotonicNow() + wakeTimeoutMs
    yield* waker.wakeAndWait(to, request.waitUntil)
    const wokenAt = monotonicNow()
    for (let round = 0; ; round++) {
      const result = yield* Effect.result(attempt(to, request, wokenAt))
      if (Result.isSuccess(result)) return result.success
      const { error, sent } = result.failure
      if (!isTransient(error) || !request.replayable(sent)) return yield* Effect.fail(error)
      const delay = retryDelayMs(round, error)
      if (monotonicNow() + delay > deadline) {
        return yield* Effect.fail(stillStarting(to.machine, error))
      }
      yield* Effect.promise((signal) => pause(delay, signal))
    }
  })

  const watch = Effect.callback<never>((_resume, signal) => {
    for (const provider of providers.values()) {
      if (provider.watch === undefined) continue
      const forget = ({ externalId }: MachineChange): void => client.forgetMachine(provider.type, externalId)
      void followChanges(provider, forget, events, signal)
    }
  })

  const snapshot: Machines["snapshot"] = (machine, port, owner) => {
    const to = destinationOf(providers, machine, port, owner)
    return to instanceof MachineRecordInvalid ? to : { ...client.known(to), isWaking: waker.isWaking(to) }
  }

  const status: Machines["status"] = (machine, port, owner) => {
    const to = destinationOf(providers, machine, port, owner)
    return to instanceof MachineRecordInvalid ? Effect.fail(to) : client.status(to)
  }

  return { provider: (type) => providers.get(type), reach, snapshot, status, forget: client.forgetMachine, watch }
}

/** Nothing shows whether such a machine sleeps, and sending would start it: who must not start it is not let through. */
const wakesByItself = ({ machine }: Destination): MachineRecordInvalid =>
  new MachineRecordInvalid({
    ...machineRef(machine),
    field: "wake",
    accepted: "any, because every request starts a machine of this provider",
  })
