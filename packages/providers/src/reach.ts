import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { answerTable, defaultNames } from "@project-ingress/forward"
import type { HopNames } from "@project-ingress/forward"
import type { SendFailure } from "@project-ingress/forward/fetch"
import { endpointKey, makeEndpoints } from "./endpoints.ts"
import {
  isProviderError,
  MachineMismatch,
  MachineNotFound,
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStarting,
  PortClosed,
  ProviderAuth,
  ProviderUnavailable,
  UpstreamFailed,
  UpstreamTimeout,
} from "./errors.ts"
import type { ProviderError } from "./errors.ts"
import type { Endpoint, Machine, MachineProvider, MachineStatus, Verdict } from "./machine-provider.ts"

/** An answer's head, and the answer itself, which nobody here looks into. */
export interface Received<A> {
  readonly status: number
  /** The first value of a field, by lower-case name. */
  readonly header: (lowerName: string) => string | undefined
  readonly answer: A
}

/** One request, as the one who moves its bytes offers it. */
export interface Sendable<A> {
  /** Sends it to where the machine's proxy answers. May be called again only after `replayable` said so. */
  readonly send: (endpoint: Endpoint) => Effect.Effect<Received<A>, SendFailure>
  /** Throws an answer away that nobody will read, connection and all. */
  readonly discard: (answer: A) => void
  /**
   * Whether it may be sent once more. `no`: nobody took an octet of it, so all that counts is that its body is still
   * whole. `maybe`: somebody may have acted on it, so its method must be safe as well.
   */
  readonly replayable: (sent: "no" | "maybe") => boolean
}

export interface MachinesOptions {
  readonly providers: readonly MachineProvider[]
  /** Default: `x-iterate-proxy-*`. */
  readonly names?: HopNames
  /** How young a machine must be, in ms, for a refused connection to mean that it is still starting. 10 000. */
  readonly startupGraceMs?: number
  /** How long a provider may take to answer one question, in ms. 10 000. */
  readonly resolveTimeoutMs?: number
}

export interface Machines {
  /** The provider of a type, for what it can do and what its platform eats. */
  readonly provider: (type: string) => MachineProvider | undefined
  /** Sends a request to a machine; `port` is the one wanted inside. Succeeds with the answer of the machine's own proxy. */
  readonly reach: <A>(machine: Machine, port: number, request: Sendable<A>) => Effect.Effect<A, ProviderError>
}

/** Why a request did not bring an answer of this machine, while it is still open what follows from it. */
type Trouble =
  | { readonly _tag: "Unanswered"; readonly failure: SendFailure; readonly sent: "no" | "maybe" }
  | { readonly _tag: "Misdirected"; readonly sent: "no" }
  | { readonly _tag: "Stale"; readonly sent: "no" }
  | { readonly _tag: "Unclear"; readonly reason: string; readonly sent: "maybe" }
  | { readonly _tag: "Known"; readonly error: ProviderError; readonly sent: "maybe" }

// A machine that just started resets connections for some 70 ms (docker); a request may wait about a second for it.
const grace = Schedule.min([Schedule.exponential(50), Schedule.spaced(250)]).pipe(Schedule.upTo({ times: 6 }))

