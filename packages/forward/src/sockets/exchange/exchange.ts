import type { GeneratedResponse } from "../../generated-response.ts"
import type { ForwardErrorTag } from "../../error-rows.ts"
import type { HeaderList } from "../../header-list.ts"
import type { BodyRange, MessageEnd, RequestHead, ResponseHead } from "../../http1/head.ts"
import type { ParseError } from "../../http1/parse-error.ts"
import type { ClientConnection } from "../connection/client-connection.ts"
import type { ExchangeHandler } from "../connection/connection-handler.ts"
import type { ForwardDirective, TakeOver } from "../contract/decision.ts"
import type { SendResult } from "../contract/request.ts"
import type { UpstreamError } from "../contract/upstream.ts"
import type { AttemptOwner } from "./attempt.ts"
import type { DecisionOwner } from "./host-decision.ts"
import type { RequestOwner } from "./incoming-request.ts"
import { reset } from "../io/write.ts"
import { TakenConnection } from "../tunnel/taken-connection.ts"
import { Attempt } from "./attempt.ts"
import { detachedTunnel } from "./detached-tunnel.ts"
import { ExchangeRecord } from "./exchange-record.ts"
import { AWAITING, DECIDING, OVER, RELAYING, RESPONDING } from "./exchange-state.ts"
import { exchangeTimeout, isBodyLate } from "./exchange-timeout.ts"
import { HostDecision } from "./host-decision.ts"
import { IncomingExchangeRequest } from "./incoming-request.ts"
import { failureResponse, validResponse } from "./own-response.ts"
import { LocalResponse } from "./local-response.ts"
import { maxForwards } from "./max-forwards.ts"
import { RequestBodyPump } from "./request-body-pump.ts"
import { headOnly, ResponseRelay } from "./response-relay.ts"

/** One request and its response: asks the host what to do, does it, and says what happens when something goes wrong. */
export class Exchange implements ExchangeHandler, AttemptOwner, DecisionOwner, RequestOwner {
  readonly #connection: ClientConnection
  /** Absent for what could not be understood as a request. */
  readonly #head: RequestHead | undefined
  readonly #request: IncomingExchangeRequest | undefined
  readonly #record: ExchangeRecord
  readonly #pump: RequestBodyPump
  readonly #decision: HostDecision
  #state = DECIDING
  #attempt: Attempt | undefined
  #relay: ResponseRelay | undefined
  #local: LocalResponse | undefined
  /** True when the client's connection ends with this exchange. */
  #close: boolean

  constructor(connection: ClientConnection, head: RequestHead | undefined) {
    this.#connection = connection
    this.#head = head
    this.#request = head === undefined ? undefined : new IncomingExchangeRequest(head, connection, this)
    this.#record = new ExchangeRecord(connection.context.options.onEvent)
    this.#pump = new RequestBodyPump(connection, head, this.#record)
    this.#decision = new HostDecision(connection, this)
    // After a refused upgrade the client's next bytes may be anything.
    this.#close = head === undefined || !head.keepAlive || head.upgrade
  }

  // ---- the host's decision ------------------------------------------------------------------------------------------

  begin(): void {
    this.#decision.ask(this.#request!)
  }

  get responding(): boolean {
    return this.#state >= RELAYING
  }

  get replayable(): boolean {
    return !this.#pump.started && this.#request?.bodyTaken !== true
  }

  send(directive: ForwardDirective): Promise<SendResult> {
    return this.#decision.send(directive)
  }

