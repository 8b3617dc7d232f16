import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { monotonicNow } from "@project-ingress/forward/internal"
import { defaultHeaderNames } from "@project-ingress/forward"
import { makeAttempt } from "./attempt.ts"
import type { AttemptRequest, ReachedResponse } from "./attempt-request.ts"
import { makeBackgroundEvents } from "./background-events.ts"
import { destinationOf } from "./destination.ts"
import type { Destination } from "./destination.ts"
import {
  MachineNotFound,
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStarting,
  machineRef,
} from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import { makeFromPromise } from "./from-promise.ts"
import { makeKeepAlive } from "./keep-alive.ts"
import type { Endpoint, Machine, MachineChange, MachineProvider, MachineStatus } from "../contract/machine-provider.ts"
import { checkMachinesOptions } from "./machines-options.ts"
import type { MachinesOptions } from "./machines-options.ts"
import type { MachineSnapshot } from "./machine-snapshot.ts"
import { pause } from "./pause.ts"
import { makeProviderClient } from "./provider-client.ts"
import { probeByFetch } from "./readiness-probe.ts"
import { makeSignsOfLife } from "./sign-of-life.ts"
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
  const { wake = true, wakeTimeoutMs = 30_000, wakeQueue = 1_000, maxStartsPerOwner = 250 } = options
  const { readinessProbe = probeByFetch(headerNames) } = options
  const events = makeBackgroundEvents(options.onEvent)
  const fromPromise = makeFromPromise(spans)
  const client = makeProviderClient({ fromPromise, timeoutMs: resolveTimeoutMs, callsPerMinute })
  const keepAlive = makeKeepAlive({ timeoutMs: resolveTimeoutMs, events })
  const starting = { startupGraceMs, wakeTimeoutMs, wakeQueue, maxStartsPerOwner, readinessProbe }
  const waker = makeWaker(client, { ...starting, fromPromise, headerNames, events })
  const life = makeSignsOfLife(client, { readinessProbe, headerNames })
  const attempt = makeAttempt(client, { headerNames, startupGraceMs, onProof: events.proof })

  const reach = <A>(machine: Machine, port: number, request: AttemptRequest<A>) =>
    Effect.suspend((): Effect.Effect<ReachedResponse<A>, ProviderError> => {
      const to = destinationOf(providers, machine, port, request.owner)
      if (to instanceof MachineRecordInvalid) return Effect.fail(to)
      // Of a machine that nobody starts from here nothing is known but what its requests show.
      const reaching = to.provider.capabilities.wake === "none" ? send(to, request) : reachWakeable(to, request)
      if (to.provider.keepAlive === undefined || request.isUse === false) return reaching
      return Effect.map(reaching, (received) => {
        keepAlive.markUsed(to, request.closed?.(received.response), request.waitUntil)
        return received
      })
    })

  /** Remembers that the machine responded, and lets nobody wait longer than it is willing to for one that does not. */
  const reachWakeable = <A>(to: Destination, request: AttemptRequest<A>) => {
    const { holdMs } = request
    const reaching = holdMs === undefined || life.isRecent(to) ? send(to, request) : held(to, request, holdMs)
    return Effect.map(reaching, (received) => {
      life.seen(to)
      waker.responded(to)
      return received
    })
  }

  /** Sends a request, and gives it up when nothing has shown in time that the machine runs: it is then started for the next one. */
  const held = <A>(to: Destination, request: AttemptRequest<A>, holdMs: number) => {
    let sentTo: Endpoint | undefined
    const send_ = (endpoint: Endpoint) => {
      sentTo = endpoint
      return request.send(endpoint)
    }
    const missing = Effect.promise((signal) => life.missing(to, holdMs, () => sentTo, signal))
    const giveUp = Effect.suspend(() => {
      const error = waker.refusal(to) ?? stillStarting(to.machine)
      if (wake && wantsWake(request)) waker.startInBackground(to, request.waitUntil, true)
      return Effect.fail(error)
    })
    return Effect.raceFirst(send(to, { ...request, send: send_ }), Effect.andThen(missing, giveUp))
  }

  /** Sends a request, and starts a machine that sleeps. */
  const send = <A>(to: Destination, request: AttemptRequest<A>): Effect.Effect<ReachedResponse<A>, ProviderError> => {
    const { provider } = to
    const { wake: onStart } = provider.capabilities
    if (onStart === "none") return Effect.mapError(attempt(to, request), ({ error }) => error)
    const wants = wantsWake(request)
    if (!wants && onStart === "request" && !life.isRecent(to)) return sendIfRunning(to, request)
    const wakeable = onStart === "start" && provider.start !== undefined
    if (!(wake && wants && wakeable)) return sendOnly(to, request)
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

  /** Sends a request, and starts nothing. A machine that somebody else starts is starting, whatever its provider says by now. */
  const sendOnly = <A>(
    to: Destination,
    request: AttemptRequest<A>,
  ): Effect.Effect<ReachedResponse<A>, ProviderError> => {
    if (waker.isWaking(to) && client.cached(to) === undefined) return Effect.fail(stillStarting(to.machine))
    return Effect.mapError(attempt(to, request), ({ error }) =>
      error._tag === "MachineNotRunning" && waker.isWaking(to) ? stillStarting(to.machine, error) : error,
    )
  }

  /** Sends a request that would start the machine only if it runs by what its provider says. */
  const sendIfRunning = <A>(to: Destination, request: AttemptRequest<A>) =>
    Effect.flatMap(client.status(to), (status): Effect.Effect<ReachedResponse<A>, ProviderError> => {
      const ref = machineRef(to.machine)
      switch (status?.state) {
        case "running":
          return sendOnly(to, request)
        case undefined:
        case "unknown":
          return request.wake === "avoid" ? sendOnly(to, request) : Effect.fail(wakesByItself(to))
        case "gone":
          return Effect.fail(new MachineNotFound(ref))
        case "starting":
          return Effect.fail(new MachineStarting(ref))
        default:
          return Effect.fail(new MachineNotRunning({ ...ref, state: status!.detail ?? status!.state }))
      }
    })

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

const wantsWake = ({ wake = true }: Pick<AttemptRequest<unknown>, "wake">): boolean => wake === true

/** Nothing shows whether such a machine sleeps, and sending would start it: who must not start it is not let through. */
const wakesByItself = ({ machine }: Destination): MachineRecordInvalid =>
  new MachineRecordInvalid({
    ...machineRef(machine),
    field: "wake",
    accepted: "any, because every request starts a machine of this provider",
  })