/** How machines are reached, whoever runs them: one policy, so that no adapter needs any. */
export const makeMachines = (options: MachinesOptions): Machines => {
  const { names = defaultNames, startupGraceMs = 10_000, resolveTimeoutMs = 10_000 } = options
  const byType = new Map(options.providers.map((provider) => [provider.type, provider]))
  const endpoints = makeEndpoints()

  const resolve = (provider: MachineProvider, machine: Machine, port: number, key: string) => {
    const known = endpoints.known(key)
    if (known !== undefined) return Effect.succeed(known)
    // The time-out belongs to the question, not to the one who asked it first: others may be waiting for its answer.
    const load = (signal: AbortSignal): Promise<Endpoint> =>
      bounded(resolveTimeoutMs, signal, (signal) => provider.resolve(machine, { port, signal })).then((endpoint) =>
        checked(endpoint, machine),
      )
    return Effect.tryPromise({
      try: (signal) => endpoints.ask(key, load, signal),
      catch: (cause) => providerError(cause, machine),
    })
  }

  const status = (
    provider: MachineProvider,
    machine: Machine,
  ): Effect.Effect<MachineStatus | undefined, ProviderError> =>
    provider.status === undefined
      ? Effect.succeed(undefined)
      : Effect.tryPromise({
          try: (signal) => bounded(resolveTimeoutMs, signal, (signal) => provider.status!(machine, { signal })),
          catch: (cause) => providerError(cause, machine),
        })

  const judge = <A>(provider: MachineProvider, machine: Machine, received: Received<A>): Trouble | undefined => {
    if (received.header(names.stamp) !== undefined) {
      // An app may answer 421 of its own accord; only the machine's proxy can say why, because it removes an app's copy.
      const misdirected =
        received.status === 421 && received.header(names.error) === answerTable.MachineMisdirected.code
      return misdirected ? { _tag: "Misdirected", sent: "no" } : undefined
    }
    let verdict: Verdict
    try {
      const answer = { status: received.status, header: received.header }
      verdict =
        provider.classify === undefined ? classify(received.status, machine) : provider.classify(answer, machine)
    } catch (cause) {
      verdict = providerError(cause, machine)
    }
    if (verdict === "refresh") return { _tag: "Stale", sent: "no" }
    if (verdict === "ask-status") return { _tag: "Unclear", reason: `HTTP ${received.status}`, sent: "maybe" }
    return { _tag: "Known", error: verdict, sent: "maybe" }
  }

  const attempt = <A>(
    provider: MachineProvider,
    machine: Machine,
    request: Sendable<A>,
    endpoint: Endpoint,
  ): Effect.Effect<A, Trouble> =>
    Effect.matchEffect(
      Effect.suspend(() => request.send(endpoint)),
      {
        onFailure: (failure) => Effect.fail<Trouble>({ _tag: "Unanswered", failure, sent: failure.sent }),
        onSuccess: (received) => {
          const trouble = judge(provider, machine, received)
          if (trouble === undefined) return Effect.succeed(received.answer)
          return Effect.flatMap(Effect.try({ try: () => request.discard(received.answer), catch: () => trouble }), () =>
            Effect.fail(trouble),
          )
        },
      },
    )

  const explain = (
    trouble: Trouble,
    machine: Machine,
    port: number,
    seen: { readonly young: boolean; readonly replayable: boolean; readonly status: MachineStatus | undefined },
  ): ProviderError => {
    const where = { provider: machine.type, machine: machine.externalId }
    if (trouble._tag === "Known") return trouble.error
    if (trouble._tag === "Misdirected") return new MachineMismatch(where)
    if (trouble._tag === "Stale") return new ProviderAuth(where)
    const cause = trouble._tag === "Unanswered" ? trouble.failure : undefined
    const found = seen.status
    switch (found?.state) {
      case "stopping":
      case "stopped":
      case "suspended":
      case "failed":
        return new MachineNotRunning({ ...where, cause, state: found.detail ?? found.state })
      case "gone":
        return new MachineNotFound({ ...where, cause })
      case "starting":
        return new MachineStarting({ ...where, cause })
      case "running":
      case "unknown":
      case undefined:
        break
    }
    const running = found?.state === "running"
    const young = seen.young || (found?.upForMs !== undefined && found.upForMs < startupGraceMs)
    if (trouble._tag === "Unclear") {
      if (!running) return new ProviderUnavailable({ ...where, reason: trouble.reason })
      return young ? new MachineStarting(where) : new PortClosed({ ...where, port })
    }
    const { kind, sent } = trouble.failure
    if (kind === "timeout" && sent === "maybe") return new UpstreamTimeout({ ...where, cause })
    // Every try was refused, or cut off before an answer by a machine that runs: nobody listens behind its address.
    if (kind === "refused" || (kind === "reset" && seen.replayable)) {
      if (young) return new MachineStarting({ ...where, cause })
      if (kind === "refused" || running) return new PortClosed({ ...where, cause, port })
    }
    if (sent === "no") return new ProviderUnavailable({ ...where, cause, reason: failureCode(trouble.failure) ?? kind })
    return new UpstreamFailed({ ...where, cause })
  }

  const reach = Effect.fnUntraced(function* <A>(
    machine: Machine,
    port: number,
    request: Sendable<A>,
  ): Effect.fn.Return<A, ProviderError> {
    const provider = byType.get(machine.type)
    if (provider === undefined) {
      const accepted = `one of ${[...byType.keys()].join(", ")}`
      return yield* Effect.fail(
        new MachineRecordInvalid({ provider: machine.type, machine: machine.externalId, field: "type", accepted }),
      )
    }
    const key = endpointKey(machine, port)
    let endpoint = yield* resolve(provider, machine, port, key)
    let since = yield* Clock.currentTimeMillis
    let tried = yield* Effect.result(attempt(provider, machine, request, endpoint))
    if (Result.isSuccess(tried)) return tried.success
    let trouble = tried.failure
    endpoints.forget(key, endpoint)

    // What failed may have failed because the machine is elsewhere by now: ask, and try once more if it is.
    if (mayHaveMoved(trouble) && request.replayable(trouble.sent)) {
      const before = endpoint
      endpoint = yield* resolve(provider, machine, port, key)
      since = yield* Clock.currentTimeMillis
      if (moved(before, endpoint)) {
        tried = yield* Effect.result(attempt(provider, machine, request, endpoint))
        if (Result.isSuccess(tried)) return tried.success
        trouble = tried.failure
        endpoints.forget(key, endpoint)
      }
    }

    // A young machine refuses for a moment: its proxy is about to listen.
    const young =
      endpoint.upForMs !== undefined && endpoint.upForMs + (yield* Clock.currentTimeMillis) - since < startupGraceMs
    const again = (trouble: Trouble): boolean => comingUp(trouble) && request.replayable(trouble.sent)
    if (young && again(trouble)) {
      tried = yield* attempt(provider, machine, request, endpoint).pipe(
        Effect.retry({ schedule: grace, while: again }),
        Effect.delay(50),
        Effect.result,
      )
      if (Result.isSuccess(tried)) return tried.success
      trouble = tried.failure
    }

    const ask = trouble._tag === "Unclear" || (trouble._tag === "Unanswered" && trouble.failure.kind !== "unsupported")
    const replayable = request.replayable(trouble.sent)
    const seen = { young, replayable, status: ask ? yield* status(provider, machine) : undefined }
    return yield* Effect.fail(explain(trouble, machine, port, seen))
  })

  return { provider: (type) => byType.get(type), reach }
}

