import type { Duplex } from "node:stream"
import type { Answer, AnswerTag } from "../answers.ts"
import type { HeaderList, ResponseHop } from "../headers.ts"
import type { HopNames } from "../names.ts"
import type { RequestHead, ResponseHead } from "../http1/head.ts"
import type { RequestReader } from "../http1/request-reader.ts"
import type { ExchangeState, Forward, ForwardFailure, Limits, Outcome, ServeOptions } from "./exchange.ts"
import type { InboundSource } from "./inbound.ts"
import type { Pools } from "./pools.ts"
import type { Timed, Wheel } from "./timers.ts"
import type { Upstream, UpstreamUser } from "./upstream.ts"
import { endToEndTrailers, headerValue, httpDate, responseHeaders } from "../headers.ts"
import { requestReader } from "../http1/request-reader.ts"
import { checkFields, lastChunkText, requestHeadText, responseHeadText } from "../http1/write.ts"
import { isForward } from "./exchange.ts"
import { Inbound } from "./inbound.ts"
import { maxForwards, oneHopLess } from "./max-forwards.ts"
import { endAndDestroy, reset, took, writePiece } from "./octets.ts"

/** What the connections of one engine share. */
export interface Shared {
  readonly options: ServeOptions
  readonly limits: Limits
  readonly wheel: Wheel
  readonly pools: Pools
  readonly open: Set<Downstream>
  readonly names: HopNames
  draining: boolean
  /** Called when the last connection has closed. */
  emptied: (() => void) | undefined
}

/** Between two requests, or before the first. */
const IDLE = 0
/** The host decides. */
const DECIDING = 1
/** Sent on, or about to be; no final answer yet. */
const AWAITING = 2
/** The host looks at the answer's head. */
const JUDGING = 3
/** The app's answer goes to the client. */
const RELAYING = 4
/** An answer of our own goes to the client as a stream. */
const POURING = 5
/** A WebSocket: octets, both ways. */
const TUNNEL = 6
/** Our side is ended; what still comes in is thrown away, so that the client can read the answer (RFC 9112 §9.6). */
const LINGERING = 7
const CLOSED = 8

/** Read ahead from a client while nobody wants it, in octets; the socket is paused above. */
const READ_AHEAD = 65_536
/** How long the app is waited for to say `100 Continue` before we do, in ms. */
const CONTINUE_GRACE_MS = 50
/** How long a client that sent its FIN is still answered, in ms: a half-close and a departure look the same. */
const FIN_GRACE_MS = 250

/**
 * One connection from a client and the exchange at hand on it. Requests are read one at a time: the next one stays unread until
 * this one's answer is complete, which is what keeps pipelined answers in order and each request judged by its own head.
 */
export class Downstream implements Timed, UpstreamUser, InboundSource, ExchangeState {
  dueAt = 0
  readonly #shared: Shared
  readonly #socket: Duplex
  readonly #reader: RequestReader
  #state = IDLE
  #pumping = false
  #paused = false
  #ended = false
  /** True once the first octet of a head has come. */
  #begun = false

  #request: Inbound | undefined
  #forward: Forward | undefined
  #upstream: Upstream | undefined
  #requestDone = true
  #headSent = false
  #bodyHanded = false
  #upstreamBlocked = false
  #upstreamPaused = false
  #retried = false
  #continued = false
  #interim = 0
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined
  #drained: (() => void) | undefined

  #answerHead: ResponseHead | undefined
  #hop: ResponseHop | undefined
  /** A head that waits for the first octets of its body, to be written with them. */
  #headText = ""
  #chunkedOut = false
  #closeAfter = false
  /** How long the app's body may pause, in ms. An event stream has no such bound. */
  #idleMs = 0
  #status = 0
  #code: string | undefined
  #bytesIn = 0
  #bytesOut = 0
  #startedAt = 0

