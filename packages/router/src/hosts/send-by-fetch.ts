import { responseHeaders } from "@project-ingress/forward"
import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { forwardFetch, SendFailure } from "@project-ingress/forward/fetch"
import { bodyOf, fetchAddress, fetchTransport, withoutEdgeCookies } from "@project-ingress/providers/internal"
import type { AttemptResponse } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import { headersTimeoutMs } from "../program/handle.ts"
import type { Handled } from "../program/handle.ts"
import type { Inbound, Outgoing } from "../program/exchange.ts"
import type { RouterOptions } from "../router.ts"

/** Where a request over Fetch comes from. */
export interface FetchSource {
  readonly inbound: Inbound
  /** Takes the body; `null` when there is none. */
  readonly body: () => ReadableStream<Uint8Array> | null
  /** Ends when the client leaves, which may be long after the head of its answer. */
  readonly signal: AbortSignal
}

/** Sends a request to a machine over Fetch: the fetch door's way, and every host's to a machine without an address. */
export const sendByFetch = (
  source: FetchSource,
  { endpoint, headers }: Outgoing,
  options: Pick<RouterOptions, "transport" | "headersTimeoutMs">,
): Effect.Effect<AttemptResponse<Response>, SendFailure> =>
  Effect.tryPromise({
    try: async (ended) => {
      const { inbound } = source
      const { transport: forward = forwardFetch } = options
      const answer = await forward({
        ...fetchAddress(endpoint),
        target: inbound.target,
        method: inbound.method,
        headers,
        body: source.body(),
        // The fibre's ends with the answer's head, the request's with its client: a quiet stream must end then, too.
        signal: AbortSignal.any([ended, source.signal]),
        upgrade: inbound.upgrade === true,
        headersTimeoutMs: options.headersTimeoutMs ?? headersTimeoutMs,
      })
      return fetchTransport.received(answer)
    },
    catch: SendFailure.from,
  })

/** A response's fields; every `Set-Cookie` is a line of its own, because they cannot be joined (RFC 6265 §3). */
export const listFrom = (headers: Headers): string[] => {
  const list: string[] = []
  headers.forEach((value, name) => {
    if (name !== "set-cookie") list.push(name, value)
  })
  for (const cookie of headers.getSetCookie()) list.push("set-cookie", cookie)
  return list
}

export const headersFrom = (list: HeaderList): Headers => {
  const headers = new Headers()
  for (let i = 0; i < list.length; i += 2) headers.append(list[i]!, list[i + 1]!)
  return headers
}

/** The fields of a machine's answer, for its client. */
export const fieldsFor = (
  { answer, status, stamped, edgeCookies }: Handled<Response>,
  names: HopHeaderNames,
): string[] =>
  responseHeaders(
    listFrom(answer.headers),
    { headerNames: names, stamped, edgeCookies, add: [] },
    { status, chunked: false },
  )

/** RFC 9110 §15: answers that have no body, and for which `new Response` refuses one. */
const bodiless = new Set([204, 205, 304])

/** The machine's answer for the client. A 101 is left alone, for its socket. */
export const passed = (handled: Handled<Response>, names: HopHeaderNames): Response => {
  const { answer, status, edgeCookies } = handled
  if (status === 101) return withoutEdgeCookies(answer, edgeCookies)
  const headers = headersFrom(fieldsFor(handled, names))
  return new Response(bodiless.has(status) ? null : bodyOf(answer), { status, statusText: answer.statusText, headers })
}
