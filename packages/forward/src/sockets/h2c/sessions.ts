import type { Limits } from "../contract/limits.ts"
import type { UpstreamAddress } from "../contract/upstream.ts"
import type { DeadlineScanner } from "../io/deadlines.ts"
import type { SessionOwner } from "./session.ts"
import { H2cSession, MAX_STREAMS } from "./session.ts"

/**
 * Connections of HTTP/2 to one app that take streams. With a hundred streams each, more than requests to one pool may be in flight.
 * Those that take none any more, as after a GOAWAY, are open for as long as one of these requests is on them.
 */
const MAX_SESSIONS = 16

/** A stream that waits for a place. */
export interface StreamWaiter {
  readonly origin: UpstreamAddress
  /** There is one, on this connection. */
  onPlace(session: H2cSession): void
  /** No connection could be opened. */
  onNoPlace(cause: unknown): void
}

interface SessionPool extends SessionOwner {
  readonly sessions: Set<H2cSession>
  readonly waiting: Set<StreamWaiter>
}

/** The connections of HTTP/2 upstream, by pool, and the streams that wait for a place on one. */
export class H2cSessions {
  readonly #pools = new Map<string, SessionPool>()
  readonly #limits: Limits
  readonly #deadlines: DeadlineScanner
  #open = 0

  constructor(limits: Limits, deadlines: DeadlineScanner) {
    this.#limits = limits
    this.#deadlines = deadlines
  }

  /** A connection with room for one more stream, which has its place then; `undefined` if there is none at once. */
  place(origin: UpstreamAddress): H2cSession | undefined {
    for (const session of this.#pools.get(nameOf(origin))?.sessions ?? []) {
      if (!session.hasRoom) continue
      session.take()
      return session
    }
    return undefined
  }

  /** Waits for a place. False if there are as many connections as there may be, and none of them can have one. */
  wait(waiter: StreamWaiter): boolean {
    const name = nameOf(waiter.origin)
    let pool = this.#pools.get(name)
    if (pool === undefined) {
      pool = this.#newPool(name)
      this.#pools.set(name, pool)
    }
    pool.waiting.add(waiter)
    let isHopeful = false
    try {
      isHopeful = this.#openEnough(pool, waiter.origin)
    } finally {
      if (!isHopeful) {
        pool.waiting.delete(waiter)
        this.#forget(name, pool)
      }
    }
    return isHopeful
  }

  /** The waiter waits no more. */
  leave(waiter: StreamWaiter): void {
    const name = nameOf(waiter.origin)
    const pool = this.#pools.get(name)
    if (pool?.waiting.delete(waiter) === true) this.#forget(name, pool)
  }

  /** Closes connections without a stream. */
  closeIdle(): void {
    for (const { sessions } of this.#pools.values())
      for (const session of sessions) if (session.ready && session.taken === 0) session.destroy()
  }

  /** Opens a connection for those who wait, unless those that are being opened will do. Whether they can hope for one. */
  #openEnough(pool: SessionPool, origin: UpstreamAddress): boolean {
    let opening = 0
    let live = 0
    for (const { ready, retired } of pool.sessions) {
      if (!retired) live++
      if (!ready) opening++
    }
    if (pool.waiting.size <= opening * MAX_STREAMS) return true
    if (live >= MAX_SESSIONS) return opening > 0
    if (this.#open >= this.#limits.maxPools) this.closeIdle()
    if (this.#open >= this.#limits.maxPools) return opening > 0
    const session = new H2cSession(origin, this.#limits, this.#deadlines, pool)
    this.#open++
    pool.sessions.add(session)
    return true
  }

  #newPool(name: string): SessionPool {
    const pool: SessionPool = {
      sessions: new Set(),
      waiting: new Set(),
      onChange: (session) => {
        for (const waiter of pool.waiting) {
          if (!session.hasRoom) break
          pool.waiting.delete(waiter)
          session.take()
          waiter.onPlace(session)
        }
        this.#goOn(pool)
      },
      onClosed: (session, cause) => {
        this.#open--
        pool.sessions.delete(session)
        if (cause !== undefined && !this.#someIsOpening(pool)) {
          for (const waiter of pool.waiting) {
            pool.waiting.delete(waiter)
            waiter.onNoPlace(cause)
          }
        } else this.#goOn(pool)
        this.#forget(name, pool)
      },
    }
    return pool
  }

  /** Those who wait still, after a connection took fewer streams than was hoped for, or ended. */
  #goOn(pool: SessionPool): void {
    const [first] = pool.waiting
    if (first !== undefined) this.#openEnough(pool, first.origin)
  }

  #someIsOpening({ sessions }: SessionPool): boolean {
    for (const session of sessions) if (!session.ready) return true
    return false
  }

  #forget(name: string, pool: SessionPool): void {
    if (pool.sessions.size === 0 && pool.waiting.size === 0 && this.#pools.get(name) === pool) this.#pools.delete(name)
  }
}

/** What all connections of one pool have in common: also the address, and the rule and the pin that it was checked by. */
const nameOf = ({ pool, host, port, pin, addresses }: UpstreamAddress): string =>
  JSON.stringify([pool, host, port, pin, addresses])
