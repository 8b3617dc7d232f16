import type { ForwardErrorTag, GeneratedResponse, HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { defaultHeaderNames, headerValue } from "@project-ingress/forward"
import type { ResponseHead } from "@project-ingress/forward/http1"
import type {
  ExchangeState,
  ForwardDirective,
  UpstreamError,
  IncomingRequest,
  UpstreamAddress,
  Decision,
} from "@project-ingress/forward/sockets"
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

/**
 * Runs the router's program between the engine's hooks. The program thinks that it sends and waits; the engine asks what to
 * do next. Each `send` becomes a `Forward`, and what the program does with its result is what the engine's hook returns.
 */
export const relay = (router: Router, request: IncomingRequest, own: Own): Decision | Promise<Decision> => {
  const { headerNames: names = defaultHeaderNames, headersTimeoutMs: timeout = headersTimeoutMs } = router.options
  const next = new Handover<Decision | undefined>()
  const inbound = inboundFrom(request)
  let replayable = true

  const bySocket = (outgoing: Outgoing) =>
    Effect.callback<AttemptResponse<ResponseHead>, SendFailure>((resume) => {
      const heard = (state: ExchangeState, result: Effect.Effect<AttemptResponse<ResponseHead>, SendFailure>) => {
        replayable = state.replayable
        resume(result)
        return next.take()
      }
      next.give({
        origin: originOf(outgoing),
        headers: withHost(outgoing),
        headersTimeoutMs: timeout,
        response: (head) => ({
          headerNames: names,
          stamped: headerValue(head.headers, names.stamp) !== undefined,
          edgeCookies: outgoing.edgeCookies,
          add: [],
        }),
        onResponse: (head, state) => heard(state, Effect.succeed(received(head))),
        onFailure: (failure, state) =>
          heard(state, Effect.fail(new SendFailure(kinds[failure.tag], failure.sent, failure.cause))),
      } satisfies ForwardDirective)
    })

  const byFetch = (outgoing: Outgoing): Effect.Effect<AttemptResponse<Fetched>, SendFailure> => {
    const body = () => {
      const taken = request.body()
      replayable &&= taken === null
      return taken
    }
    const sent = sendByFetch({ inbound, body, signal: request.signal }, outgoing, router.options)
    return Effect.map(sent, (received) => ({ ...received, response: { response: received.response } }))
  }

  const exchange: Exchange<ResponseHead | Fetched> = {
    send: (outgoing) => (outgoing.endpoint.fetch === undefined ? bySocket(outgoing) : byFetch(outgoing)),
    // Of a socket's answer: whatever the hook returns instead of `undefined` makes the engine throw it away.
    discard: (answer) => {
      if ("response" in answer) fetchTransport.discard(answer.response)
    },
    readPrefix: async (answer) => ("response" in answer ? fetchTransport.readPrefix(answer.response) : undefined),
    replayable: (sent) => replayable && (sent === "no" || isSafe(inbound.method)),
    closed: () => request.over(),
  }

  void router
    .run(inbound, exchange, {
      get signal() {
        return request.signal
      },
      request: () => requestFrom(request, { body: false }) ?? new Request("http://invalid/"),
    })
    .then((ending): Decision | undefined | Promise<Decision> => {
      if (ending._tag === "Answered") {
        const { answer } = ending
        return "response" in answer ? answered({ ...ending, answer: answer.response }, names) : undefined
      }
      if (ending._tag === "Foreign") return Promise.resolve(own.foreign(request))
      // A client that left reads nothing; the engine only wants to hear something.
      if (ending._tag === "ClientLeft") return own.failure("ProxyFailed", request)
      return ending.response === undefined ? ending.answer : answerFrom(ending.response)
    })
    .then(
      (outcome) => next.give(outcome),
      () => next.give(own.failure("ProxyFailed", request)),
    )

  // The first decision is never "let it pass": nothing has been sent.
  return next.take() as Decision | Promise<Decision>
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
  }
}

/** The edge routes by `Host`: its own name, or what the provider says. First, as RFC 9110 §7.2 likes it. */
const withHost = ({ endpoint, headers }: Outgoing): HeaderList => {
  const own = headerValue(headers, "host")
  if (own === undefined) return ["Host", placeOf(endpoint).authority, ...headers]
  const at = headers.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === "host")
  return ["Host", own, ...headers.slice(0, at), ...headers.slice(at + 2)]
}

/** A value that one side gives and the other takes, in either order, one at a time. No promise when it is there already. */
class Handover<A> {
  #given: { readonly value: A } | undefined
  #waiting: ((value: A) => void) | undefined

  give(value: A): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting === undefined) this.#given = { value }
    else waiting(value)
  }

  take(): A | Promise<A> {
    const given = this.#given
    this.#given = undefined
    if (given !== undefined) return given.value
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }
}
