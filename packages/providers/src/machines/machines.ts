import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { defaultHeaderNames } from "@project-ingress/forward"
import type { HopHeaderNames } from "@project-ingress/forward"
import { validProviders, invalidRecord } from "../contract/validate.ts"
import { destinationOf } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { MachineRecordInvalid, machineRef } from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import { makeKeepAlive } from "./keep-alive.ts"
import type { Endpoint, Machine, MachineProvider } from "../contract/machine-provider.ts"
import { makeProviderClient } from "./provider-client.ts"
import type { AttemptRequest } from "./attempt-request.ts"
import {
  toProviderError,
  hasMoved,
  isStartingUp,
  isUntried,
  mayHaveMoved,
  classifyResponse,
  wantsStatus,
} from "./attempt-failure.ts"
import type { AttemptFailure } from "./attempt-failure.ts"
import { makeWaker, isTransient, pauseMs, stillStarting } from "./waker.ts"
import type { ReadinessProbe } from "./waker.ts"
import { follow } from "./watch.ts"

export interface MachinesOptions {
  readonly providers: readonly MachineProvider[]
  /** Default: `x-iterate-proxy-*`. */
  readonly headerNames?: HopHeaderNames
  /** How young a machine must be, in ms, for a refused connection to mean that it is still starting. 10 000. */
  readonly startupGraceMs?: number
  /** How long a provider may take to answer one question, in ms. 10 000. */
  readonly resolveTimeoutMs?: number
  /** False: a machine that does not run is never started, and its requests fail with `MachineNotRunning`. True. */
  readonly wake?: boolean
  /** How long a request waits, in ms, for a machine that it woke or found waking. 30 000. */
  readonly wakeTimeoutMs?: number
  /** How many requests wait for one machine to wake; the next ones fail at once with `MachineStarting`. 1 000. */
  readonly wakeQueue?: number
  /**
   * Asks a machine that was just woken for a sign of life, so that no body is sent to one that does not listen yet. Default:
   * a request of its own with neither target nor ticket, which a machine's proxy refuses before any app sees it.
   */
  readonly readinessProbe?: ReadinessProbe
}

export interface Machines {
  /** The provider of a type, for what it can do and what its platform eats. */
  readonly provider: (type: string) => MachineProvider | undefined
  /** Sends a request to a machine; `port` is the one wanted inside. Succeeds with the answer of the machine's own proxy. */
  readonly reach: <A>(machine: Machine, port: number, request: AttemptRequest<A>) => Effect.Effect<A, ProviderError>
  /** Forgets where a machine answered: for who hears of a change before a request does. */
  readonly forget: (type: string, externalId: string) => void
  /**
   * Follows what the providers that can `watch` tell of their machines, and forgets where each of those answered. Runs until
   * it is interrupted, and never fails; a request without it finds the same out by one failed attempt.
   */
  readonly watch: Effect.Effect<never>
}

/** Why a request ended without an answer, and what had become of it by then. */
interface Failed {
  readonly error: ProviderError
  readonly sent: "no" | "maybe"
}

// A machine that just started resets connections for some 70 ms (docker); a request may wait about a second for it.
const grace = Schedule.min([Schedule.exponential(50), Schedule.spaced(250)]).pipe(Schedule.upTo({ times: 6 }))

/**
 * How machines are reached, whoever runs them: one policy, so that no adapter needs any.
 *
 * @throws {TypeError} when `providers` holds what is none, or two of one type
 */
