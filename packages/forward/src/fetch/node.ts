/**
 * Sends one request on, on Node: undici's dispatcher, because the built-in `fetch` decodes bodies, folds paths, throws on
 * half of the headers a proxy meets and writes its own. Here the target and the headers go out as they are.
 */
import { Agent, buildConnector, errors, WebSocket as UndiciWebSocket } from "undici"
import type { TLSSocket } from "node:tls"
import type { Dispatcher } from "undici"
import { checkedLookup, refusedLiteral } from "../sockets/connection/checked-lookup.ts"
import { pinMismatch, pinnedTls } from "../sockets/connection/peer-key.ts"
import { opened, refusal, socketOptions } from "./handshake.ts"
import type { Handshake, HandshakeResponse } from "./handshake.ts"
import { failureCode } from "../failure-code.ts"
import { startDeadline } from "../start-deadline.ts"
import { checkedOrigin, checkedTarget, fetchGiven, SendFailure } from "./outgoing-request.ts"
import type { OutgoingRequest } from "./outgoing-request.ts"

export { SendFailure } from "./outgoing-request.ts"
export type { Handshake, HandshakeResponse } from "./handshake.ts"
export type { OutgoingRequest, SendFailureKind } from "./outgoing-request.ts"

/** Resolves with the response, whatever its status. Rejects with `SendFailure`, or with the signal's reason. */
export const forwardFetch = (outgoing: OutgoingRequest): Promise<Response> => {
  if (outgoing.upgrade === true) return Promise.reject(new SendFailure("unsupported", "no"))
  return outgoing.fetch === undefined ? dispatched(outgoing) : fetchGiven(outgoing)
}

const dispatched = (outgoing: OutgoingRequest): Promise<Response> =>
  new Promise((resolve, reject) => {
    const { signal, headersTimeoutMs = 0 } = outgoing
    if (signal?.aborted === true) return reject(signal.reason as Error)
    const exchange = new Exchange(outgoing, resolve, reject)
    if (headersTimeoutMs > 0) exchange.arm(headersTimeoutMs)
    try {
      agentFor(outgoing).dispatch(
        {
          origin: checkedOrigin(outgoing.origin),
          path: checkedTarget(outgoing.target),
          method: outgoing.method,
          headers: outgoing.headers as string[],
          // A web stream is an async iterable here, which undici takes though its types do not say so.
          body: outgoing.body as unknown as NonNullable<Dispatcher.DispatchOptions["body"]> | null,
        },
        exchange,
      )
    } catch (cause) {
      exchange.fail(cause)
    }
  })

/** Resolves with the response to a WebSocket handshake. Rejects with `SendFailure`, or with the signal's reason. */
export const forwardConnect = async (handshake: Handshake): Promise<HandshakeResponse> => {
  if (handshake.fetch !== undefined) throw new SendFailure("unsupported", "no")
  const { url, headers, protocols } = socketOptions(handshake)
  // A WebSocket hides the response to its handshake, but the dispatcher below it sees it.
  const seen: { connected: boolean; status?: number; headers?: Headers; error?: unknown } = { connected: false }
  const saw = (wire: Dispatcher.DispatchController, status: number): void => {
    seen.status = status
    seen.headers = responseHeadersOf((wire.rawHeaders ?? []) as readonly Buffer[])
  }
  const dispatcher = agentFor(handshake).compose(
    (dispatch) => (options, handler) =>
      dispatch(options, {
        onRequestStart: (wire, context: unknown) => {
          seen.connected = true
          handler.onRequestStart?.(wire, context)
        },
        onRequestUpgrade: (wire, status, fields, socket) => {
          saw(wire, status)
          handler.onRequestUpgrade?.(wire, status, fields, socket)
        },
        onResponseStart: (wire, status, fields, reason) => {
          if (status >= 200) saw(wire, status)
          handler.onResponseStart?.(wire, status, fields, reason)
        },
        onResponseData: (wire, chunk) => handler.onResponseData?.(wire, chunk),
        onResponseEnd: (wire, trailers) => handler.onResponseEnd?.(wire, trailers),
        onResponseError: (wire, error) => {
          seen.error ??= error
          handler.onResponseError?.(wire, error)
        },
      }),
  )
  return opened(
    () => new UndiciWebSocket(url, { protocols, headers: [...headers] as [string, string][], dispatcher }) as WebSocket,
    handshake,
    () => seen.headers,
    (event) => {
      if (seen.status !== undefined && seen.status !== 101) return refusal(seen.status, seen.headers)
      if (seen.status === 101) return new SendFailure("other", "maybe", (event as ErrorEvent).error)
      return translate(seen.error ?? (event as ErrorEvent).error, seen.connected)
    },
  )
}

