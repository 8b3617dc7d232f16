import type { GeneratedResponse } from "../../generated-response.ts"
import type { ResponseHead } from "../../http1/head.ts"
import type { ClientConnection } from "../connection/client-connection.ts"
import type { Decision, ForwardDirective, TakeOver } from "../contract/decision.ts"
import type { IncomingRequest, SendResult } from "../contract/request.ts"
import type { UpstreamError } from "../contract/upstream.ts"
import { isThenable } from "../../thenable.ts"
import { isForwardDirective, isTakeOver } from "../contract/decision.ts"

/** What a decision does to its exchange. */
export interface DecisionOwner {
  /** True once a response goes to the client: from then on no decision counts. */
  readonly responding: boolean
  readonly replayable: boolean
  /** Sends the request on. */
  start(directive: ForwardDirective): void
  /** Passes the response on whose head was held. */
  relay(head: ResponseHead): void
  respond(response: GeneratedResponse): void
  /** Gives the connection away. False if the request is no WebSocket handshake. */
  give(decision: TakeOver): boolean
  fail(tag: "ProxyFailed"): void
  /** Gives up what was sent, or its response. `instead`: the response that the client gets. */
  endAttempt(instead?: GeneratedResponse): void
}

/** What the host decides about a request: it is asked once, and may send the request before it says what to do. */
export class HostDecision {
  readonly #connection: ClientConnection
  readonly #owner: DecisionOwner
  /** Resolves the host's `send`, while one waits. */
  #onSent: ((result: SendResult) => void) | undefined
  /** The head of the response to the last `send`, until the host has decided. */
  #held: ResponseHead | undefined
  /** The response that the client gets instead of an app's, once there is one. */
  #instead: GeneratedResponse | undefined

  constructor(connection: ClientConnection, owner: DecisionOwner) {
    this.#connection = connection
    this.#owner = owner
  }

  ask(request: IncomingRequest): void {
    let decision
    try {
      decision = this.#connection.context.options.onRequest(request)
    } catch (cause) {
      this.#failed(cause)
      return
    }
    if (!isThenable(decision)) {
      this.#settle(decision)
      return
    }
    decision.then(
      (late) => this.#connection.guard(() => this.#settle(late)),
      (cause: unknown) => this.#connection.guard(() => this.#failed(cause)),
    )
  }

  #settle(decision: Decision): void {
    const owner = this.#owner
    if (owner.responding) return
    if (typeof decision === "object" && decision !== null) {
      owner.endAttempt()
      if (isTakeOver(decision)) {
        if (!owner.give(decision)) this.#failed(new TypeError("only a WebSocket handshake can be taken over"))
      } else if (!isForwardDirective(decision)) owner.respond(decision)
      else if (owner.replayable) owner.start(decision)
      else this.#failed(notReplayable())
      return
    }
    const head = this.#held
    this.#held = undefined
    if (decision !== "relay") this.#failed(new TypeError("onRequest gave no decision"))
    else if (head === undefined) this.#failed(new Error("there is no response to relay"))
    else owner.relay(head)
  }

  #failed(cause: unknown): void {
    this.#connection.reportError("ProxyFailed", cause)
    if (!this.#owner.responding) this.#owner.fail("ProxyFailed")
  }

  /** The host's `request.send`. */
  send(directive: ForwardDirective): Promise<SendResult> {
    const owner = this.#owner
    if (this.waiting) return Promise.reject(new Error("a request can be sent once at a time"))
    if (owner.responding) return Promise.resolve(this.#ended())
    if (!owner.replayable) return Promise.reject(notReplayable())
    owner.endAttempt()
    return new Promise((resolve, reject) => {
      this.#onSent = resolve
      try {
        owner.start(directive)
      } catch (cause) {
        reject(cause)
        owner.endAttempt()
      }
    })
  }

  /** True while the host waits for a response to what it sent. */
  get waiting(): boolean {
    return this.#onSent !== undefined
  }

  /** The head of a response has come. It is held until the host has decided. */
  onHead(head: ResponseHead): void {
    this.#held = head
    this.#end({ head })
  }

  onError(error: UpstreamError): void {
    this.#end({ error })
  }

  /**
   * No response will come, or it is thrown away: the host decided otherwise, the engine responds by itself (`instead`), or the
   * client left.
   */
  abandon(instead: GeneratedResponse | undefined): void {
    this.#held = undefined
    if (instead !== undefined) this.#instead = instead
    if (this.waiting) this.#end(this.#ended())
  }

  /** What a `send` resolves with that gets no response. */
  #ended(): SendResult {
    return this.#instead === undefined ? noResponse() : { ended: this.#instead }
  }

  #end(result: SendResult): void {
    const onSent = this.#onSent
    this.#onSent = undefined
    onSent?.(result)
  }
}

const notReplayable = (): Error => new Error("a request whose body was passed on or taken cannot be sent again")

const noResponse = (): SendResult => ({
  error: { tag: "UpstreamFailed", sent: "maybe", cause: new Error("the exchange ended before a response") },
})
