import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { answerTable, defaultNames } from "@project-ingress/forward"
import type { HopNames } from "@project-ingress/forward"
import { forwardFetch } from "@project-ingress/forward/fetch"
import type { SendFailure } from "@project-ingress/forward/fetch"
import { endpointKey, keyPrefix, makeEndpoints } from "./endpoints.ts"
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
import { makeFlights } from "./flights.ts"
import type { Endpoint, Machine, MachineProvider, MachineStatus, Verdict } from "./machine-provider.ts"
import { tunnelHeaders } from "./tunnel.ts"

/** An answer's head, and the answer itself, which nobody here looks into. */
export interface Received<A> {
  readonly status: number
  /** The first value of a field, by lower-case name. */
  readonly header: (lowerName: string) => string | undefined
  /** True where the runtime shows the status alone: then no stamp can be asked for. */
  readonly headHidden?: boolean
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
  /**
   * At most 4 096 octets of an answer's body as text, where it can be had: asked only for an answer without a stamp, which
   * is discarded next. Given up after a second.
   */
  readonly peek?: (answer: A) => Promise<string | undefined>
}

export interface MachinesOptions {
  readonly providers: readonly MachineProvider[]
  /** Default: `x-iterate-proxy-*`. */
  readonly names?: HopNames
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
  readonly knock?: Knock
}

/** Rejects when nobody answers. */
export type Knock = (endpoint: Endpoint, signal: AbortSignal) => Promise<Omit<Received<unknown>, "answer">>

export interface Machines {
  /** The provider of a type, for what it can do and what its platform eats. */
  readonly provider: (type: string) => MachineProvider | undefined
  /** Sends a request to a machine; `port` is the one wanted inside. Succeeds with the answer of the machine's own proxy. */
  readonly reach: <A>(machine: Machine, port: number, request: Sendable<A>) => Effect.Effect<A, ProviderError>
  /** Forgets where a machine answered: for who hears of a change before a request does, as from `watch`. */
  readonly forget: (type: string, externalId: string) => void
}

/** Why a request did not bring an answer of this machine, while it is still open what follows from it. */
type Trouble =
  | { readonly _tag: "Unanswered"; readonly failure: SendFailure; readonly sent: "no" | "maybe" }
  | { readonly _tag: "Misdirected"; readonly sent: "no" }
  | { readonly _tag: "Stale"; readonly sent: "no" }
  | { readonly _tag: "Unclear"; readonly reason: string; readonly sent: "maybe" }
  | { readonly _tag: "Known"; readonly error: ProviderError; readonly sent: "maybe" }

/** Why a request ended without an answer, and what had become of it by then. */
interface Failed {
  readonly error: ProviderError
  readonly sent: "no" | "maybe"
}

// A machine that just started resets connections for some 70 ms (docker); a request may wait about a second for it.
const grace = Schedule.min([Schedule.exponential(50), Schedule.spaced(250)]).pipe(Schedule.upTo({ times: 6 }))

