import type { GeneratedResponse } from "../../error-response.ts"
import type { ForwardErrorTag } from "../../error-rows.ts"
import type { HeaderList } from "../../header-list.ts"
import type { ResponseHop } from "../../response-headers.ts"
import type { BodyRange, MessageEnd, RequestHead, ResponseHead } from "../../http1/head.ts"
import type { ParseError } from "../../http1/parse-error.ts"
import type { ExchangeState, ForwardDirective, UpstreamError, Decision } from "../contract/contract.ts"
import type { ClientConnection, ConnectionHandler } from "../connection/client-connection.ts"
import type { UpstreamConnection, UpstreamUser } from "../connection/upstream-connection.ts"
import { endToEndTrailers } from "../../trailers.ts"
import { lastChunkText, requestHeadText } from "../../http1/write.ts"
import { writeAnswer } from "./local-response.ts"
import { isForwardDirective } from "../contract/contract.ts"
import { IncomingExchangeRequest } from "./incoming-request.ts"
import { maxForwards, oneHopLess } from "./max-forwards.ts"
import { flushed, writePiece } from "../io/write.ts"
import { ResponseRelay, writeHead } from "./response-relay.ts"
import { WebSocketTunnel } from "../tunnel/websocket-tunnel.ts"
import { connectFailure } from "../connection/upstream-connection.ts"

/** The host decides, or looks at an answer's head. */
const DECIDING = 0
/** Sent on, or about to be; no final answer yet. */
const AWAITING = 1
/** The app's answer goes to the client. */
const RELAYING = 2
/** An answer of our own goes to the client. */
const ANSWERING = 3
const OVER = 4

/** How long the app is waited for to say `100 Continue` before we do, in ms. */
const CONTINUE_GRACE_MS = 50
/** How long a client that sent its FIN is still answered, in ms: a half-close and a departure look the same. */
const FIN_GRACE_MS = 250

/** One request and its answer. */
export class Exchange implements ConnectionHandler, UpstreamUser, ExchangeState {
  readonly #down: ClientConnection
  /** Absent for what could not be understood as a request. */
  readonly #head: RequestHead | undefined
  readonly #request: IncomingExchangeRequest | undefined
  readonly #startedAt: number
  #state = DECIDING
  /** True when the answer at hand is not the last word: a hook's promise is out. */
  #judging = false
  #forward: ForwardDirective | undefined
  #upstream: UpstreamConnection | undefined
  #requestDone: boolean
  #headSent = false
  #bodyHanded = false
  #upstreamBlocked = false
  #upstreamPaused = false
  #retried = false
  #continued = false
  #interim = 0

  /** The app's answer, once it goes to the client. */
  #relay: ResponseRelay | undefined
  #close: boolean
  #status = 0
  #code: string | undefined
  #bytesIn = 0
  #bytesOut = 0
  #drained: (() => void) | undefined
  /** Ends the stream that our own answer is made of. */
  #unpour: (() => void) | undefined

  constructor(down: ClientConnection, head: RequestHead | undefined) {
    this.#down = down
    this.#head = head
    this.#request = head === undefined ? undefined : new IncomingExchangeRequest(head, down, this)
    this.#requestDone = head === undefined || head.framing === 0
    // After a refused upgrade the client's next octets may be anything.
    this.#close = head === undefined || !head.keepAlive || head.upgrade
    this.#startedAt = down.shared.options.onEvent === undefined ? 0 : performance.now()
  }

  get replayable(): boolean {
    return !this.#bodyHanded && this.#request?.bodyTaken !== true
  }

  begin(): void {
    let asked
    try {
      asked = this.#down.shared.options.onRequest(this.#request!)
    } catch (cause) {
      this.#undecided(cause)
      return
    }
    this.#decide(asked)
  }

