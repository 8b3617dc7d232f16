import type { Limits, UpstreamAddress } from "../contract/contract.ts"
import type { DeadlineScanner } from "../io/deadlines.ts"
import { UpstreamConnection } from "./upstream-connection.ts"

interface Pool {
  readonly free: UpstreamConnection[]
  /** Connections open or opening, the free ones included, tunnels not. */
  open: number
}

/**
 * The connections upstream, by pool: one array of free ones each, the last used first. Pools nobody used for longest are
 * closed when there are too many, so that 100 000 ports asked for do not fill the memory.
 */
export class UpstreamPools {
  readonly #pools = new Map<string, Pool>()
  readonly #limits: Limits
  readonly #wheel: DeadlineScanner

  constructor(limits: Limits, wheel: DeadlineScanner) {
    this.#limits = limits
    this.#wheel = wheel
  }

  /** A free connection, or a new one that is not open yet, or `undefined` when the pool is full. */
  take(origin: UpstreamAddress, fresh: boolean): UpstreamConnection | undefined {
    let pool = this.#pools.get(origin.pool)
    if (pool === undefined) {
      pool = { free: [], open: 0 }
      this.#pools.set(origin.pool, pool)
      if (this.#pools.size > this.#limits.maxPools) this.#evict()
    } else if (!fresh) {
      for (let upstream = pool.free.pop(); upstream !== undefined; upstream = pool.free.pop()) {
        if (upstream.closed || upstream.origin.host !== origin.host || upstream.origin.port !== origin.port) {
          upstream.destroy()
          continue
        }
        upstream.dueAt = 0
        return upstream
      }
    }
    if (pool.open >= this.#limits.maxConnectionsPerPool) return undefined
    pool.open++
    return new UpstreamConnection(origin, this.#limits, this.#wheel, this)
  }

  /** Gives a connection back for the next exchange. */
  give(upstream: UpstreamConnection): void {
    upstream.user = undefined
    const pool = this.#pools.get(upstream.origin.pool)
    if (pool === undefined || upstream.closed || upstream.requests >= this.#limits.maxRequestsPerConnection) {
      upstream.destroy()
      return
    }
    upstream.dueAt = this.#wheel.in(this.#limits.poolIdleTimeoutMs)
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

  /** Called by a connection that closed. */
  forget(upstream: UpstreamConnection): void {
    const pool = this.#pools.get(upstream.origin.pool)
    const at = pool?.free.indexOf(upstream) ?? -1
    if (at >= 0) pool!.free.splice(at, 1)
    this.uncount(upstream)
  }

  closeFree(): void {
    for (const pool of this.#pools.values()) while (pool.free.length > 0) pool.free.pop()!.destroy()
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
