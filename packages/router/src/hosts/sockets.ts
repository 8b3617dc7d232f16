import type { ForwardErrorTag, GeneratedResponse, HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { defaultHeaderNames, headerValue } from "@project-ingress/forward"
import type { ResponseHead } from "@project-ingress/forward/http1"
import type { UpstreamError, IncomingRequest, UpstreamAddress, Decision } from "@project-ingress/forward/sockets"
import { SendFailure } from "@project-ingress/forward/fetch"
import type { SendFailureKind } from "@project-ingress/forward/fetch"
import { bodyOf, fetchTransport } from "@project-ingress/providers/internal"
import type { Endpoint, AttemptResponse } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import { fieldsFor, sendByFetch } from "./send-by-fetch.ts"
import { requestFrom, answerFrom } from "./request-response.ts"
import { headersTimeoutMs } from "../program/handle.ts"
import type { Handled } from "../program/handle.ts"
import { isSafe } from "../program/exchange.ts"
import type { Exchange, Inbound, Outgoing } from "../program/exchange.ts"
import type { Router } from "../router.ts"

/** The answers that are not the router's program's. */
export interface Own {
  readonly failure: (tag: ForwardErrorTag, request: IncomingRequest) => GeneratedResponse
  readonly foreign: (request: IncomingRequest) => GeneratedResponse | Promise<GeneratedResponse>
}

/** Runs the router's program for one request of the engine. */
export const serveExchange = async (router: Router, request: IncomingRequest, own: Own): Promise<Decision> => {
  const { headerNames: names = defaultHeaderNames, headersTimeoutMs: timeout = headersTimeoutMs } = router.options
  const inbound = inboundFrom(request)

  const bySocket = (outgoing: Outgoing): Effect.Effect<AttemptResponse<ResponseHead>, SendFailure> =>
    Effect.flatMap(
      Effect.promise(() =>
        request.send({
          origin: originOf(outgoing),
          headers: withHost(outgoing),
          headersTimeoutMs: timeout,
          response: (head) => ({
            headerNames: names,
            // An app's own address has no machine proxy: its stamp proves nothing.
            stamped: outgoing.endpoint.machineProxy !== false && headerValue(head.headers, names.stamp) !== undefined,
            edgeCookies: outgoing.edgeCookies,
            add: [],
          }),
        }),
      ),
      (sent) =>
        "head" in sent
          ? Effect.succeed(received(sent.head))
          : Effect.fail(new SendFailure(kinds[sent.error.tag], sent.error.sent, sent.error.cause)),
    )

  const byFetch = (outgoing: Outgoing): Effect.Effect<AttemptResponse<Fetched>, SendFailure> => {
    const sent = sendByFetch({ inbound, body: () => request.body(), signal: request.signal }, outgoing, router.options)
    return Effect.map(sent, (received) => ({ ...received, response: { response: received.response } }))
  }

  const exchange: Exchange<ResponseHead | Fetched> = {
    send: (outgoing): Effect.Effect<AttemptResponse<ResponseHead | Fetched>, SendFailure> =>
      outgoing.endpoint.fetch === undefined ? bySocket(outgoing) : byFetch(outgoing),
    // The engine throws a socket's response away by itself when the next decision is another one.
    discard: (answer) => {
      if ("response" in answer) fetchTransport.discard(answer.response)
    },
    readPrefix: async (answer) => ("response" in answer ? fetchTransport.readPrefix(answer.response) : undefined),
    replayable: (sent) => request.replayable && (sent === "no" || isSafe(inbound.method)),
    closed: () => request.over(),
  }

  const ending = await router.run(inbound, exchange, {
    get signal() {
      return request.signal
    },
    request: () => requestFrom(request, { body: false }) ?? new Request("http://invalid/"),
  })
  switch (ending._tag) {
    case "Answered": {
      const { answer } = ending
      return "response" in answer ? answered({ ...ending, answer: answer.response }, names) : "relay"
    }
    case "Foreign":
      return own.foreign(request)
    case "ClientLeft":
      // A client that left reads nothing; the engine only has to be given something.
      return own.failure("ProxyFailed", request)
    case "Failed":
      return ending.response === undefined ? ending.answer : answerFrom(ending.response)
  }
}

/** An answer that came by Fetch, from a machine without an address. */
interface Fetched {
  readonly response: Response
}

/** Such an answer for the engine, which holds its body to the length that it names. */
const answered = (handled: Handled<Response>, names: HopHeaderNames): GeneratedResponse => {
  const headers = fieldsFor(handled, names)
  const at = headers.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === "content-length")
  if (at >= 0 && !/^\d{1,15}$/.test(headers[at + 1]!)) headers.splice(at, 2)
  return { status: handled.status, headers, body: bodyOf(handled.answer) }
}

const inboundFrom = ({ head, remoteAddress, encrypted }: IncomingRequest): Inbound => ({
  method: head.method,
  host: head.host,
  target: head.target,
  headers: head.headers,
  scheme: encrypted ? "https" : "http",
  clientAddress: remoteAddress,
  upgrade: head.upgrade,
  expect: head.expect,
  trailers: true,
})

const kinds = {
  PortClosed: "refused",
  UpstreamTimeout: "timeout",
  UpstreamFailed: "reset",
  UpstreamMalformed: "other",
  ProviderUnavailable: "other",
} as const satisfies Record<UpstreamError["tag"], SendFailureKind>

const received = (head: ResponseHead): AttemptResponse<ResponseHead> => ({
  status: head.status,
  header: (lowerName) => headerValue(head.headers, lowerName),
  response: head,
})

interface Place {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly authority: string
}

// Endpoints are cached by the providers, so most requests meet one that was read before.
const places = new WeakMap<Endpoint, Place>()

const placeOf = (endpoint: Endpoint): Place => {
  let place = places.get(endpoint)
  if (place === undefined) {
    const url = new URL(endpoint.origin)
    const tls = url.protocol === "https:"
    place = {
      host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: url.port === "" ? (tls ? 443 : 80) : Number(url.port),
      tls,
      authority: url.host,
    }
    places.set(endpoint, place)
  }
  return place
}

/** One pool for each incarnation of each machine: addresses are recycled, connections must not be (CVE-2026-6734). */
const originOf = ({ endpoint, machine }: Outgoing): UpstreamAddress => {
  const { host, port, tls } = placeOf(endpoint)
  return {
    pool: `${machine.id}|${endpoint.epoch}|${endpoint.origin}`,
    host,
    port,
    ...(tls ? { tls: { ALPNProtocols: ["http/1.1"] } } : {}),
    ...(endpoint.addresses === undefined ? {} : { addresses: endpoint.addresses }),
  }
}

/** The edge routes by `Host`: its own name, or what the provider says. First, as RFC 9110 §7.2 likes it. */
const withHost = ({ endpoint, headers }: Outgoing): HeaderList => {
  const own = headerValue(headers, "host")
  if (own === undefined) return ["Host", placeOf(endpoint).authority, ...headers]
  const at = headers.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === "host")
  return ["Host", own, ...headers.slice(0, at), ...headers.slice(at + 2)]
}
