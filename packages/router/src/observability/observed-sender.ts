import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { HeaderList } from "@project-ingress/forward"
import { SendFailure } from "@project-ingress/forward/fetch"
import type { Sender } from "../program/sender.ts"

/** Begins to watch one sending to a machine, or to another region. */
export type BeginAttempt = (request: {
  readonly headers: HeaderList
  /** The machine's `id` and `type`. */
  readonly machine: { readonly id: string; readonly type: string }
}) => {
  /** The fields that are sent. */
  readonly headers: HeaderList
  /** Called with the status, or with the kind of the failure; `interrupted` if the client left. */
  readonly end: ((outcome: number | string) => void) | undefined
}

/** Calls `run` and ignores what it throws: what watches a request must not fail it. */
const quietly = <A>(run: () => A): A | undefined => {
  try {
    return run()
  } catch {
    return undefined
  }
}

/** A sender of which `begin` hears, and which sends what that says. */
export const observedSender = <A>(sender: Sender<A>, begin: BeginAttempt): Sender<A> => ({
  ...sender,
  send: (request) => {
    const { machine, headers } = request
    const sent = quietly(() => begin({ headers, machine }))
    if (sent === undefined) return sender.send(request)
    const response = sender.send({ ...request, headers: sent.headers })
    const { end } = sent
    if (end === undefined) return response
    return Effect.onExit(response, (exit) =>
      Effect.sync(() => quietly(() => end(Exit.isSuccess(exit) ? exit.value.status : failureOf(exit.cause)))),
    )
  },
})

/** The kind of what kept a request from its response. */
const failureOf = (cause: Cause.Cause<unknown>): string => {
  const found = Cause.findError(cause)
  if (Result.isSuccess(found)) return found.success instanceof SendFailure ? found.success.kind : "failed"
  return Cause.hasInterruptsOnly(cause) ? "interrupted" : "ended"
}