/** How connections are opened: by a rule for addresses, to the owner of a key, both or neither. */
type Peer = Pick<OutgoingRequest, "addresses" | "pin" | "ca">

const makeAgent = ({ addresses, pin, ca }: Peer): Agent => {
  const connect = {
    timeout: 10_000,
    ...(addresses === undefined ? {} : { lookup: checkedLookup(addresses) }),
    ...(ca === undefined ? {} : { ca }),
  }
  return new Agent({
    allowH2: false,
    // The head has a timer of its own, exact and chosen for each request; a body may pause for as long as it likes (SSE).
    headersTimeout: 0,
    bodyTimeout: 0,
    autoSelectFamily: true,
    connect: pin === undefined ? connect : pinnedConnector(connect, pin),
  })
}

/** Gives a connection away only if the peer has the pinned key: nothing was sent on any other. */
const pinnedConnector = (options: buildConnector.BuildOptions, pin: string): buildConnector.connector => {
  const connect = buildConnector({
    ...options,
    ...pinnedTls,
    autoSelectFamily: true,
    allowH2: false,
    // So that no session is resumed.
    maxCachedSessions: 0,
  })
  return (to, done) => {
    // A URL without TLS shows no key.
    if (to.protocol !== "https:") return done(new TypeError("a pin needs an https origin"), null)
    connect(to, (error, socket) => {
      if (error !== null) return done(error, null)
      const mismatch = pinMismatch(socket as TLSSocket, pin)
      if (mismatch === undefined) return done(null, socket)
      socket.destroy()
      done(mismatch, null)
    })
  }
}

// One for each way to open connections, so that none is reused that was opened in another way.
const agents = new Map<string, Agent>()
const MAX_AGENTS = 1_024

/** The agent for a request. Throws a `SendFailure` when the origin is an IP address that its rule does not allow. */
const agentFor = ({ origin, addresses, pin, ca }: Pick<OutgoingRequest, "origin"> & Peer): Agent => {
  if (addresses !== undefined) {
    // An address is connected to without a look-up. The URL has read every notation of it.
    const refused = refusedLiteral(new URL(origin).hostname.replace(/^\[(.*)\]$/, "$1"), addresses)
    if (refused !== undefined) throw new SendFailure("other", "no", refused)
  }
  // Nearly all requests have none.
  const none = addresses === undefined && pin === undefined && ca === undefined
  const key = none ? "" : JSON.stringify([addresses, pin, ca])
  let agent = agents.get(key)
  if (agent === undefined) {
    agent = makeAgent({ addresses, pin, ca })
    agents.set(key, agent)
    // Its requests go on; its free connections end by their time-out.
    if (agents.size > MAX_AGENTS) agents.delete(agents.keys().next().value!)
  }
  return agent
}

const nullBody = (status: number): boolean => status === 204 || status === 205 || status === 304

class Exchange implements Dispatcher.DispatchHandler {
  readonly #outgoing: OutgoingRequest
  readonly #resolve: (response: Response) => void
  readonly #reject: (error: unknown) => void
  readonly #onAbort: () => void
  #connected = false
  #settled = false
  #endDeadline: (() => void) | undefined
  #wire: Dispatcher.DispatchController | undefined
  #body: ReadableStreamDefaultController<Uint8Array> | undefined