/** How machines are reached, whoever runs them: one policy, so that no adapter needs any. */
export const makeMachines = (options: MachinesOptions): Machines => {
  const { names = defaultNames, startupGraceMs = 10_000, resolveTimeoutMs = 10_000 } = options
  const { wakeTimeoutMs = 30_000, wakeQueue = 1_000, knock = knockByFetch(names) } = options
  const byType = new Map(options.providers.map((provider) => [provider.type, provider]))
  const endpoints = makeEndpoints()
  const statuses = makeFlights<MachineStatus>({ abandon: true })
  // A wake goes on when its first asker leaves: a browser that gave up comes back in a second.
  const wakes = makeFlights<void>({ abandon: false })

  // The time-out belongs to the question, not to the one who asked it first: others may be waiting for its answer.
  const ask = (provider: MachineProvider, machine: Machine, port: number, key: string, signal: AbortSignal) =>
    endpoints.ask(
      key,
      (signal) =>
        bounded(resolveTimeoutMs, signal, (signal) => provider.resolve(machine, { port, signal })).then((endpoint) =>
          checked(endpoint, machine),
        ),
      signal,
    )

  const resolve = (provider: MachineProvider, machine: Machine, port: number, key: string) => {
    const known = endpoints.known(key)
    if (known !== undefined) return Effect.succeed(known)
    return Effect.tryPromise({
      try: (signal) => ask(provider, machine, port, key, signal),
      catch: (cause) => providerError(cause, machine),
    })
  }

  const status = (
    provider: MachineProvider,
    machine: Machine,
  ): Effect.Effect<MachineStatus | undefined, ProviderError> =>
    provider.status === undefined
      ? Effect.succeed(undefined)
      : Effect.map(
          Effect.tryPromise({
            try: (signal) =>
              statuses.join(
                endpointKey(machine, 0),
                (signal) => bounded(resolveTimeoutMs, signal, (signal) => provider.status!(machine, { signal })),
                signal,
              ),
            catch: (cause) => providerError(cause, machine),
          }),
          ({ value }) => value,
        )

  /** Starts a machine once and asks where it is until its proxy answers there, for all who wait. */
  const wake = async (provider: MachineProvider, machine: Machine, port: number, key: string): Promise<void> => {
    const deadline = Date.now() + wakeTimeoutMs
    const stay = new AbortController().signal
    let started = false
    let runsSince: number | undefined
    for (let round = 0; ; round++) {
      try {
        if (!started) await bounded(wakeTimeoutMs, stay, (signal) => provider.start!(machine, { signal }))
        started = true
        const endpoint = await ask(provider, machine, port, key, stay)
        runsSince ??= Date.now()
        // After its grace each request finds out by itself what is wrong with it.
        if (Date.now() - runsSince >= startupGraceMs || (await listens(provider, machine, endpoint))) return
        throw new MachineStarting({ provider: machine.type, machine: machine.externalId })
      } catch (cause) {
        const error = providerError(cause, machine)
        const late = !started && cause instanceof TimedOut
        if (!late && (!passing(error) || (!started && error._tag === "MachineNotRunning"))) throw error
        // A machine that runs listens in a moment; one that does not may take long.
        const pause = pauseMs(runsSince === undefined ? round : 0, error) / (runsSince === undefined ? 1 : 4)
        if (late || Date.now() + pause > deadline) throw stillStarting(machine, error)
        await new Promise((resolve) => setTimeout(resolve, pause))
      }
    }
  }

  /** Whether requests can be sent: somebody answers, or says something that waiting does not mend. */
  const listens = async (provider: MachineProvider, machine: Machine, endpoint: Endpoint): Promise<boolean> => {
    try {
      const found = await bounded(KNOCK_MS, new AbortController().signal, (signal) => knock(endpoint, signal))
      return judge(provider, machine, { ...found, answer: undefined })?._tag !== "Unclear"
    } catch {
      return false
    }
  }

  const judge = <A>(
    provider: MachineProvider,
    machine: Machine,
    received: Received<A>,
    body?: string,
  ): Trouble | undefined => {
    if (received.header(names.stamp) !== undefined) {
      // An app may answer 421 of its own accord; only the machine's proxy can say why, because it removes an app's copy.
      const misdirected =
        received.status === 421 && received.header(names.error) === answerTable.MachineMisdirected.code
      return misdirected ? { _tag: "Misdirected", sent: "no" } : undefined
    }
    const hidden = received.headHidden === true
    // Nothing proves who took a handshake where its head cannot be seen; the ticket names the machine all the same.
    if (hidden && received.status === 101) return undefined
    if (hidden && received.status === 421) return { _tag: "Misdirected", sent: "no" }
    let verdict: Verdict
    try {
      const answer = { status: received.status, header: received.header, ...(body === undefined ? {} : { body }) }
      verdict =
        provider.classify === undefined ? classify(received.status, machine) : provider.classify(answer, machine)
    } catch (cause) {
      verdict = providerError(cause, machine)
    }
    if (verdict === "refresh") return { _tag: "Stale", sent: "no" }
    if (verdict === "ask-status") return { _tag: "Unclear", reason: `HTTP ${received.status}`, sent: "maybe" }
    // It may as well be the app's.
    return hidden ? undefined : { _tag: "Known", error: verdict, sent: "maybe" }
  }

  const bodyOf = <A>(
    provider: MachineProvider,
    request: Sendable<A>,
    received: Received<A>,
  ): Effect.Effect<string | undefined> => {
    const { peek } = request
    if (peek === undefined || provider.classify === undefined || received.header(names.stamp) !== undefined) {
      return Effect.succeed(undefined)
    }
    return Effect.tryPromise(() => peek(received.answer)).pipe(
      Effect.timeout(1_000),
      Effect.map((text) => text?.slice(0, 4_096)),
      Effect.orElseSucceed(() => undefined),
    )
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
          if (received.header(names.stamp) !== undefined && received.status !== 421) {
            return Effect.succeed(received.answer)
          }
          return Effect.flatMap(bodyOf(provider, request, received), (body) => {
            const trouble = judge(provider, machine, received, body)
            if (trouble === undefined) return Effect.succeed(received.answer)
            return Effect.flatMap(
              Effect.try({ try: () => request.discard(received.answer), catch: () => trouble }),
              () => Effect.fail(trouble),
            )
          })
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

  /** One request with its second try and its moment of grace. `wokenAt`: when somebody woke the machine for it. */
  const once = Effect.fnUntraced(function* <A>(
    provider: MachineProvider,
    machine: Machine,
    port: number,
    request: Sendable<A>,
    wokenAt?: number,
  ): Effect.fn.Return<A, Failed> {
    const key = endpointKey(machine, port)
    let sent: "no" | "maybe" = "no"
    const failed = (error: ProviderError): Failed => ({ error, sent })
    let endpoint = endpoints.known(key) ?? (yield* Effect.mapError(resolve(provider, machine, port, key), failed))
    let since = yield* Clock.currentTimeMillis
    let tried = yield* Effect.result(attempt(provider, machine, request, endpoint))
    if (Result.isSuccess(tried)) return tried.success
    let trouble = tried.failure
    endpoints.forget(key, endpoint)

    // What failed may have failed because the machine is elsewhere by now: ask, and try once more if it is.
    if (mayHaveMoved(trouble) && request.replayable(trouble.sent)) {
      sent = trouble.sent
      const before = endpoint
      endpoint = yield* Effect.mapError(resolve(provider, machine, port, key), failed)
      since = yield* Clock.currentTimeMillis
      if (moved(before, endpoint)) {
        tried = yield* Effect.result(attempt(provider, machine, request, endpoint))
        if (Result.isSuccess(tried)) return tried.success
        trouble = tried.failure
        endpoints.forget(key, endpoint)
      }
    }

    // A young machine refuses for a moment: its proxy is about to listen.
    const now = yield* Clock.currentTimeMillis
    const young =
      (endpoint.upForMs !== undefined && endpoint.upForMs + now - since < startupGraceMs) ||
      (wokenAt !== undefined && now - wokenAt < startupGraceMs)
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

    sent = trouble.sent
    const unclear =
      trouble._tag === "Unclear" || (trouble._tag === "Unanswered" && trouble.failure.kind !== "unsupported")
    const replayable = request.replayable(trouble.sent)
    const found = unclear ? yield* Effect.mapError(status(provider, machine), failed) : undefined
    return yield* Effect.fail(failed(explain(trouble, machine, port, { young, replayable, status: found })))
  })

  /** Waits until the machine runs, then sends until it answers: what arrives meanwhile waits unsent. */
  const awaken = Effect.fnUntraced(function* <A>(
    provider: MachineProvider,
    machine: Machine,
    port: number,
    request: Sendable<A>,
  ): Effect.fn.Return<A, ProviderError> {
    const deadline = (yield* Clock.currentTimeMillis) + wakeTimeoutMs
    const wakeKey = endpointKey(machine, 0)
    yield* Effect.suspend(() => {
      if ((wakes.waiting(wakeKey) ?? 0) >= wakeQueue) return Effect.fail(stillStarting(machine))
      return Effect.tryPromise({
        try: (signal) => wakes.join(wakeKey, () => wake(provider, machine, port, endpointKey(machine, port)), signal),
        catch: (cause) => providerError(cause, machine),
      }).pipe(
        Effect.timeoutOrElse({ duration: wakeTimeoutMs + 100, orElse: () => Effect.fail(stillStarting(machine)) }),
      )
    })
    const wokenAt = yield* Clock.currentTimeMillis
    for (let round = 0; ; round++) {
      const tried = yield* Effect.result(once(provider, machine, port, request, wokenAt))
      if (Result.isSuccess(tried)) return tried.success
      const { error, sent } = tried.failure
      if (!passing(error) || !request.replayable(sent)) return yield* Effect.fail(error)
      const pause = pauseMs(round, error)
      if ((yield* Clock.currentTimeMillis) + pause > deadline) return yield* Effect.fail(stillStarting(machine, error))
      yield* Effect.sleep(pause)
    }
  })

  const reach = <A>(machine: Machine, port: number, request: Sendable<A>): Effect.Effect<A, ProviderError> =>
    Effect.suspend(() => {
      const provider = byType.get(machine.type)
      if (provider === undefined) {
        const accepted = `one of ${[...byType.keys()].join(", ")}`
        return Effect.fail(
          new MachineRecordInvalid({ provider: machine.type, machine: machine.externalId, field: "type", accepted }),
        )
      }
      const wakeable = options.wake !== false && provider.capabilities.wake === "start" && provider.start !== undefined
      const waking = (): boolean => wakeable && wakes.size() > 0 && wakes.waiting(endpointKey(machine, 0)) !== undefined
      // Somebody is waking it already: to ask where it is would only say that it does not run.
      if (waking() && endpoints.known(endpointKey(machine, port)) === undefined) {
        return awaken(provider, machine, port, request)
      }
      return Effect.catch(once(provider, machine, port, request), ({ error, sent }) => {
        const asleep = error._tag === "MachineNotRunning" || (error._tag === "MachineStarting" && waking())
        if (!wakeable || !asleep) return Effect.fail(error)
        if (request.replayable(sent)) return awaken(provider, machine, port, request)
        // It cannot be sent again, but its client may ask again, and should then find the machine on its way up.
        return Effect.flatMap(
          Effect.sync(() => {
            const work = () => wake(provider, machine, port, endpointKey(machine, port))
            wakes.join(endpointKey(machine, 0), work, new AbortController().signal).catch(() => undefined)
          }),
          () => Effect.fail(error),
        )
      })
    })

  return {
    provider: (type) => byType.get(type),
    reach,
    forget: (type, externalId) => endpoints.forgetAll(keyPrefix(type, externalId)),
  }
}

/** What may be over in a moment, when the machine was told to start. */
const passing = (error: ProviderError): boolean =>
  error._tag === "MachineNotRunning" || error._tag === "MachineStarting" || error._tag === "ProviderRateLimited"

/** 250 ms to 2 s, a quarter more or less, and never before the provider wants to be asked again (at most 30 s). */
const pauseMs = (round: number, error: ProviderError): number =>
  Math.max(Math.min(250 * 2 ** round, 2_000) * (0.75 + Math.random() / 2), Math.min(retryAfterOf(error) ?? 0, 30_000))

const retryAfterOf = (error: ProviderError): number | undefined =>
  "retryAfterMs" in error ? error.retryAfterMs : undefined

const stillStarting = (machine: Machine, cause?: ProviderError): MachineStarting =>
  new MachineStarting({
    provider: machine.type,
    machine: machine.externalId,
    cause,
    retryAfterMs: (cause === undefined ? undefined : retryAfterOf(cause)) ?? 2_000,
  })

/** How long a machine may take to show a sign of life before it is asked again, in ms. */
const KNOCK_MS = 2_000

const knockByFetch =
  (names: HopNames): Knock =>
  async (endpoint, signal) => {
    const headers = tunnelHeaders([], [], endpoint, names)
    const answer = await forwardFetch({
      origin: endpoint.origin,
      target: "/",
      method: "GET",
      headers,
      body: null,
      signal,
    })
    answer.body?.cancel().catch(() => {})
    return { status: answer.status, header: (name) => answer.headers.get(name) ?? undefined }
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
  const { origin, headers = {} } = endpoint
  const where = { provider: machine.type, machine: machine.externalId }
  if (!/^https?:\/\/[^/\\?#@\s]+$/i.test(origin) || !URL.canParse(origin)) {
    const accepted = "http:// or https:// with a host and perhaps a port, and nothing else"
    throw new MachineRecordInvalid({ ...where, field: "origin", accepted })
  }
  // Refused here because a runtime that refuses one repeats its value, which may be a secret.
  if (!Object.entries(headers).every(([name, value]) => isField(name, value))) {
    throw new MachineRecordInvalid({ ...where, field: "headers", accepted: "names and values that HTTP allows" })
  }
  return { ...endpoint, origin: new URL(origin).origin }
}

const isField = (name: string, value: string): boolean =>
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) &&
  // oxlint-disable-next-line no-control-regex -- control octets are what this is about
  !/[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/.test(value)

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