export const makeMachines = (options: MachinesOptions): Machines => {
  const {
    headerNames: names = defaultHeaderNames,
    startupGraceMs = 10_000,
    resolveTimeoutMs = 10_000,
    readinessProbe: knock,
  } = options
  const { wakeTimeoutMs = 30_000, wakeQueue = 1_000 } = options
  const byType = validProviders(options.providers)
  const questions = makeProviderClient({ timeoutMs: resolveTimeoutMs })
  const wakes = makeWaker(questions, { names, startupGraceMs, wakeTimeoutMs, wakeQueue, knock })
  const keepAlive = makeKeepAlive({ timeoutMs: resolveTimeoutMs })

  const attempt = <A>(
    to: Destination,
    request: AttemptRequest<A>,
    endpoint: Endpoint,
  ): Effect.Effect<A, AttemptFailure<A>> =>
    Effect.matchEffect(
      Effect.suspend(() => request.send(endpoint)),
      {
        onFailure: (failure) => Effect.fail<AttemptFailure<A>>({ _tag: "Unanswered", failure, sent: failure.sent }),
        onSuccess: (received) => {
          const { response: answer, header, status } = received
          const stamped = header(names.stamp) !== undefined
          if (stamped && status !== 421) return Effect.succeed(answer)
          return Effect.flatMap(stamped ? Effect.succeed(undefined) : bodyOf(to, request, answer), (body) => {
            const trouble = classifyResponse(to, received, names, body)
            if (trouble === undefined) return Effect.succeed(answer)
            // It may be the app's after all.
            if (trouble._tag === "Stale" && trouble.hidden !== undefined) return Effect.fail(trouble)
            return Effect.flatMap(Effect.try({ try: () => request.discard(answer), catch: () => trouble }), () =>
              Effect.fail(trouble),
            )
          })
        },
      },
    )

  const isYoung = (uptimeMs: number | undefined): boolean => uptimeMs !== undefined && uptimeMs < startupGraceMs

  /** One request with its second try and its moment of grace. `wokenAt`: when somebody woke the machine for it. */
  const once = Effect.fnUntraced(function* <A>(
    to: Destination,
    request: AttemptRequest<A>,
    wokenAt?: number,
  ): Effect.fn.Return<A, Failed> {
    let sent: "no" | "maybe" = "no"
    const failed = (error: ProviderError): Failed => ({ error, sent })
    const resolve = Effect.mapError(questions.resolve(to), failed)
    let endpoint = questions.cached(to) ?? (yield* resolve)
    let since = yield* Clock.currentTimeMillis
    let tried = yield* Effect.result(attempt(to, request, endpoint))
    if (Result.isSuccess(tried)) return tried.success
    let trouble = tried.failure
    if (isUntried(trouble)) {
      return yield* Effect.fail(
        failed(toProviderError(trouble, to, { young: false, replayable: false, status: undefined })),
      )
    }
    questions.forget(to, endpoint)

    // What failed may have failed because the machine is elsewhere by now: ask, and try once more if it is.
    if (mayHaveMoved(trouble) && request.replayable(trouble.sent)) {
      sent = trouble.sent
      const before = endpoint
      endpoint = questions.cached(to) ?? (yield* resolve)
      since = yield* Clock.currentTimeMillis
      if (hasMoved(before, endpoint)) {
        tried = yield* Effect.result(attempt(to, request, endpoint))
        if (Result.isSuccess(tried)) return tried.success
        trouble = tried.failure
        questions.forget(to, endpoint)
      }
    }

    // A young machine refuses for a moment: its proxy is about to listen.
    const now = yield* Clock.currentTimeMillis
    const young =
      isYoung(endpoint.uptimeMs === undefined ? undefined : endpoint.uptimeMs + now - since) ||
      (wokenAt !== undefined && isYoung(now - wokenAt))
    const again = (trouble: AttemptFailure): boolean => isStartingUp(trouble) && request.replayable(trouble.sent)
    if (young && again(trouble)) {
      tried = yield* attempt(to, request, endpoint).pipe(
        Effect.retry({ schedule: grace, while: again }),
        Effect.delay(50),
        Effect.result,
      )
      if (Result.isSuccess(tried)) return tried.success
      trouble = tried.failure
    }

    // Fresh credentials changed nothing, so it was no edge that refused.
    if (trouble._tag === "Stale" && trouble.hidden !== undefined) return trouble.hidden.answer

    sent = trouble.sent
    const replayable = request.replayable(sent)
    const status = wantsStatus(trouble) ? yield* Effect.mapError(questions.status(to), failed) : undefined
    const error = toProviderError(trouble, to, { young: young || isYoung(status?.uptimeMs), replayable, status })
    return yield* Effect.fail(failed(error))
  })

  /** Waits until the machine runs, then sends until it answers: what arrives meanwhile waits unsent. */
  const awaken = Effect.fnUntraced(function* <A>(
    to: Destination,
    request: AttemptRequest<A>,
  ): Effect.fn.Return<A, ProviderError> {
    const deadline = (yield* Clock.currentTimeMillis) + wakeTimeoutMs
    yield* wakes.wakeAndWait(to, request.waitUntil)
    const wokenAt = yield* Clock.currentTimeMillis
    for (let round = 0; ; round++) {
      const tried = yield* Effect.result(once(to, request, wokenAt))
      if (Result.isSuccess(tried)) return tried.success
      const { error, sent } = tried.failure
      if (!isTransient(error) || !request.replayable(sent)) return yield* Effect.fail(error)
      const pause = pauseMs(round, error)
      if ((yield* Clock.currentTimeMillis) + pause > deadline) {
        return yield* Effect.fail(stillStarting(to.machine, error))
      }
      yield* Effect.sleep(pause)
    }
  })

  /** Sends a request, and wakes a machine that sleeps. */
  const deliver = <A>(to: Destination, request: AttemptRequest<A>): Effect.Effect<A, ProviderError> => {
    const { provider } = to
    const wakeable = options.wake !== false && provider.capabilities.wake === "start" && provider.start !== undefined
    // Somebody is waking it already: to ask where it is would only say that it does not run.
    if (wakeable && wakes.isWaking(to) && questions.cached(to) === undefined) return awaken(to, request)
    return Effect.catch(once(to, request), ({ error, sent }) => {
      const asleep = error._tag === "MachineNotRunning" || (error._tag === "MachineStarting" && wakes.isWaking(to))
      if (!wakeable || !asleep) return Effect.fail(error)
      if (request.replayable(sent)) return awaken(to, request)
      // It cannot be sent again, but its client may ask again, and should then find the machine on its way up.
      return Effect.flatMap(
        Effect.sync(() => wakes.startInBackground(to, request.waitUntil)),
        () => Effect.fail(error),
      )
    })
  }

  return {
    provider: (type) => byType.get(type),
    reach: (machine, port, request) =>
      Effect.suspend(() => {
        const problem = invalidRecord(machine)
        if (problem !== undefined) return Effect.fail(problem)
        const provider = byType.get(machine.type)
        if (provider === undefined) {
          const accepted =
            byType.size === 0 ? "of a provider, and none is configured" : `one of ${[...byType.keys()].join(", ")}`
          return Effect.fail(new MachineRecordInvalid({ ...machineRef(machine), field: "type", accepted }))
        }
        const to = destinationOf(provider, machine, port)
        if (provider.keepAlive === undefined) return deliver(to, request)
        return Effect.map(deliver(to, request), (answer) => {
          keepAlive.used(to, request.closed?.(answer), request.waitUntil)
          return answer
        })
      }),
    forget: questions.forgetMachine,
    watch: Effect.forEach(
      options.providers.filter((provider) => provider.watch !== undefined),
      (provider) => follow(provider, ({ externalId }) => questions.forgetMachine(provider.type, externalId)),
      { concurrency: "unbounded", discard: true },
    ).pipe(Effect.andThen(Effect.never)),
  }
}

/** The beginning of a platform's own answer, where its adapter reads one and it can be had. */
const bodyOf = <A>(to: Destination, request: AttemptRequest<A>, answer: A): Effect.Effect<string | undefined> => {
  const { readPrefix: peek } = request
  if (peek === undefined || to.provider.classify === undefined) return Effect.succeed(undefined)
  return Effect.tryPromise(() => peek(answer)).pipe(
    Effect.timeout(1_000),
    Effect.map((text) => text?.slice(0, 4_096)),
    Effect.orElseSucceed(() => undefined),
  )
}
