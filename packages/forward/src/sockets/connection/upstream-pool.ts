import type { Limits } from "../contract/limits.ts"
import type { UpstreamAddress } from "../contract/upstream.ts"
import type { DeadlineScanner } from "../io/deadlines.ts"
import { UpstreamConnection } from "./upstream-connection.ts"

/** How many free connections are closed when there are too many in all. */
const CLOSED_AT_ONCE = 32

interface Pool {
  readonly free: UpstreamConnection[]
  /** Connections open or opening, the free ones included, tunnels not. */
  open: number
}

/**
 * The connections upstream, by pool: one array of free ones each, the last used first. When there are too many pools, the
 * oldest one that has only free connections is closed, so that 100 000 ports asked for do not fill the memory.
 */
export class UpstreamPools {
  /** Connections open or opening in all pools, tunnels included. */
  #open = 0
  readonly #pools = new Map<string, Pool>()
  readonly #limits: Limits
  readonly #deadlines: DeadlineScanner

  constructor(limits: Limits, deadlines: DeadlineScanner) {
    this.#limits = limits
    this.#deadlines = deadlines
  }

  /**
   * A free connection, or a new one that is not open yet, or `undefined` when the pool is full. `fresh`: only a new one. Throws
   * for an address that cannot be one: a port of 70 000, a rule with an invalid range.
   */
  take(origin: UpstreamAddress, fresh: boolean): UpstreamConnection | undefined {
    let pool = this.#pools.get(origin.pool)
    if (pool !== undefined && !fresh) {
      for (let upstream = pool.free.pop(); upstream !== undefined; upstream = pool.free.pop()) {
        // After a stall a request is often read before the end of the connection that it would be sent on.
        if (upstream.closed || this.#deadlines.isOver(upstream) || !isSamePlace(upstream.origin, origin)) {
          upstream.destroy()
          continue
        }
        upstream.deadlineAt = 0
        return upstream
      }
    }
    if (pool !== undefined && pool.open >= this.#limits.maxConnectionsPerPool) return undefined
    if (this.#open >= this.#limits.maxUpstreamConnections && !this.#closeSomeFree()) return undefined
    const upstream = new UpstreamConnection(origin, this.#limits, this.#deadlines, (closed) => this.#onClosed(closed))
    this.#open++
    // Only now: a wrong address throws, and must leave nothing behind. The last connection that was destroyed above has taken
    // its pool with it.
    pool = this.#pools.get(origin.pool)
    if (pool === undefined) {
      pool = { free: [], open: 0 }
      this.#pools.set(origin.pool, pool)
      if (this.#pools.size > this.#limits.maxPools) this.#evict()
    }
    pool.open++
    return upstream
  }

  /** Counts a socket that belongs to no pool, as one for datagrams. False if there are too many. */
  reserve(): boolean {
    if (this.#open >= this.#limits.maxUpstreamConnections && !this.#closeSomeFree()) return false
    this.#open++
    return true
  }

  /** A socket that was reserved has closed. */
  release(): void {
    this.#open--
  }

  /** Takes a connection back for the next exchange. */
  give(upstream: UpstreamConnection): void {
    upstream.user = undefined
    const pool = this.#pools.get(upstream.origin.pool)
    if (pool === undefined || upstream.closed || upstream.requests >= this.#limits.maxRequestsPerConnection) {
      upstream.destroy()
      return
    }
    upstream.deadlineAt = this.#deadlines.in(this.#limits.poolIdleTimeoutMs)
    pool.free.push(upstream)
  }

  /** Takes a connection that became a tunnel out of the count. */
  uncount(upstream: UpstreamConnection): void {
    if (upstream.uncounted) return
    upstream.uncounted = true
    const pool = this.#pools.get(upstream.origin.pool)
    if (pool === undefined) return
    pool.open--
    if (pool.open === 0) this.#pools.delete(upstream.origin.pool)
  }

  closeFree(): void {
    for (const pool of this.#pools.values()) while (pool.free.length > 0) pool.free.pop()!.destroy()
  }

  /** Makes room for other pools: some at a time, because to look for them takes long. False if there are none. */
  #closeSomeFree(): boolean {
    let closed = 0
    for (const { free } of this.#pools.values()) {
      while (closed < CLOSED_AT_ONCE && free.length > 0) {
        free.shift()!.destroy()
        closed++
      }
      if (closed === CLOSED_AT_ONCE) break
    }
    return closed > 0
  }

  #onClosed(upstream: UpstreamConnection): void {
    this.#open--
    const free = this.#pools.get(upstream.origin.pool)?.free
    const at = free?.indexOf(upstream) ?? -1
    if (at >= 0) free!.splice(at, 1)
    this.uncount(upstream)
  }

  #evict(): void {
    for (const pool of this.#pools.values()) {
      if (pool.open > 0 && pool.open === pool.free.length) {
        while (pool.free.length > 0) pool.free.pop()!.destroy()
        return
      }
    }
  }
}

/** Whether a connection to one goes where the other one is: also by the rule and the pin that it was checked by. */
const isSamePlace = (one: UpstreamAddress, other: UpstreamAddress): boolean =>
  one.host === other.host &&
  one.port === other.port &&
  one.pin === other.pin &&
  (one.addresses === other.addresses || JSON.stringify(one.addresses) === JSON.stringify(other.addresses))