/** The contract's default: what an answer without a stamp means when its adapter does not say. */
const classify = (status: number, machine: Machine): Verdict =>
  (status >= 502 && status <= 504) || (status >= 520 && status <= 530)
    ? "ask-status"
    : new ProviderUnavailable({
        provider: machine.type,
        machine: machine.externalId,
        reason: `HTTP ${status} without the stamp of the machine's proxy`,
      })

const mayHaveMoved = (trouble: Trouble): boolean =>
  trouble._tag === "Misdirected" ||
  trouble._tag === "Stale" ||
  (trouble._tag === "Unanswered" &&
    trouble.failure.kind !== "unsupported" &&
    !(trouble.failure.kind === "timeout" && trouble.sent === "maybe"))

const comingUp = (trouble: Trouble): boolean =>
  trouble._tag === "Unanswered" && (trouble.failure.kind === "refused" || trouble.failure.kind === "reset")

const moved = (before: Endpoint, after: Endpoint): boolean =>
  before.origin !== after.origin ||
  before.epoch !== after.epoch ||
  JSON.stringify(before.headers) !== JSON.stringify(after.headers)

/** An adapter builds origins from what an API says; one with a path or credentials would send requests elsewhere. */
const checked = (endpoint: Endpoint, machine: Machine): Endpoint => {
  const { origin } = endpoint
  if (/^https?:\/\/[^/\\?#@\s]+$/i.test(origin) && URL.canParse(origin)) {
    return { ...endpoint, origin: new URL(origin).origin }
  }
  throw new MachineRecordInvalid({
    provider: machine.type,
    machine: machine.externalId,
    field: "origin",
    accepted: "http:// or https:// with a host and perhaps a port, and nothing else",
  })
}

const providerError = (cause: unknown, machine: Machine): ProviderError =>
  isProviderError(cause)
    ? cause
    : new ProviderUnavailable({
        provider: machine.type,
        machine: machine.externalId,
        reason: failureCode(cause) ?? (cause instanceof TimedOut ? "timeout" : "the adapter failed"),
        cause,
      })

/** The `code` of an error, or of what caused it: `ECONNREFUSED`. */
const failureCode = (error: unknown): string | undefined => {
  if (typeof error !== "object" || error === null) return undefined
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  return typeof code === "string" ? code : failureCode(cause)
}

class TimedOut extends Error {}

/** Gives up after so many ms or with the signal, even on an adapter that looks at neither. */
const bounded = <A>(ms: number, outer: AbortSignal, ask: (signal: AbortSignal) => Promise<A>): Promise<A> =>
  new Promise((resolve, reject) => {
    const inner = new AbortController()
    const stop = (reason: unknown): void => {
      end()
      inner.abort(reason)
      reject(reason)
    }
    const left = (): void => stop(outer.reason)
    const timer = setTimeout(() => stop(new TimedOut(`no answer within ${ms} ms`)), ms)
    const end = (): void => {
      clearTimeout(timer)
      outer.removeEventListener("abort", left)
    }
    outer.addEventListener("abort", left, { once: true })
    new Promise<A>((resolve) => resolve(ask(inner.signal))).finally(end).then(resolve, reject)
  })
