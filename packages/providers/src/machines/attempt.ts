import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { monotonicNow } from "@project-ingress/forward/internal"
import type { HopHeaderNames } from "@project-ingress/forward"
import {
  classifyResponse,
  hasMoved,
  hasWrongStamp,
  isStamped,
  isTicketRefused,
  isUnsupported,
  looksLikeStartup,
  mayHaveMoved,
  needsStatus,
  toProviderError,
} from "./attempt-failure.ts"
import type { AttemptFailure } from "./attempt-failure.ts"
import type { AttemptRequest, AttemptResponse, ReachedResponse } from "./attempt-request.ts"
import type { ProofReport } from "./background-events.ts"
import type { Destination } from "./destination.ts"
import type { ProviderError } from "../contract/errors.ts"
import type { Endpoint } from "../contract/machine-provider.ts"
import { pause } from "./pause.ts"
import type { ProviderClient } from "./provider-client.ts"
import { withTimeout } from "./with-timeout.ts"

/** Why a request has no response, and whether the peer may have received it. */
export interface AttemptError {
  readonly error: ProviderError
  readonly sent: "no" | "maybe"
}

/**
 * Sends a request to a machine that should be running: once, once more if the machine has moved, and several times while it is
 * young. `wokenAt`: when it was started for this request, by `monotonicNow`.
 */
export type Attempt = <A>(
  to: Destination,
  request: AttemptRequest<A>,
  wokenAt?: number,
) => Effect.Effect<ReachedResponse<A>, AttemptError>

// A machine that just started resets connections for some 70 ms (docker); a request may wait about a second for it.
const STARTUP_PAUSES_MS = [50, 50, 100, 200, 250, 250, 250]

export const makeAttempt = (
  client: ProviderClient,
  options: {
    readonly headerNames: HopHeaderNames
    readonly startupGraceMs: number
    readonly onProof: (report: ProofReport) => void
  },
): Attempt => {
  const { startupGraceMs } = options
  const isYoung = (uptimeMs: number | undefined): boolean => uptimeMs !== undefined && uptimeMs < startupGraceMs

  /** What else may help after a failure: where the machine is now, and a moment's patience with one that is young. */
  const tryAgain = Effect.fnUntraced(function* <A>(
    to: Destination,
    request: AttemptRequest<A>,
    first: { readonly endpoint: Endpoint; readonly resolvedAt: number; readonly failed: AttemptFailure<A> },
    wokenAt: number | undefined,
  ): Effect.fn.Return<ReachedResponse<A>, AttemptError> {
    let { endpoint, resolvedAt, failed } = first
    let sent: "no" | "maybe" = "no"
    let result: Result.Result<ReachedResponse<A>, AttemptFailure<A>>
    const withSent = (error: ProviderError): AttemptError => ({ error, sent })
    const send = (endpoint: Endpoint) => sendOnce(to, endpoint, request, options)
    if (isUnsupported(failed)) {
      const evidence = { young: false, replayable: false, status: undefined }
      return yield* Effect.fail(withSent(toProviderError(failed, to, evidence)))
    }

    // It may have failed because the machine is elsewhere by now: resolve it again, and send once more if it is.
    if (!mayHaveMoved(failed) || !request.replayable(failed.sent)) client.forget(to, endpoint)
    else {
      sent = failed.sent
      endpoint = yield* Effect.onError(Effect.mapError(client.refreshed(to, endpoint), withSent), () =>
        Effect.sync(() => discardUnproven(request, first.failed)),
      )
      resolvedAt = monotonicNow()
      if (hasMoved(first.endpoint, endpoint)) {
        discardUnproven(request, first.failed)
        result = yield* send(endpoint)
        if (Result.isSuccess(result)) return result.success
        failed = result.failure
        client.forget(to, endpoint)
      }
    }

    // A young machine refuses for a moment: its proxy is about to listen.
    const now = monotonicNow()
    const young =
      isYoung(endpoint.uptimeMs === undefined ? undefined : endpoint.uptimeMs + now - resolvedAt) ||
      (wokenAt !== undefined && isYoung(now - wokenAt))
    const mayRetry = (failed: AttemptFailure): boolean => looksLikeStartup(failed) && request.replayable(failed.sent)
    for (const ms of young ? STARTUP_PAUSES_MS : []) {
      if (!mayRetry(failed)) break
      yield* Effect.promise((signal) => pause(ms, signal))
      result = yield* send(endpoint)
      if (Result.isSuccess(result)) return result.success
      failed = result.failure
    }

    // Fresh credentials changed nothing, so it was not the edge that refused.
    if (failed._tag === "CredentialsExpired" && failed.unproven !== undefined) return failed.unproven

    sent = failed.sent
    const replayable = request.replayable(sent)
    const status = needsStatus(failed) ? yield* Effect.mapError(client.status(to), withSent) : undefined
    const error = toProviderError(failed, to, { young: young || isYoung(status?.uptimeMs), replayable, status })
    return yield* Effect.fail(withSent(error))
  })

  /** Nearly every request needs no more than this. */
  const sendFirst = <A>(
    to: Destination,
    request: AttemptRequest<A>,
    endpoint: Endpoint,
    wokenAt: number | undefined,
  ): Effect.Effect<ReachedResponse<A>, AttemptError> => {
    // Without an uptime nothing depends on the time.
    const resolvedAt = endpoint.uptimeMs === undefined ? 0 : monotonicNow()
    return Effect.flatMap(sendOnce(to, endpoint, request, options), (result) =>
      Result.isSuccess(result)
        ? Effect.succeed(result.success)
        : tryAgain(to, request, { endpoint, resolvedAt, failed: result.failure }, wokenAt),
    )
  }

  return (to, request, wokenAt) =>
    Effect.flatMapEager(
      Effect.mapErrorEager(client.endpoint(to), (error): AttemptError => ({ error, sent: "no" })),
      (endpoint) => sendFirst(to, request, endpoint, wokenAt),
    )
}

