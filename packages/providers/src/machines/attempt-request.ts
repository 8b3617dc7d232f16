import type { ExpectedStamps } from "@project-ingress/forward"
import type { SendFailure } from "@project-ingress/forward/fetch"
import type * as Effect from "effect/Effect"
import type { Endpoint } from "../contract/machine-provider.ts"

/** A response's head, and the response itself, which this package passes on without looking into it. */
export interface AttemptResponse<A> {
  readonly status: number
  /** The first value of a field, by lower-case name. */
  readonly header: (lowerName: string) => string | undefined
  /** True where the runtime shows the status alone, so that no stamp can be seen. */
  readonly headHidden?: boolean
  /**
   * What the response's stamp must be, by the ticket that was sent: `SignedTicket.stamps`. Absent if none was sent: then nothing can
   * be proven, and any stamp is believed.
   */
  readonly stamps?: ExpectedStamps | undefined
  readonly response: A
}

/** A response that is passed on, and who gave it. */
export interface ReachedResponse<A> extends AttemptResponse<A> {
  /**
   * True if the machine's own proxy gave it, which it proves by its stamp: only then is a field under our names believed. False
   * for whatever an app's own address sends (`machineProxy: false`), and where the runtime hides the head.
   */
  readonly stamped: boolean
}

/** One request, as the host that moves its bytes offers it. */
export interface AttemptRequest<A> {
  /**
   * Who owns the machine. Caches, and the calls of a vendor's API, are divided by owner, so that no owner uses up what belongs
   * to another. Default: each machine counts as an owner of its own.
   */
  readonly owner?: string | undefined
  /** Sends it to an endpoint, whose `addresses` and `pin` it obeys. Called again only after `replayable` allowed it. */
  readonly send: (endpoint: Endpoint) => Effect.Effect<AttemptResponse<A>, SendFailure>
  /** Throws away a response that nobody will read, together with its connection. */
  readonly discard: (response: A) => void
  /**
   * Whether it may be sent once more. `no`: the peer accepted no byte, so it is enough that its body is still complete.
   * `maybe`: the peer may have acted on it, so its method must be safe as well (RFC 9110 §9.2.1).
   */
  readonly replayable: (sent: "no" | "maybe") => boolean
  /**
   * Called when the machine has proven that it refused the ticket, as after a change of a clock or a key. True: the next `send` has
   * another ticket, and is called now if the request is replayable. Default: none has.
   */
  readonly renewTicket?: (() => boolean) | undefined
  /**
   * At most 4 096 characters of a response's body as text, where they can be had. Called only for a response without a stamp,
   * which is discarded next. Given up after a second.
   */
  readonly readPrefix?: ((response: A) => Promise<string | undefined>) | undefined
  /**
   * Settles when the response's body, or its socket, has ended. Until then the machine counts as in use (`keepAlive`); without
   * it, only at the moment of the response.
   */
  readonly closed?: ((response: A) => Promise<unknown>) | undefined
  /**
   * False: a machine that is not running is not started for this request, which fails with `MachineNotRunning`; one of a provider
   * whose machines every request starts gets it only if its `status` says that it runs, and where that cannot be known, it fails with
   * `MachineRecordInvalid`. `avoid`: the same, but where it cannot be known, it is sent. Default true.
   */
  readonly wake?: boolean | "avoid" | undefined
  /**
   * How long, in ms, the request waits while nothing shows that the machine runs, whatever it waits for: calls of its provider, a
   * connection, a start. Then it fails with `MachineStarting`, and the start goes on. Once the machine's proxy has shown itself, its app may take any
   * time. Only for providers whose machines can be started. Default: as long as each of these may take, and `wakeTimeoutMs`.
   */
  readonly holdMs?: number | undefined
  /** False: no use of the machine that `keepAlive` is called for, as a health check. Default true. */
  readonly isUse?: boolean | undefined
  /** Lets work go on after the response: `ctx.waitUntil` on Workers, where it may be cancelled otherwise. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined
}