  /** Asks a hook; nothing happens meanwhile. `pass` goes on when it has nothing to say. */
  #ask(hook: () => Decision | undefined | Promise<Decision | undefined>, pass: () => void): void {
    let asked
    try {
      asked = hook()
    } catch (cause) {
      this.#undecided(cause)
      return
    }
    this.#decide(asked, pass)
  }

  #decide(asked: Decision | undefined | Promise<Decision | undefined>, pass?: () => void): void {
    if (!isPromise(asked)) {
      this.#settle(asked, pass)
      return
    }
    this.#judging = true
    this.#pauseUpstream()
    asked.then(
      (outcome) => this.#down.guard(() => this.#settle(outcome, pass)),
      (cause: unknown) => this.#down.guard(() => this.#undecided(cause)),
    )
  }

  #settle(outcome: Decision | undefined, pass: (() => void) | undefined): void {
    if (this.#state === OVER) return
    this.#judging = false
    if (outcome === undefined) {
      pass?.()
      return
    }
    this.#dropUpstream()
    if (isForwardDirective(outcome)) {
      this.#send(outcome, false)
      this.#down.pump()
    } else this.#answer(outcome)
  }

  #undecided(cause: unknown): void {
    this.#down.trouble("ProxyFailed", cause)
    if (this.#state === OVER) return
    this.#judging = false
    this.fail("ProxyFailed")
  }

  // ---- towards the app ----------------------------------------------------------------------------------------------

  #send(forward: ForwardDirective, fresh: boolean): void {
    if (!this.replayable) {
      this.#down.trouble("ProxyFailed", new Error("a request whose body was handed on cannot be sent again"))
      this.fail("ProxyFailed")
      return
    }
    if (this.#head!.method === "OPTIONS" && maxForwards(forward.headers) === 0) {
      // RFC 9110 §7.6.2: the last recipient it may have is this one. The host has judged it like any other.
      this.#answer({ status: 204, headers: typeof forward.response === "function" ? [] : forward.response.add })
      return
    }
    this.#forward = forward
    this.#state = AWAITING
    const upstream = this.#down.shared.pools.take(forward.origin, fresh)
    if (upstream === undefined) {
      this.fail("Overloaded")
      return
    }
    this.#upstream = upstream
    upstream.user = this
    if (upstream.connected) this.#sendHead()
  }

  #sendHead(): void {
    const head = this.#head!
    const forward = this.#forward!
    const upstream = this.#upstream!
    upstream.requests++
    upstream.reader.expect(head.method)
    this.#headSent = true
    const text = requestHeadText(
      head.method,
      forward.target ?? head.target,
      head.method === "OPTIONS" ? oneHopLess(forward.headers) : forward.headers,
      head.framing === 0 ? "none" : head.framing,
    )
    const first = this.#requestDone ? undefined : this.#down.readBody()
    if (first === undefined) upstream.socket.write(text, "latin1")
    else this.#handOn(first, text)
    if (this.#state === AWAITING) this.#awaitDue()
  }

  /** Somebody here reads the body: for a client that waits until it is wanted, that is the word (RFC 9110 §10.1.1). */
  onBodyWanted(): void {
    if (this.#head!.expect && !this.#continued && this.#state < RELAYING) this.#sendContinue()
    this.#down.pump()
  }

  get wantsBody(): boolean {
    if (this.#requestDone || this.#state === OVER) return false
    if (this.#request!.bodyTaken) return this.#request!.wantsBody
    return this.#headSent && !this.#upstreamBlocked
  }

  get blocked(): boolean {
    return this.#upstreamBlocked
  }

  onBody(event: BodyRange | MessageEnd | ParseError): void {
    if (event.type === "body") this.#bytesIn += event.bytes.length
    if (event.type === "end") this.#requestDone = true
    if (this.#request!.bodyTaken) {
      this.#request!.feed(event)
      if (event.type === "refusal") this.#close = true
    } else this.#handOn(event, "")
  }

  /** Hands one piece of the body on, after `before`. */
  #handOn(event: BodyRange | MessageEnd | ParseError, before: string): void {
    if (event.type === "refusal") {
      this.#refuseBody(event)
      return
    }
    const { socket } = this.#upstream!
    const chunked = this.#head!.framing === "chunked"
    this.#bodyHanded = true
    let more = true
    if (event.type === "body") {
      if (before !== "") this.#bytesIn += event.bytes.length
      more = writePiece(socket, before, event.bytes, chunked)
    } else {
      this.#requestDone = true
      const text = chunked ? before + lastChunkText(endToEndTrailers(event.trailers, this.#down.shared.names)) : before
      if (text !== "") more = flushed(socket, socket.write(text, "latin1"))
    }
    if (!more) {
      this.#upstreamBlocked = true
      this.#down.pause()
    }
    if (this.#state === AWAITING) this.#awaitDue()
    else this.#relayDue()
  }

  /** The body broke off or cannot be understood: what the app has of it must not look complete. */
  #refuseBody({ tag, reason }: ParseError): void {
    this.#dropUpstream()
    this.#down.trouble(tag, new Error(reason))
    if (this.#down.ended) this.#abort()
    else this.fail(tag)
  }

  #awaitDue(): void {
    const { wheel, limits } = this.#down.shared
    const waits = this.#head!.expect && !this.#continued && !this.#bodyHanded
    if (this.#down.ended) this.#down.dueAt = wheel.in(FIN_GRACE_MS)
    else if (!this.#requestDone) this.#down.dueAt = wheel.in(waits ? CONTINUE_GRACE_MS : limits.bodyIdleTimeoutMs)
    else this.#down.dueAt = wheel.in(this.#forward!.headersTimeoutMs ?? limits.upstreamHeadersTimeoutMs)
  }

  onUpstreamOpen(): void {
    this.#sendHead()
    this.#down.pump()
  }

  onUpstreamDrain(): void {
    this.#upstreamBlocked = false
    this.#down.pump()
  }

  onUpstreamEnd(): void {
    this.onUpstreamData()
  }

  onUpstreamClose(upstream: UpstreamConnection, connected: boolean, cause: unknown): void {
    // What it said before is with the reader still, and the host is looking at it.
    if (this.#judging) return
    this.#upstream = undefined
    if (this.#state === RELAYING) this.#abort()
    else if (connected) this.#failed({ tag: "UpstreamFailed", sent: "maybe", cause }, upstream)
    else this.#failed({ tag: connectFailure(upstream, cause), sent: "no", cause }, upstream)
  }

  fault(cause: unknown): void {
    this.#down.fault(cause)
  }

  /** No answer came, or none that can be understood. */
  #failed(failure: UpstreamError, broken = this.#upstream): void {
    const head = this.#head!
    const forward = this.#forward!
    const reused = broken !== undefined && broken.requests > 1
    this.#dropUpstream()
    if (this.#state !== AWAITING) {
      this.#abort()
      return
    }
    // RFC 9110 §9.2.2, RFC 9112 §9.3.1: a kept connection may have closed while the request was on its way. Once, on a new
    // connection, and only what is safe to say twice.
    const safe = head.framing === 0 && (head.method === "GET" || head.method === "HEAD")
    if (reused && safe && !this.#retried && failure.tag === "UpstreamFailed") {
      this.#retried = true
      this.#send(forward, true)
      return
    }
    const give = () => {
      if (failure.cause !== undefined) this.#down.trouble(failure.tag, failure.cause)
      this.fail(failure.tag)
    }
    if (forward.onFailure === undefined) give()
    else this.#ask(() => forward.onFailure!(failure, this), give)
  }

  // ---- towards the client -------------------------------------------------------------------------------------------

  onUpstreamData(): void {
    const upstream = this.#upstream
    if (upstream === undefined || this.#judging) return
    for (;;) {
      const event = upstream.reader.read()
      if (event === undefined) break
      if (event.type === "body") {
        this.#bytesOut += event.bytes.length
        if (!this.#relay!.piece(event.bytes)) this.#pauseUpstream()
        this.#relayDue()
        continue
      }
      if (event.type === "end") {
        this.#finish(event.trailers)
        return
      }
      if (event.type === "refusal") {
        const tag = event.tag === "UpstreamMalformed" ? "UpstreamMalformed" : "UpstreamFailed"
        this.#failed({ tag, sent: "maybe", cause: new Error(event.reason) })
        return
      }
      if (event.status < 200) {
        if (this.#relayInterim(event)) continue
        return
      }
      const { onResponse } = this.#forward!
      if (onResponse !== undefined) {
        this.#ask(
          () => onResponse(event, this),
          () => this.#pass(event),
        )
        return
      }
      this.#relayHead(event)
      if (event.framing === 0) {
        this.#finish([])
        return
      }
    }
    this.#relay?.flush()
    if (upstream.closed && this.#state === RELAYING) this.#abort()
  }

  /** An answer that a hook let pass. */
  #pass(head: ResponseHead): void {
    this.#resumeUpstream()
    this.#relayHead(head)
    if (head.framing === 0) this.#finish([])
    else this.onUpstreamData()
  }

  #hopFor(head: ResponseHead): ResponseHop {
    const { response } = this.#forward!
    return typeof response === "function" ? response(head) : response
  }

  #relayHead(head: ResponseHead): void {
    const { socket, shared } = this.#down
    const close = this.#close || !this.#requestDone || shared.draining
    this.#relay = new ResponseRelay(socket, this.#head!, head, this.#hopFor(head), close)
    this.#close = this.#relay.close
    this.#state = RELAYING
    this.#status = head.status
    if (head.framing !== 0) this.#relayDue()
  }

  #relayDue(): void {
    const { wheel, limits } = this.#down.shared
    if (this.#down.ended) this.#down.dueAt = wheel.in(FIN_GRACE_MS)
    else if (!this.#requestDone) this.#down.dueAt = wheel.in(limits.bodyIdleTimeoutMs)
    // An app may be silent for as long as it is allowed; a client that takes nothing of what it said may not.
    else this.#down.dueAt = this.#relay!.silent && !this.#upstreamPaused ? 0 : wheel.in(limits.upstreamIdleTimeoutMs)
  }

  /** False when that was the end of the exchange. */
  #relayInterim(head: ResponseHead): boolean {
    const request = this.#head!
    if (head.status === 101) {
      this.#relaySwitch(head)
      return false
    }
    if (++this.#interim > this.#down.shared.limits.maxInterim) {
      this.#failed({ tag: "UpstreamMalformed", sent: "maybe", cause: new Error("too many interim answers") })
      return false
    }
    // RFC 9110 §15.2: never to HTTP/1.0. A 100 is for who waits for it, once.
    if (request.version === 10) return true
    if (head.status === 100) {
      if (request.expect && !this.#continued) this.#sendContinue()
      return true
    }
    writeHead(this.#down.socket, head, { ...this.#hopFor(head), add: [] })
    return true
  }

  #relaySwitch(head: ResponseHead): void {
    if (!head.upgrade || !this.#head!.upgrade) {
      this.#failed({ tag: "UpstreamMalformed", sent: "maybe", cause: new Error("a 101 that nobody asked for") })
      return
    }
    const { onResponse } = this.#forward!
    if (onResponse === undefined) this.#open(head)
    else {
      this.#ask(
        () => onResponse(head, this),
        () => this.#open(head),
      )
    }
  }

  #sendContinue(): void {
    this.#continued = true
    this.#down.socket.write("HTTP/1.1 100 Continue\r\n\r\n", "latin1")
  }

  #finish(trailers: HeaderList): void {
    const head = this.#head!
    const answer = this.#relay!.head
    this.#relay!.end(trailers)
    const upstream = this.#upstream!
    // Kept only when nothing about the exchange leaves a doubt about where the next answer begins: an app that sends a body
    // with an answer that must have none, or after an unfinished request, would answer the next client with it.
    const clean =
      answer.keepAlive &&
      this.#requestDone &&
      !this.#upstreamBlocked &&
      !upstream.closed &&
      upstream.reader.buffered === 0 &&
      head.method !== "HEAD" &&
      answer.status !== 204 &&
      answer.status !== 304 &&
      head.framing !== "chunked" &&
      !head.expect &&
      !head.upgrade
    if (clean) {
      this.#resumeUpstream()
      this.#upstream = undefined
      this.#down.shared.pools.give(upstream)
    } else this.#dropUpstream()
    this.#next()
  }

  /** The answer is complete. */
  #next(): void {
    this.#conclude(true)
    this.#down.next(this.#close || !this.#requestDone)
  }

  // ---- answers of our own -------------------------------------------------------------------------------------------

  /** Answers with a failure, or breaks off when an answer is on its way. */
  fail(tag: ForwardErrorTag): void {
    if (this.#state >= RELAYING) {
      this.#abort()
      return
    }
    this.#dropUpstream()
    let answer: GeneratedResponse
    try {
      answer = this.#down.shared.options.failure(tag, this.#request)
    } catch (cause) {
      this.#down.trouble("ProxyFailed", cause)
      this.#abort()
      return
    }
    this.#answer(answer)
  }

  #answer(answer: GeneratedResponse): void {
    this.#state = ANSWERING
    this.#status = answer.status
    this.#code = answer.code
    this.#down.dueAt = 0
    if (this.#request?.bodyTaken !== true && !this.#requestDone) {
      // What has already come of a body that nobody reads costs nothing to skip, and spares the connection.
      this.#requestDone = this.#down.skipBody()
      if (!this.#requestDone) this.#close = true
    }
    const done = writeAnswer(answer, {
      socket: this.#down.socket,
      head: this.#head,
      close: this.#close || this.#down.shared.draining,
      over: () => this.#state === OVER,
      wrote: (octets) => {
        this.#bytesOut += octets
      },
      drained: () =>
        new Promise((resolve) => {
          this.#down.dueAt = this.#down.shared.wheel.in(this.#down.shared.limits.upstreamIdleTimeoutMs)
          this.#drained = resolve
        }),
      pouring: (cancel) => {
        this.#unpour = cancel
      },
    })
    if (typeof done === "boolean") {
      if (done) this.#close = true
      this.#next()
      return
    }
    done.then(
      (close) => {
        if (this.#state === OVER) return
        if (close) this.#close = true
        this.#down.guard(() => this.#next())
      },
      (cause: unknown) => {
        // A stream that ends by an error when its reader has left did what it should.
        if (this.#state === OVER) return
        this.#down.trouble("ProxyFailed", cause)
        this.#down.guard(() => this.#abort())
      },
    )
    this.#down.pump()
  }

  // ---- what the client does -----------------------------------------------------------------------------------------

  onOctets(): boolean {
    return false
  }

  onClientDrain(): void {
    this.#resumeUpstream()
    if (this.#state === RELAYING) this.#relayDue()
    const drained = this.#drained
    if (drained === undefined) return
    this.#drained = undefined
    this.#down.dueAt = 0
    drained()
  }

  onClientEnd(): void {
    if (!this.#requestDone) this.#down.pump()
    if (this.#state !== OVER && this.#requestDone) this.#down.dueAt = this.#down.shared.wheel.in(FIN_GRACE_MS)
  }

  onClientClose(): void {
    if (this.#state === OVER) return
    if (this.#status === 0) this.#status = 499
    this.#dropUpstream()
    this.#conclude(false)
    this.#drained?.()
  }

  onGoingAway(): void {
    this.#abort()
  }

  onDeadline(): void {
    if (this.#down.ended) {
      this.#down.socket.destroy()
      return
    }
    if (this.#state !== AWAITING) {
      this.#abort()
      return
    }
    if (this.#head!.expect && !this.#continued && !this.#bodyHanded) {
      this.#sendContinue()
      this.#awaitDue()
    } else if (this.#requestDone || this.#upstreamBlocked) {
      this.#failed({ tag: "UpstreamTimeout", sent: "maybe", cause: new Error("no answer in time") })
    } else {
      this.#close = true
      this.fail("RequestTimeout")
    }
  }

  // ---- endings ------------------------------------------------------------------------------------------------------

  /** The app agreed to a WebSocket: from here on octets, in order, what was early first. */
  #open(head: ResponseHead): void {
    const upstream = this.#upstream!
    this.#resumeUpstream()
    writeHead(this.#down.socket, head, this.#hopFor(head))
    this.#upstream = undefined
    this.#status = 101
    const tunnel = new WebSocketTunnel(this.#down, upstream, (bytesIn, bytesOut) => {
      this.#bytesIn = bytesIn
      this.#bytesOut = bytesOut
      this.#conclude(true)
    })
    this.#down.handOver(tunnel)
    tunnel.open()
  }

  #abort(): void {
    if (this.#state === OVER) return
    this.#dropUpstream()
    this.#conclude(false)
    this.#down.abort()
  }

  #conclude(complete: boolean): void {
    this.#state = OVER
    if (!complete) this.#unpour?.()
    const request = this.#request
    if (request === undefined) return
    request.end(complete)
    const { onEvent } = this.#down.shared.options
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
        remoteAddress: request.remoteAddress,
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

  #pauseUpstream(): void {
    if (this.#upstreamPaused || this.#upstream === undefined) return
    this.#upstreamPaused = true
    this.#upstream.socket.pause()
  }

  #resumeUpstream(): void {
    if (!this.#upstreamPaused) return
    this.#upstreamPaused = false
    this.#upstream?.socket.resume()
  }
}

const isPromise = <T>(value: T | Promise<T>): value is Promise<T> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function"
