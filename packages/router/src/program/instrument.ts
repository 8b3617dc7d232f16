import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { SendFailure } from "@project-ingress/forward/fetch"
import type { Instrument, RequestInstrument } from "../router-options.ts"
import type { Sender, VisitorRequest } from "./sender.ts"

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
  instrument: Instrument,
  router: Parameters<NonNullable<Instrument["configured"]>>[0],
): ((request: VisitorRequest) => RequestInstrument | undefined) => {
  quietly(() => instrument.configured?.(router))
  return (request) => {
    const observed = quietly(() => instrument.begin(request))
    if (observed === undefined) return undefined
    return { attempt: observed.attempt, end: (event) => quietly(() => observed.end(event)) }
  }
}

/** A sender of which `attempt` hears, and which sends what that says. */
export const observedSender = <A>(
  sender: Sender<A>,
  attempt: NonNullable<RequestInstrument["attempt"]>,
  tunnel: string,
): Sender<A> => {
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