/** Sends a request to one endpoint, once. Gives a response of the app or of the machine's own proxy, or why there is none. */
const sendOnce = <A>(
  to: Destination,
  endpoint: Endpoint,
  request: AttemptRequest<A>,
  options: SendOptions,
  mayRenew = true,
): Effect.Effect<Result.Result<ReachedResponse<A>, AttemptFailure<A>>> => {
  const { headerNames, onProof } = options
  const classify = (received: ReachedResponse<A>, body?: string) => {
    const failed = classifyResponse(to, endpoint, received, headerNames, body)
    if (failed === undefined) return Result.succeed(received)
    // One that may be the app's after all is kept.
    if (!("unproven" in failed)) discard(request, received.response)
    return Result.fail(failed)
  }
  return Effect.matchEffect(request.send(endpoint), {
    onFailure: (failure) => Effect.succeed(Result.fail({ _tag: "NoResponse", failure, sent: failure.sent } as const)),
    onSuccess: (response) => {
      if (endpoint.machineProxy === false) return Effect.succeed(Result.succeed(withoutOurs(response, headerNames)))
      // Before anything of the response is used.
      const stamped = isStamped(response, headerNames)
      const received = { ...response, stamped }
      const { status } = received
      // Of what the machine's proxy gives, a 421 or a 401 alone may be about ourselves.
      if (stamped && status !== 421 && status !== 401) return Effect.succeed(Result.succeed(received))
      if (stamped && mayRenew && isTicketRefused(received, headerNames)) {
        if (request.renewTicket?.() !== true) return Effect.succeed(Result.succeed(received))
        onProof(proofReport(to, "ticket_renewed"))
        if (!request.replayable("no")) return Effect.succeed(Result.succeed(received))
        discard(request, received.response)
        return sendOnce(to, endpoint, request, options, false)
      }
      if (!stamped && hasWrongStamp(received, headerNames)) onProof(proofReport(to, "wrong_stamp"))
      const { readPrefix } = request
      if (stamped || readPrefix === undefined || to.provider.classify === undefined) {
        return Effect.succeed(classify(received))
      }
      return Effect.map(prefixOf(readPrefix, received.response), (body) => classify(received, body))
    },
  })
}

type SendOptions = Pick<Parameters<typeof makeAttempt>[1], "headerNames" | "onProof">

const proofReport = ({ machine: { id, type }, port }: Destination, outcome: ProofReport["outcome"]): ProofReport => ({
  provider: type,
  machine: id,
  port,
  outcome,
  reason: proofReasons[outcome],
})

const proofReasons = {
  ticket_renewed: "the machine refused a ticket, so another one was signed: a clock or a key has changed",
  wrong_stamp: "a response bears a wrong stamp: another program or machine answers at the machine's address",
} as const

/** The response of an app's own address, which must not speak in our name: no field of ours can be read from it. */
const withoutOurs = <A>(received: AttemptResponse<A>, { prefix }: HopHeaderNames): ReachedResponse<A> => ({
  ...received,
  stamped: false,
  header: (lowerName) => (lowerName.startsWith(prefix) ? undefined : received.header(lowerName)),
})

/** Throws a response away that may be the app's, because another one takes its place or none is wanted any more. */
const discardUnproven = <A>(request: AttemptRequest<A>, failed: AttemptFailure<A>): void => {
  if (failed._tag === "CredentialsExpired" && failed.unproven !== undefined) discard(request, failed.unproven.response)
}

const discard = <A>(request: AttemptRequest<A>, response: A): void => {
  try {
    request.discard(response)
  } catch {
    // Why the response is not wanted counts, and not what became of it.
  }
}

/** The beginning of a platform's response, if it can be had in time. */
const prefixOf = <A>(
  readPrefix: (response: A) => Promise<string | undefined>,
  response: A,
): Effect.Effect<string | undefined> =>
  Effect.tryPromise((signal) => withTimeout(1_000, signal, () => readPrefix(response))).pipe(
    Effect.map((text) => text?.slice(0, 4_096)),
    Effect.orElseSucceed(() => undefined),
  )