  start(directive: ForwardDirective): void {
    const head = this.#head!
    if (head.method === "OPTIONS" && maxForwards(directive.headers) === 0) {
      // RFC 9110 §7.6.2: the last recipient it may have is this one. The host has decided about it as about any other.
      this.respond({ status: 204, headers: typeof directive.response === "function" ? [] : directive.response.add })
      return
    }
    this.#state = AWAITING
    this.#attempt = new Attempt(directive, head, this.#pump, this.#connection, this)
    if (!this.#attempt.start(directive.tunnel !== undefined)) this.fail("Overloaded")
  }

  endAttempt(instead?: GeneratedResponse): void {
    this.#attempt?.close()
    this.#attempt = undefined
    this.#decision.abandon(instead)
    if (this.#state === AWAITING) this.#state = DECIDING
  }

  // ---- the request's body -------------------------------------------------------------------------------------------

  get wantsBody(): boolean {
    if (this.#pump.complete || this.#state === OVER) return false
    if (this.#request!.bodyTaken) return this.#request!.wantsBody
    // Not while the host decides: it may want to send the request again.
    if (!this.#pump.open || this.#pump.blocked || this.#state === DECIDING) return false
    // Nor before the app has said, by 100 or its status, that it wants one that did not wait (RFC 9110 §10.1.1).
    return !this.#pump.awaitsContinue || (this.#state === RELAYING && this.#record.status < 300)
  }

  get blocked(): boolean {
    return this.#pump.blocked
  }

  onBody(event: BodyRange | MessageEnd | ParseError): void {
    if (this.#request!.bodyTaken) {
      if (event.type === "refusal") this.#close = true
      else this.#pump.count(event)
      this.#request!.feed(event)
      if (this.#state === DECIDING) this.#renewDeadline()
    } else if (event.type === "refusal") this.onBodyRefused(event)
    else {
      this.#pump.pass(event)
      this.#renewDeadline()
    }
  }

  /** The app, or somebody here, reads the body: a client that waits for a `100 Continue` gets it now (RFC 9110 §10.1.1). */
  onBodyWanted(): void {
    if (this.#state < RELAYING) this.#pump.sendContinue()
    if (this.#state <= AWAITING) this.#renewDeadline()
    this.#connection.pump()
  }

  /** The body broke off or is invalid: what the app has of it must not look complete. */
  onBodyRefused({ tag, reason }: ParseError): void {
    this.#attempt?.close()
    this.#connection.reportError(tag, new Error(reason))
    if (this.#connection.ended) this.#abort()
    else this.fail(tag)
  }

  // ---- the app's response -------------------------------------------------------------------------------------------

  onProgress(): void {
    this.#renewDeadline()
  }

  onResponseHead(head: ResponseHead): boolean {
    if (!this.#decision.waiting) return this.#accept(head)
    this.#state = DECIDING
    this.#attempt!.hold()
    if (!this.#connection.ended) this.#connection.deadlineAt = 0
    this.#decision.onHead(head)
    return false
  }

  relay(head: ResponseHead): void {
    this.#attempt!.release()
    if (this.#accept(head)) this.#attempt!.read()
    // The rest of the request's body has waited for the decision.
    if (this.#state === RELAYING) this.#connection.pump()
  }

  /** The response is the client's. Whether there is more of it to read. */
  #accept(head: ResponseHead): boolean {
    try {
      if (head.status !== 101) return this.#begin(head)
      this.#openTunnel(head)
    } catch (cause) {
      // An edit of the host's failed, or made an invalid field; nothing of the response was written yet.
      this.#connection.reportError("ProxyFailed", cause)
      this.fail("ProxyFailed")
    }
    return false
  }

  #begin(head: ResponseHead): boolean {
    const close = this.#close || !this.#pump.complete || this.#connection.context.draining
    this.#relay = new ResponseRelay(this.#connection.socket, this.#head!, head, this.#attempt!.hopFor(head), close)
    this.#close = this.#relay.close
    this.#state = RELAYING
    this.#record.status = head.status
    if (head.framing === 0) this.onResponseEnd([])
    else this.#renewDeadline()
    return head.framing !== 0
  }

  onResponseBody(bytes: Uint8Array): void {
    this.#record.bytesOut += bytes.length
    if (!this.#relay!.piece(bytes)) this.#attempt!.pause()
    this.#renewDeadline()
  }

  onResponseRead(): void {
    this.#relay?.flush()
    if (this.#pump.awaitsContinue) this.#connection.pump()
  }

  onResponseEnd(trailers: HeaderList): void {
    this.#relay!.end(trailers)
    this.#attempt!.finish(this.#relay!.head)
    this.#next()
  }

  onAttemptFailed(error: UpstreamError): void {
    if (this.#state === RELAYING) {
      this.#abort()
      return
    }
    if (this.#decision.waiting) {
      this.#state = DECIDING
      if (!this.#connection.ended) this.#connection.deadlineAt = 0
      this.#decision.onError(error)
      return
    }
    if (error.cause !== undefined) this.#connection.reportError(error.tag, error.cause)
    this.fail(error.tag)
  }

  /** The app agreed to a WebSocket, or a tunnel ends here: from here on bytes, in order, those that came early first. */
  #openTunnel(head: ResponseHead): void {
    const attempt = this.#attempt!
    // First, because an edit may throw: only the attempt closes its connection then.
    const text = headOnly(head, attempt.hopFor(head))
    const tunnel = detachedTunnel(this.#connection, attempt, this.#record)
    if (tunnel === undefined) {
      this.fail("UpstreamFailed")
      return
    }
    this.#connection.socket.write(text, "latin1")
    this.#goOn((onOver) => tunnel(onOver).open())
  }

  give({ takeOver }: TakeOver): boolean {
    if (!this.#head!.upgrade) return false
    this.#goOn((onOver) => new TakenConnection(this.#connection, this.#record, onOver).give(takeOver))
    return true
  }

  /** The exchange ends as an exchange: another handler has the connection from here on. */
  #goOn(open: (onOver: () => void) => void): void {
    this.#record.status = 101
    this.#state = OVER
    this.#connection.guard(() => open(this.#record.whenTunnelEnds(this.#request!)))
  }

  // ---- responses of our own -----------------------------------------------------------------------------------------

  /** Responds with a failure, or breaks off when a response is on its way. */
  fail(tag: ForwardErrorTag): void {
    if (this.#state >= RELAYING) this.#abort()
    else this.#respond(failureResponse(this.#connection, this.#request, tag, this.#attempt?.directive))
  }

  respond(response: GeneratedResponse): void {
    this.#respond(validResponse(this.#connection, this.#request, response))
  }

  #respond(response: GeneratedResponse): void {
    this.endAttempt(response)
    this.#state = RESPONDING
    this.#record.status = response.status
    this.#record.code = response.code
    this.#connection.deadlineAt = 0
    if (this.#request?.bodyTaken !== true && !this.#pump.skip()) this.#close = true
    this.#local = new LocalResponse(this.#connection, this.#head, this.#record)
    const done = this.#local.write(response, this.#close || this.#connection.context.draining)
    if (typeof done === "boolean") {
      if (done) this.#close = true
      this.#next()
      return
    }
    done.then(
      (close) => {
        if (this.#state === OVER) return
        if (close) this.#close = true
        this.#connection.guard(() => this.#next())
      },
      (cause: unknown) => {
        // A stream that fails because its reader has left did what it should.
        if (this.#state === OVER) return
        this.#connection.reportError("ProxyFailed", cause)
        this.#connection.guard(() => this.#abort())
      },
    )
    this.#connection.pump()
  }

  // ---- what the client does -----------------------------------------------------------------------------------------

  onBytes(): boolean {
    return false
  }

  onClientDrain(): void {
    this.#attempt?.resume()
    if (this.#state === RELAYING) this.#renewDeadline()
    this.#local?.onDrain()
  }

  onClientEnd(): void {
    if (!this.#pump.complete) this.#connection.pump()
    if (this.#state !== OVER && this.#pump.complete) this.#renewDeadline()
  }

  onClientClose(): void {
    if (this.#state === OVER) return
    if (this.#record.status === 0) this.#record.status = 499
    this.endAttempt()
    this.#conclude(false)
  }

  onGoingAway(): void {
    this.#abort()
  }

  onDeadline(): void {
    if (this.#state === AWAITING && this.#pump.awaitsContinue) this.onBodyWanted()
    // Half of a response must not look like all of it, to a client that is still there.
    else if (this.#connection.ended) reset(this.#connection.socket)
    else if (this.#state >= RELAYING) this.#abort()
    else if (this.#state === AWAITING && (this.#pump.complete || this.#pump.blocked)) this.#attempt!.timeOut()
    else if (isBodyLate(this.#connection, this.#pump)) {
      this.#close = true
      this.fail("RequestTimeout")
    } else this.#renewDeadline()
  }

  #renewDeadline(): void {
    const timeout = exchangeTimeout(this.#connection, this.#pump, this.#request, this.#attempt, this.#relay)
    this.#connection.deadlineAt = this.#connection.context.deadlines.in(timeout)
  }

  /** The response is complete. */
  #next(): void {
    this.#conclude(true)
    this.#connection.next(this.#close || !this.#pump.complete)
  }

  /** The client must see a failure. */
  #abort(): void {
    if (this.#state === OVER) return
    this.endAttempt()
    this.#conclude(false)
    this.#connection.abort()
  }

  #conclude(complete: boolean): void {
    this.#state = OVER
    if (!complete) this.#local?.cancel()
    const request = this.#request
    if (request === undefined) return
    request.end(complete)
    this.#record.report(request, complete)
  }
}
