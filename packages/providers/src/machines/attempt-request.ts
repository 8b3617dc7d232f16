import type { SendFailure } from "@project-ingress/forward/fetch"
import type * as Effect from "effect/Effect"
import type { Endpoint } from "../contract/machine-provider.ts"

/** An answer's head, and the answer itself, which nobody here looks into. */
export interface AttemptResponse<A> {
  readonly status: number
  /** The first value of a field, by lower-case name. */
  readonly header: (lowerName: string) => string | undefined
  /** True where the runtime shows the status alone: then no stamp can be asked for. */
  readonly headHidden?: boolean
  readonly response: A
}

/** One request, as the one who moves its bytes offers it. */
export interface AttemptRequest<A> {
  /** Sends it to where the machine's proxy answers. May be called again only after `replayable` said so. */
  readonly send: (endpoint: Endpoint) => Effect.Effect<AttemptResponse<A>, SendFailure>
  /** Throws an answer away that nobody will read, connection and all. */
  readonly discard: (answer: A) => void
  /**
   * Whether it may be sent once more. `no`: nobody took an octet of it, so all that counts is that its body is still
   * whole. `maybe`: somebody may have acted on it, so its method must be safe as well.
   */
  readonly replayable: (sent: "no" | "maybe") => boolean
  /**
   * At most 4 096 octets of an answer's body as text, where it can be had: asked only for an answer without a stamp, which
   * is discarded next. Given up after a second.
   */
  readonly readPrefix?: ((answer: A) => Promise<string | undefined>) | undefined
  /**
   * Settles when the answer's body, or its socket, is over. Until then the machine counts as in use (`keepAlive`); without
   * it, for the moment of the answer alone.
   */
  readonly closed?: ((answer: A) => Promise<unknown>) | undefined
  /** Lets work go on after the answer; on Workers `ctx.waitUntil`, without which it may be cut off there. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined
}
