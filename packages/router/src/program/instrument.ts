import type { HeaderList } from "@project-ingress/forward"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { SendFailure } from "@project-ingress/forward/fetch"
import type { RequestEvent } from "../router-options.ts"
import type { Sender, VisitorRequest } from "./sender.ts"

/** Watches requests from their beginning to the head of their response. What it throws is ignored. */
export interface Instrument {
  /** Called once for each router that is made with it: which names its events have. */
  readonly configured?: (router: {
    /** The names of its policies. */
    readonly policies: readonly string[]
    /** The types of its providers. */
    readonly providers: readonly string[]
  }) => void
  /** Called when a request arrives, before it is known whether its hostname is the router's. */
  readonly begin: (
    request: Pick<VisitorRequest, "method" | "host" | "scheme" | "headers" | "requestId" | "upgrade">,
  ) => RequestInstrument | undefined
}

/** Watches one request. */
export interface RequestInstrument {
  /** Called each time that it is sent to a machine, or to another region. Default: it is sent as it is. */
  readonly attempt?:
    | ((attempt: {
        readonly headers: HeaderList
        /** The prefix of the fields that machine proxies restore. */
        readonly tunnel: string
        /** The machine's `id` and `type`. */
        readonly machine: { readonly id: string; readonly type: string }
      }) => InstrumentedAttempt)
    | undefined
  /** Called once, with the event that is reported; `undefined` if the hostname is not the router's. */
  readonly end: (event: RequestEvent | undefined) => void
}

/** One sending. */
export interface InstrumentedAttempt {
  /** The fields that are sent. */
  readonly headers: HeaderList
  /** Called with the status, or with the kind of the failure; `interrupted` if the client left. Default: nobody wants to know. */
  readonly end?: ((outcome: number | string) => void) | undefined
}

/** Calls `run` and ignores what it throws: what watches a request must not fail it. */
const quietly = <A>(run: () => A): A | undefined => {
  try {
    return run()
  } catch {
    return undefined
  }
}

/** Begins to watch requests; nothing of it throws. */
export const instrumented = (
  instrument: Instrument | undefined,
  router: Parameters<NonNullable<Instrument["configured"]>>[0],
): ((request: VisitorRequest) => RequestInstrument | undefined) => {
  if (instrument === undefined) return () => undefined
  quietly(() => instrument.configured?.(router))
  return (request) => {
    const observed = quietly(() => instrument.begin(request))
    if (observed === undefined) return undefined
    return { attempt: observed.attempt, end: (event) => quietly(() => observed.end(event)) }
  }
}

/** A sender of which `observed` hears, and which sends what it says. */
export const observedSender = <A>(
  sender: Sender<A>,
  observed: RequestInstrument | undefined,
  tunnel: string,
): Sender<A> => {
  if (observed?.attempt === undefined) return sender
  const { attempt } = observed
  return {
    ...sender,
    send: (request) => {
      const { machine, headers } = request
      const sent = quietly(() => attempt({ headers, tunnel, machine }))
      if (sent === undefined) return sender.send(request)
      const response = sender.send({ ...request, headers: sent.headers })
      const { end } = sent
      if (end === undefined) return response
      return Effect.onExit(response, (exit) =>
        Effect.sync(() => quietly(() => end(Exit.isSuccess(exit) ? exit.value.status : failureOf(exit.cause)))),
      )
    },
  }
}

/** The kind of what kept a request from its response. */
const failureOf = (cause: Cause.Cause<unknown>): string => {
  const found = Cause.findError(cause)
  if (Result.isSuccess(found)) return found.success instanceof SendFailure ? found.success.kind : "failed"
  return Cause.hasInterruptsOnly(cause) ? "interrupted" : "ended"
}