  constructor(socket: Duplex, shared: Shared) {
    this.#socket = socket
    this.#shared = shared
    this.#reader = requestReader(shared.limits)
    // The caller's server may have been made without it; a client's FIN is not the end of its answer.
    socket.allowHalfOpen = true
    if ("setNoDelay" in socket && typeof socket.setNoDelay === "function") socket.setNoDelay(true)
    shared.wheel.add(this)
    this.dueAt = shared.wheel.in(shared.limits.headersTimeoutMs)
    socket.on("data", (bytes: Buffer) => this.#guard(() => this.#onData(bytes)))
    socket.on("end", () => this.#guard(() => this.#onEnd()))
    socket.on("drain", () => this.#guard(() => this.#onDrain()))
    socket.on("error", ignore)
    socket.on("close", () => this.#guard(() => this.#onClose()))
  }

  // ---- what the host sees -------------------------------------------------------------------------------------------

  get remoteAddress(): string {
    return addressOf(this.#socket).remoteAddress ?? ""
  }

  get localPort(): number {
    return addressOf(this.#socket).localPort ?? 0
  }

  get encrypted(): boolean {
    return "encrypted" in this.#socket && this.#socket.encrypted === true
  }

  get replayable(): boolean {
    return !this.#bodyHanded
  }

  takeBody(request: Inbound): ReadableStream<Uint8Array> | null {
    if (this.#request !== request || this.#bodyHanded) throw new Error("the request's body is gone")
    this.#bodyHanded = true
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#sink = controller
        },
        pull: () => this.#guard(() => this.#pump()),
        cancel: () => {
          this.#sink = undefined
        },
      },
      { highWaterMark: 1 },
    )
  }

  /** Takes no further request; an idle connection closes at once. */
  drain(): void {
    if (this.#state === IDLE && this.#reader.idle && !this.#begun) this.#close()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  // ---- the client's side --------------------------------------------------------------------------------------------

  #onData(bytes: Buffer): void {
    if (this.#state === TUNNEL) {
      this.#bytesIn += bytes.length
      this.#tunnelDue()
      const { socket } = this.#upstream!
      if (!took(socket, socket.write(bytes))) this.#pause()
      return
    }
    if (this.#state >= LINGERING) return
    this.#reader.push(bytes)
    this.#pump()
  }

  #onEnd(): void {
    this.#ended = true
    this.#reader.end()
    switch (this.#state) {
      case TUNNEL:
        this.#upstream?.socket.end()
        this.dueAt = this.#shared.wheel.in(this.#shared.limits.tunnelLingerMs)
        return
      case LINGERING:
        endAndDestroy(this.#socket)
        return
      case IDLE:
        this.#pump()
        if (this.#state === IDLE) endAndDestroy(this.#socket)
        return
      default:
        if (!this.#requestDone) this.#pump()
        else this.dueAt = this.#shared.wheel.in(FIN_GRACE_MS)
    }
  }

  #onDrain(): void {
    if (this.#upstreamPaused) {
      this.#upstreamPaused = false
      this.#upstream?.socket.resume()
    }
    const drained = this.#drained
    this.#drained = undefined
    drained?.()
  }

  #onClose(): void {
    if (this.#state === CLOSED) return
    const state = this.#state
    this.#state = CLOSED
    this.#shared.open.delete(this)
    this.#shared.wheel.remove(this)
    if (this.#shared.open.size === 0) this.#shared.emptied?.()
    if (this.#request !== undefined && state !== LINGERING) {
      if (this.#status === 0) this.#status = 499
      this.#conclude(state === TUNNEL)
    }
    this.#dropUpstream()
  }

  onDue(): void {
    this.#guard(() => this.#onDeadline())
  }

  #onDeadline(): void {
    if (this.#ended && this.#state !== TUNNEL) {
      // Nobody is there any more: RFC 9112 §9.6 lets us give up.
      this.#socket.destroy()
      return
    }
    switch (this.#state) {
      case IDLE:
        if (this.#begun) this.#fail("RequestTimeout", true)
        else this.#close()
        return
      case AWAITING:
        if (this.#request!.head.expect && !this.#continued && !this.#bodyHanded) {
          this.#sendContinue()
          this.#awaitDue()
        } else if (!this.#requestDone) this.#fail(this.#upstreamBlocked ? "UpstreamTimeout" : "RequestTimeout", true)
        else this.#upstreamFailed({ tag: "UpstreamTimeout", sent: "maybe", cause: new Error("no answer in time") })
        return
      case DECIDING:
      case JUDGING:
        return
      case RELAYING:
      case POURING:
        this.#abort()
        return
      default:
        this.#socket.destroy()
    }
  }

  /** Reads as much of what the client sent as somebody wants. */
  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (this.#step()) continue
    } finally {
      this.#pumping = false
    }
    if (this.#paused) {
      if (this.#wantsMore()) this.#resume()
    } else if (this.#reader.buffered > READ_AHEAD || this.#upstreamBlocked) this.#pause()
  }

  #wantsMore(): boolean {
    return !this.#upstreamBlocked && this.#state < TUNNEL && this.#reader.buffered <= READ_AHEAD
  }

  /** One event of the request; false when none is wanted or at hand. */
  #step(): boolean {
    if (this.#state === IDLE) {
      const event = this.#reader.read()
      if (event === undefined) {
        if (!this.#begun && this.#reader.buffered > 0) {
          this.#begun = true
          this.dueAt = this.#shared.wheel.in(this.#shared.limits.headersTimeoutMs)
        }
        return false
      }
      if (event.type === "head") this.#begin(event)
      else if (event.type === "refusal") this.#fail(event.tag, true, new Error(event.reason))
      return true
    }
    if (this.#requestDone || this.#state >= TUNNEL) return false
    if (this.#sink !== undefined) return (this.#sink.desiredSize ?? 0) > 0 && this.#feedSink()
    if (!this.#headSent || this.#upstreamBlocked) return false
    return this.#feedUpstream("")
  }

  #begin(head: RequestHead): void {
    const { options } = this.#shared
    this.#begun = true
    this.#requestDone = head.framing === 0
    this.#headSent = false
    this.#bodyHanded = false
    this.#retried = false
    this.#continued = false
    this.#interim = 0
    this.#status = 0
    this.#code = undefined
    this.#bytesIn = 0
    this.#bytesOut = 0
    this.#closeAfter = !head.keepAlive || head.upgrade
    this.dueAt = 0
    if (options.onEvent !== undefined) this.#startedAt = performance.now()
    const request = new Inbound(head, this)
    this.#request = request
    this.#state = DECIDING
    if (head.method === "OPTIONS" && maxForwards(head.headers) === 0) {
      // RFC 9110 §7.6.2: the last recipient it names is this one.
      this.#answer({ status: 204, headers: [] })
      return
    }
    let outcome
    try {
      outcome = options.onRequest(request)
    } catch (cause) {
      this.#trouble("ProxyFailed", cause)
      this.#fail("ProxyFailed")
      return
    }
    if (isPromise(outcome)) this.#whenDecided(request, outcome)
    else this.#act(outcome)
  }

  #whenDecided(request: Inbound, outcome: Promise<Outcome>): void {
    outcome.then(
      (decided) => {
        if (this.#request === request) this.#guard(() => this.#act(decided))
      },
      (cause: unknown) => {
        this.#trouble("ProxyFailed", cause)
        if (this.#request === request) this.#guard(() => this.#fail("ProxyFailed"))
      },
    )
  }

  #act(outcome: Outcome): void {
    if (isForward(outcome)) {
      this.#send(outcome, false)
      this.#pump()
    } else this.#answer(outcome)
  }

  // ---- towards the app ----------------------------------------------------------------------------------------------

  #send(forward: Forward, fresh: boolean): void {
    if (this.#bodyHanded) {
      this.#trouble("ProxyFailed", new Error("a request whose body was handed on cannot be sent again"))
      this.#fail("ProxyFailed")
      return
    }
    this.#forward = forward
    this.#headSent = false
    this.#state = AWAITING
    const upstream = this.#shared.pools.take(forward.origin, fresh)
    if (upstream === undefined) {
      this.#fail("Overloaded")
      return
    }
    this.#upstream = upstream
    upstream.user = this
    if (upstream.connected) this.#sendHead()
  }

  #sendHead(): void {
    const { head } = this.#request!
    const forward = this.#forward!
    const upstream = this.#upstream!
    upstream.requests++
    upstream.reader.expect(head.method)
    this.#headSent = true
    let headers = forward.headers
    if (head.method === "OPTIONS") headers = oneHopLess(headers)
    const text = requestHeadText(
      head.method,
      forward.target ?? head.target,
      headers,
      head.framing === 0 ? "none" : head.framing,
    )
    if (this.#requestDone || !this.#feedUpstream(text)) upstream.socket.write(text, "latin1")
    this.#awaitDue()
  }

  /** Hands one piece of the body on, after `before`. False when there is none at hand. */
  #feedUpstream(before: string): boolean {
    const event = this.#reader.read()
    if (event === undefined || event.type === "head") return false
    const { socket } = this.#upstream!
    if (event.type === "refusal") {
      this.#dropUpstream()
      if (this.#ended) this.#socket.destroy()
      else this.#fail(event.tag, true, new Error(event.reason))
      return true
    }
    this.#bodyHanded = true
    const chunked = this.#request!.head.framing === "chunked"
    let more: boolean
    if (event.type === "end") {
      this.#requestDone = true
      more = chunked
        ? took(
            socket,
            socket.write(before + lastChunkText(endToEndTrailers(event.trailers, this.#shared.names)), "latin1"),
          )
        : before === "" || took(socket, socket.write(before, "latin1"))
    } else {
      this.#bytesIn += event.bytes.length
      more = writePiece(socket, before, event.bytes, chunked)
    }
    if (!more) this.#upstreamBlocked = true
    if (this.#state === AWAITING) this.#awaitDue()
    return true
  }

  #awaitDue(): void {
    const { wheel, limits } = this.#shared
    if (this.#ended) {
      this.dueAt = wheel.in(FIN_GRACE_MS)
      return
    }
    const { expect } = this.#request!.head
    this.dueAt = this.#requestDone
      ? wheel.in(this.#forward!.headersTimeoutMs ?? limits.upstreamHeadersTimeoutMs)
      : wheel.in(expect && !this.#continued && !this.#bodyHanded ? CONTINUE_GRACE_MS : limits.bodyIdleTimeoutMs)
  }

  onUpstreamOpen(): void {
    this.#guard(() => {
      this.#sendHead()
      this.#pump()
    })
  }

  onUpstreamDrain(): void {
    this.#guard(() => {
      this.#upstreamBlocked = false
      if (this.#state === TUNNEL) this.#resume()
      else this.#pump()
    })
  }

  onUpstreamData(): void {
    this.#guard(() => {
      if (this.#state !== TUNNEL) {
        this.#pumpAnswer()
        return
      }
      const bytes = this.#upstream!.reader.rest()
      this.#bytesOut += bytes.length
      this.#tunnelDue()
      if (!took(this.#socket, this.#socket.write(bytes))) this.#pauseUpstream()
    })
  }

  onUpstreamEnd(): void {
    this.#guard(() => {
      if (this.#state !== TUNNEL) {
        this.#pumpAnswer()
        return
      }
      this.#socket.end()
      this.dueAt = this.#shared.wheel.in(this.#shared.limits.tunnelLingerMs)
    })
  }

  onUpstreamClose(upstream: Upstream, connected: boolean, cause: unknown): void {
    this.#guard(() => {
      if (this.#upstream !== upstream) return
      if (this.#state === JUDGING) return
      this.#upstream = undefined
      if (this.#state === TUNNEL) {
        // A broken tunnel must look broken to the other side; an ended one was ended in order.
        if (cause === undefined) endAndDestroy(this.#socket)
        else reset(this.#socket)
        return
      }
      if (this.#state === RELAYING) this.#abort()
      else if (connected) this.#upstreamFailed({ tag: "UpstreamFailed", sent: "maybe", cause }, upstream)
      else this.#upstreamFailed({ tag: connectFailure(upstream, cause), sent: "no", cause }, upstream)
    })
  }

  /** No answer came, or none that can be understood. */
  #upstreamFailed(failure: ForwardFailure, broken = this.#upstream): void {
    const { head } = this.#request!
    const forward = this.#forward!
    const reused = broken !== undefined && broken.requests > 1
    this.#dropUpstream()
    if (this.#state !== AWAITING) {
      this.#abort()
      return
    }
    // RFC 9110 §9.2.2, RFC 9112 §9.3.1: a kept connection may have closed while the request was on its way. Once, on a new
    // connection, and only what is safe to say twice.
    if (
      reused &&
      failure.tag === "UpstreamFailed" &&
      !this.#retried &&
      head.framing === 0 &&
      (head.method === "GET" || head.method === "HEAD")
    ) {
      this.#retried = true
      this.#send(forward, true)
      return
    }
    if (forward.onFailure === undefined) {
      this.#fail(failure.tag, false, failure.cause)
      return
    }
    this.#judge(
      () => forward.onFailure!(failure, this),
      () => this.#fail(failure.tag, false, failure.cause),
    )
  }

  // ---- towards the client -------------------------------------------------------------------------------------------

  #pumpAnswer(): void {
    const upstream = this.#upstream
    if (upstream === undefined || this.#state === JUDGING) return
    for (;;) {
      const event = upstream.reader.read()
      if (event === undefined) break
      if (event.type === "refusal") {
        this.#upstreamFailed({
          tag: event.tag === "UpstreamMalformed" ? "UpstreamMalformed" : "UpstreamFailed",
          sent: "maybe",
          cause: new Error(event.reason),
        })
        return
      }
      if (event.type === "head") {
        if (event.status === 101) {
          if (event.upgrade && this.#request!.head.upgrade) this.#open(event)
          else {
            const cause = new Error("a 101 that nobody asked for")
            this.#upstreamFailed({ tag: "UpstreamMalformed", sent: "maybe", cause })
          }
          return
        }
        if (event.status < 200) {
          if (!this.#relayInterim(event)) return
          continue
        }
        this.#answerHead = event
        const { onResponse } = this.#forward!
        if (onResponse !== undefined) {
          this.#judge(
            () => onResponse(event, this),
            () => this.#relay(event),
          )
          return
        }
        this.#relayHead(event)
        if (event.framing === 0) {
          this.#finish([])
          return
        }
        continue
      }
      if (event.type === "end") {
        this.#finish(event.trailers)
        return
      }
      this.#relayPiece(event.bytes)
    }
    this.#flushHead()
    if (upstream.closed && this.#state === RELAYING) this.#abort()
  }

  /** Asks a hook; `pass` goes on when it has nothing to say. */
  #judge(ask: () => Outcome | undefined | Promise<Outcome | undefined>, pass: () => void): void {
    const request = this.#request!
    this.#state = JUDGING
    this.dueAt = 0
    const settle = (outcome: Outcome | undefined) => {
      if (this.#request !== request || this.#state !== JUDGING) return
      if (outcome === undefined) {
        this.#state = AWAITING
        pass()
        return
      }
      this.#dropUpstream()
      this.#act(outcome)
    }
    const failed = (cause: unknown) => {
      this.#trouble("ProxyFailed", cause)
      if (this.#request !== request || this.#state !== JUDGING) return
      this.#dropUpstream()
      this.#fail("ProxyFailed")
    }
    let asked
    try {
      asked = ask()
    } catch (cause) {
      failed(cause)
      return
    }
    if (isPromise(asked)) {
      this.#pauseUpstream()
      asked.then(
        (outcome) => this.#guard(() => settle(outcome)),
        (cause: unknown) => this.#guard(() => failed(cause)),
      )
    } else settle(asked)
  }

  /** An answer that a hook let pass. */
  #relay(head: ResponseHead): void {
    if (this.#upstreamPaused) {
      this.#upstreamPaused = false
      this.#upstream?.socket.resume()
    }
    this.#relayHead(head)
    if (head.framing === 0) this.#finish([])
    else this.#pumpAnswer()
  }

  #relayHead(head: ResponseHead): void {
    const { response } = this.#forward!
    const request = this.#request!.head
    const hop = typeof response === "function" ? response(head) : response
    this.#state = RELAYING
    this.#hop = hop
    this.#status = head.status
    this.#chunkedOut = request.version === 11 && (head.framing === "chunked" || head.framing === "until-close")
    if (!this.#requestDone || this.#shared.draining || (!this.#chunkedOut && typeof head.framing !== "number")) {
      this.#closeAfter = true
    }
    const headers = responseHeaders(head.headers, hop, { status: head.status, chunked: this.#chunkedOut })
    // "none": a length that is there was checked by the reader, and there is none beside chunks.
    const framing = this.#chunkedOut ? "chunked" : "none"
    this.#headText = responseHeadText(head.status, head.reason, headers, framing, this.#closeAfter)
    this.#idleMs = isEventStream(headers) ? 0 : this.#shared.limits.upstreamIdleTimeoutMs
    this.#relayDue()
  }

  #relayPiece(bytes: Uint8Array): void {
    this.#bytesOut += bytes.length
    const before = this.#headText
    this.#headText = ""
    if (!writePiece(this.#socket, before, bytes, this.#chunkedOut)) this.#pauseUpstream()
    this.#relayDue()
  }

  #relayDue(): void {
    const { wheel, limits } = this.#shared
    if (this.#ended) this.dueAt = wheel.in(FIN_GRACE_MS)
    else if (!this.#requestDone) this.dueAt = wheel.in(limits.bodyIdleTimeoutMs)
    else this.dueAt = wheel.in(this.#idleMs)
  }

  #flushHead(): void {
    if (this.#headText === "") return
    this.#socket.write(this.#headText, "latin1")
    this.#headText = ""
  }

  #relayInterim(head: ResponseHead): boolean {
    const { version } = this.#request!.head
    if (++this.#interim > this.#shared.limits.maxInterim) {
      this.#upstreamFailed({ tag: "UpstreamMalformed", sent: "maybe", cause: new Error("too many interim answers") })
      return false
    }
    // RFC 9110 §15.2: never to HTTP/1.0. A 100 goes to who waits for it, once.
    if (version === 10) return true
    if (head.status === 100) {
      if (this.#request!.head.expect && !this.#continued) this.#sendContinue()
      return true
    }
    const { response } = this.#forward!
    const hop = typeof response === "function" ? response(head) : response
    const headers = responseHeaders(head.headers, { ...hop, add: [] }, { status: head.status, chunked: false })
    this.#socket.write(responseHeadText(head.status, head.reason, headers, "none", false), "latin1")
    return true
  }

  #sendContinue(): void {
    this.#continued = true
    this.#socket.write("HTTP/1.1 100 Continue\r\n\r\n", "latin1")
  }

  #finish(trailers: HeaderList): void {
    const { head } = this.#request!
    const answer = this.#answerHead!
    let text = this.#headText
    this.#headText = ""
    if (this.#chunkedOut) text += lastChunkText(endToEndTrailers(trailers, this.#hop!.names))
    if (text !== "") this.#socket.write(text, "latin1")
    const upstream = this.#upstream!
    // Kept only when nothing about the exchange leaves a doubt about where the next answer begins: an app that sends a body
    // with an answer that must have none, or after an unfinished request, would answer the next client with it.
    const clean =
      answer.keepAlive &&
      this.#requestDone &&
      !upstream.closed &&
      upstream.reader.buffered === 0 &&
      head.method !== "HEAD" &&
      answer.status !== 204 &&
      answer.status !== 304 &&
      head.framing !== "chunked" &&
      !head.expect
    if (clean && !this.#upstreamPaused && !this.#upstreamBlocked) {
      this.#upstream = undefined
      this.#shared.pools.give(upstream)
    } else this.#dropUpstream()
    this.#next()
  }

  /** The answer is complete. */
  #next(): void {
    this.#conclude(true)
    const over = this.#ended && this.#reader.buffered === 0
    if (this.#closeAfter || !this.#requestDone || this.#shared.draining || over) {
      this.#close()
      return
    }
    this.#state = IDLE
    this.#begun = false
    this.dueAt = this.#shared.wheel.in(this.#shared.limits.keepAliveTimeoutMs)
    if (this.#paused || this.#reader.buffered > 0) this.#pump()
  }

  // ---- answers of our own -------------------------------------------------------------------------------------------

  #fail(tag: AnswerTag, last = false, cause?: unknown): void {
    const request = this.#request
    if (this.#state >= RELAYING) {
      this.#abort()
      return
    }
    this.#dropUpstream()
    if (last) this.#closeAfter = true
    if (cause !== undefined) this.#trouble(tag, cause)
    let answer: Answer
    try {
      answer = this.#shared.options.failure(tag, request)
    } catch (thrown) {
      this.#trouble("ProxyFailed", thrown)
      this.#abort()
      return
    }
    this.#answer(answer)
  }

  #answer(answer: Answer): void {
    const request = this.#request
    const { body } = answer
    const head = request?.head
    try {
      checkFields(answer.headers)
    } catch (cause) {
      this.#trouble("ProxyFailed", cause)
      this.#abort()
      return
    }
    this.#status = answer.status
    this.#code = answer.code
    const stream = isStream(body) ? body : undefined
    const bytes = isStream(body) ? undefined : typeof body === "string" ? Buffer.from(body) : (body ?? EMPTY)
    // What has already come of a body nobody reads costs nothing to skip, and spares the connection.
    if (this.#sink === undefined) while (!this.#requestDone && this.#skip()) continue
    if (!this.#requestDone && this.#sink === undefined) this.#closeAfter = true
    if (this.#shared.draining) this.#closeAfter = true
    const bodiless = head?.method === "HEAD" || answer.status === 204 || answer.status === 304 || answer.status < 200
    this.#chunkedOut = stream !== undefined && head?.version === 11 && !bodiless
    if (stream !== undefined && !this.#chunkedOut && !bodiless) this.#closeAfter = true
    const headers = [...answer.headers]
    if (!headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === "date")) headers.push("Date", httpDate())
    const framing = this.#chunkedOut
      ? "chunked"
      : bytes !== undefined && answer.status !== 204
        ? bytes.length
        : "until-close"
    const text = responseHeadText(
      answer.status,
      "",
      headers,
      bodiless && stream !== undefined ? "none" : framing,
      this.#closeAfter,
    )
    if (stream !== undefined && !bodiless) {
      this.#state = POURING
      this.dueAt = 0
      this.#socket.write(text, "latin1")
      void this.#pour(stream, request)
      this.#pump()
      return
    }
    void stream?.cancel().catch(ignore)
    if (bytes === undefined || bodiless || bytes.length === 0) this.#socket.write(text, "latin1")
    else {
      this.#bytesOut += bytes.length
      writePiece(this.#socket, text, bytes, false)
    }
    this.#next()
  }

  /** One event of a body that nobody reads; false when none is at hand. */
  #skip(): boolean {
    const event = this.#reader.read()
    if (event === undefined || event.type === "head") return false
    if (event.type === "end") this.#requestDone = true
    return event.type === "body"
  }

  async #pour(stream: ReadableStream<Uint8Array>, request: Inbound | undefined): Promise<void> {
    const reader = stream.getReader()
    const over = () => this.#request !== request || this.#state !== POURING
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (over()) {
          await reader.cancel()
          return
        }
        if (done) break
        if (value.length === 0) continue
        this.#bytesOut += value.length
        if (!writePiece(this.#socket, "", value, this.#chunkedOut)) {
          this.dueAt = this.#shared.wheel.in(this.#shared.limits.upstreamIdleTimeoutMs)
          await new Promise<void>((resolve) => {
            this.#drained = resolve
          })
          this.dueAt = 0
        }
      }
      this.#guard(() => {
        if (this.#chunkedOut) this.#socket.write("0\r\n\r\n", "latin1")
        if (!this.#requestDone) this.#closeAfter = true
        this.#sink = undefined
        this.#next()
      })
    } catch (cause) {
      this.#trouble("ProxyFailed", cause)
      if (!over()) this.#guard(() => this.#abort())
    }
  }

  #feedSink(): boolean {
    const sink = this.#sink!
    const event = this.#reader.read()
    if (event === undefined || event.type === "head") return false
    if (event.type === "body") {
      this.#bytesIn += event.bytes.length
      sink.enqueue(event.bytes)
      return true
    }
    this.#sink = undefined
    if (event.type === "end") {
      this.#requestDone = true
      sink.close()
    } else {
      sink.error(new Error("the request's body is malformed or ended early"))
      this.#closeAfter = true
    }
    return true
  }

  // ---- WebSockets ---------------------------------------------------------------------------------------------------

  /** The app agreed: from here on octets, in order, what was early first. */
  #open(head: ResponseHead): void {
    const { response } = this.#forward!
    const hop = typeof response === "function" ? response(head) : response
    const upstream = this.#upstream!
    const headers = responseHeaders(head.headers, hop, { status: 101, chunked: false })
    this.#state = TUNNEL
    this.#status = 101
    this.#shared.pools.uncount(upstream)
    this.#socket.write(responseHeadText(101, head.reason, headers, "none", false), "latin1")
    const early = this.#reader.rest()
    if (early.length > 0) {
      this.#bytesIn += early.length
      if (!took(upstream.socket, upstream.socket.write(early))) this.#pause()
    }
    const first = upstream.reader.rest()
    if (first.length > 0) {
      this.#bytesOut += first.length
      if (!took(this.#socket, this.#socket.write(first))) this.#pauseUpstream()
    }
    if (this.#paused && !this.#upstreamBlocked) this.#resume()
    upstream.socket.setKeepAlive(true, 30_000)
    if ("setKeepAlive" in this.#socket && typeof this.#socket.setKeepAlive === "function") {
      this.#socket.setKeepAlive(true, 30_000)
    }
    this.#tunnelDue()
    if (this.#ended) this.#onEnd()
  }

  #tunnelDue(): void {
    if (this.#ended || this.#socket.writableEnded) return
    this.dueAt = this.#shared.wheel.in(this.#shared.limits.tunnelIdleTimeoutMs)
  }

  // ---- endings ------------------------------------------------------------------------------------------------------

  /** Ends our side, then waits for the client's, so that what it sends meanwhile does not reset the answer away. */
  #close(): void {
    if (this.#state >= LINGERING) return
    this.#state = LINGERING
    const { wheel, limits } = this.#shared
    this.dueAt = wheel.in(limits.upstreamIdleTimeoutMs)
    if (this.#ended) endAndDestroy(this.#socket)
    else {
      this.#socket.end(() => {
        this.dueAt = wheel.in(limits.lingerMs)
      })
      this.#resume()
    }
  }

  /** The answer cannot be completed: the client must see a failure, so no clean end. */
  #abort(): void {
    if (this.#state === CLOSED) return
    this.#dropUpstream()
    if (this.#request !== undefined && this.#state !== LINGERING) this.#conclude(false)
    this.#state = LINGERING
    reset(this.#socket)
  }

  #conclude(complete: boolean): void {
    const request = this.#request
    const { onEvent } = this.#shared.options
    this.#request = undefined
    this.#forward = undefined
    this.#answerHead = undefined
    this.#sink?.error(new Error("the exchange is over"))
    this.#sink = undefined
    if (request === undefined) return
    if (!complete) request.abort()
    if (onEvent === undefined) return
    const { head } = request
    try {
      onEvent({
        type: "exchange",
        method: head.method,
        host: head.host,
        target: head.target,
        status: this.#status,
        ...(this.#code === undefined ? {} : { code: this.#code }),
        upgrade: head.upgrade,
        bytesIn: this.#bytesIn,
        bytesOut: this.#bytesOut,
        durationMs: performance.now() - this.#startedAt,
        remoteAddress: this.remoteAddress,
        complete,
      })
    } catch {
      // A log that fails must not fail the request.
    }
  }

  #dropUpstream(): void {
    const upstream = this.#upstream
    this.#upstream = undefined
    this.#upstreamBlocked = false
    this.#upstreamPaused = false
    this.#headSent = false
    if (upstream === undefined) return
    upstream.user = undefined
    upstream.destroy()
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#socket.pause()
  }

  #resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#socket.resume()
  }

  #pauseUpstream(): void {
    if (this.#upstreamPaused || this.#upstream === undefined) return
    this.#upstreamPaused = true
    this.#upstream.socket.pause()
  }

  #trouble(tag: AnswerTag, cause: unknown): void {
    try {
      this.#shared.options.onEvent?.({ type: "trouble", tag, cause })
    } catch {
      // As above.
    }
  }

  /** One connection's failure is its own: whatever a peer makes us throw ends here. */
  #guard(run: () => void): void {
    try {
      run()
    } catch (cause) {
      this.#trouble("ProxyFailed", cause)
      try {
        this.#abort()
      } catch {
        this.#socket.destroy()
      }
    }
  }
}

const EMPTY = Buffer.alloc(0)
const ignore = () => undefined

const isStream = (body: Answer["body"]): body is ReadableStream<Uint8Array> =>
  typeof body === "object" && body !== null && "getReader" in body

const isPromise = <T>(value: T | Promise<T>): value is Promise<T> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function"

const isEventStream = (headers: HeaderList): boolean =>
  headerValue(headers, "content-type")?.slice(0, 17).toLowerCase() === "text/event-stream"

const addressOf = (socket: Duplex) =>
  socket as { readonly remoteAddress?: string | undefined; readonly localPort?: number | undefined }

/** Why a connection could not be opened, as the client is told. */
const connectFailure = (upstream: Upstream, cause: unknown): ForwardFailure["tag"] => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  if (code === "ECONNREFUSED") return "PortClosed"
  if (code === "ETIMEDOUT") return "UpstreamTimeout"
  return upstream.origin.host === "loopback" ? "UpstreamFailed" : "ProviderUnavailable"
}