  constructor(outgoing: OutgoingRequest, resolve: (response: Response) => void, reject: (error: unknown) => void) {
    this.#outgoing = outgoing
    this.#resolve = resolve
    this.#reject = reject
    this.#onAbort = () => this.#stop(outgoing.signal?.reason)
    outgoing.signal?.addEventListener("abort", this.#onAbort, { once: true })
  }

  arm(headersTimeoutMs: number): void {
    this.#endDeadline = startDeadline(headersTimeoutMs, () => {
      this.#stop(new SendFailure("timeout", this.#connected ? "maybe" : "no"))
    })
  }

  onRequestStart(wire: Dispatcher.DispatchController): void {
    this.#connected = true
    this.#wire = wire
    // Given up while the connection was being made: nothing was written yet, and nothing will be.
    if (this.#settled) wire.abort(new Error("given up"))
  }

  onResponseStart(wire: Dispatcher.DispatchController, status: number, _: unknown, reason?: string): void {
    if (status < 200) return
    const empty = nullBody(status) || this.#outgoing.method === "HEAD"
    let response: Response
    try {
      response = new Response(empty ? null : this.#stream(wire), {
        status,
        statusText: safeReason(reason),
        headers: responseHeadersOf(wire.rawHeaders as readonly Buffer[]),
      })
    } catch (cause) {
      // A status outside 200 to 599, or a field that no `Headers` takes.
      const failure = new SendFailure("other", "maybe", cause)
      this.fail(failure)
      wire.abort(failure)
      return
    }
    this.#settle()
    this.#resolve(response)
  }

  onResponseData(wire: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#body === undefined) return
    this.#body.enqueue(chunk)
    if ((this.#body.desiredSize ?? 0) <= 0) wire.pause()
  }

  onResponseEnd(): void {
    this.#forgetSignal()
    this.#body?.close()
    this.#body = undefined
  }

  onResponseError(_: unknown, error: Error): void {
    this.fail(error)
  }

  fail(error: unknown): void {
    this.#forgetSignal()
    const body = this.#body
    this.#body = undefined
    if (this.#settled) return body?.error(error)
    this.#settle()
    this.#reject(error instanceof SendFailure ? error : translate(error, this.#connected))
  }

  #stop(reason: unknown): void {
    if (this.#settled) {
      this.#forgetSignal()
      const body = this.#body
      this.#body = undefined
      body?.error(reason)
    } else {
      this.#forgetSignal()
      this.#settle()
      this.#reject(reason)
    }
    this.#wire?.abort(reason instanceof Error ? reason : new Error("aborted"))
  }

  #stream(wire: Dispatcher.DispatchController): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (body) => {
          this.#body = body
        },
        pull: () => wire.resume(),
        cancel: (reason) => {
          this.#body = undefined
          this.#forgetSignal()
          wire.abort(reason instanceof Error ? reason : new Error("the response is not wanted any more"))
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: 65_536 }),
    )
  }

  #settle(): void {
    this.#settled = true
    this.#endDeadline?.()
  }

  #forgetSignal(): void {
    this.#outgoing.signal?.removeEventListener("abort", this.#onAbort)
  }
}

const responseHeadersOf = (raw: readonly Buffer[]): Headers => {
  const headers = new Headers()
  for (let i = 0; i + 1 < raw.length; i += 2) headers.append(raw[i]!.toString("latin1"), raw[i + 1]!.toString("latin1"))
  return headers
}

// `Response` throws on a reason phrase that RFC 9112 §4 does not allow; the phrase means nothing, so it is left out.
const safeReason = (reason: string | undefined): string =>
  reason !== undefined && /^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(reason) ? reason : ""

const translate = (cause: unknown, connected: boolean): SendFailure => {
  const sent = connected ? "maybe" : "no"
  // undici's parser keeps the bytes that it could not read, which may be secret.
  if (cause instanceof errors.HTTPParserError) return new SendFailure("other", sent, new Error(cause.message))
  switch (failureCode(cause)) {
    case "ECONNREFUSED":
      return new SendFailure("refused", "no", cause)
    case "UND_ERR_CONNECT_TIMEOUT":
    case "ETIMEDOUT":
      return new SendFailure("timeout", sent, cause)
    case "ECONNRESET":
    case "EPIPE":
    case "UND_ERR_SOCKET":
      return new SendFailure("reset", sent, cause)
    default:
      return new SendFailure("other", sent, cause)
  }
}
