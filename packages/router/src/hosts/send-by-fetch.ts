import { SendFailure } from "@project-ingress/forward/fetch"
import { fetchAddress, fetchTransport } from "@project-ingress/providers/internal"
import type { AttemptResponse } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import type { MachineRequest, VisitorRequest } from "../program/sender.ts"
import type { RouterProgram } from "../router-program.ts"

/** Where a request over Fetch comes from. */
export interface FetchSource {
  readonly request: VisitorRequest
  /** Takes the body; `null` without one. */
  readonly body: () => ReadableStream<Uint8Array> | null
  /** The `Request` that the body came with, where there is one. */
  readonly inbound?: Request
}

/** Sends a request to a machine over Fetch: `router.fetch` to every machine, and every host to a machine without an address. */
export const sendByFetch = (
  { transport, headersTimeoutMs, headerNames }: Pick<RouterProgram, "transport" | "headersTimeoutMs" | "headerNames">,
  { request, body, inbound }: FetchSource,
  { endpoint, headers, stamps, toRouter }: MachineRequest,
): Effect.Effect<AttemptResponse<Response>, SendFailure> =>
  Effect.tryPromise({
    try: async (ended) => {
      const response = await transport({
        ...fetchAddress(endpoint, headerNames),
        target: request.path,
        method: request.method,
        headers,
        ...(toRouter?.ca === undefined ? {} : { ca: toRouter.ca }),
        body: body(),
        ...(inbound === undefined ? {} : { inbound }),
        // The fibre's signal ends with the response's head, the request's with its client: a quiet stream must end then, too.
        signal: AbortSignal.any([ended, request.signal]),
        upgrade: request.upgrade === true,
        headersTimeoutMs,
      })
      return fetchTransport.received(response, stamps)
    },
    catch: SendFailure.from,
  })
