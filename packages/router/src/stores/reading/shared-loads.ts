import { isWorkerd, monotonicNow } from "@project-ingress/forward/internal"
import { firstResult, FOLLOW_MS } from "./first-result.ts"

/** Loads that several requests wait for. Plain promises: on Workers a fibre of one request cannot resume another's. */
export interface SharedLoads<A> {
  /**
   * Waits for the load of that name, or starts one. On Workers, where a load may end with the request that started it, for 250 ms
   * at most: then this request loads. `run` must not reject, and must settle within 10 s.
   */
  readonly join: (name: string, run: () => Promise<A>, waitUntil: WaitUntil | undefined) => Promise<A>
  readonly isLoading: (name: string) => boolean
  /** How many are in progress. */
  readonly size: () => number
}

type WaitUntil = (work: Promise<unknown>) => void

/** How long a load may take, in ms: a longer one has ended with its request. */
const MAX_LOAD_MS = 10_000
/** From how many loads on those that have ended are looked for. */
const MANY = 512

/** Loads by name. `diesWithRequest`: whether what a request began ends with it, as on Workers. */
export const makeSharedLoads = <A>(diesWithRequest = isWorkerd()): SharedLoads<A> => {
  const loads = new Map<string, Load<A>>()

  const lead = (name: string, run: () => Promise<A>, waitUntil: WaitUntil | undefined): Promise<A> => {
    if (diesWithRequest && loads.size >= MANY) {
      for (const [other, load] of loads) if (hasEnded(load)) loads.delete(other)
    }
    const result = run().finally(() => {
      if (loads.get(name) === load) loads.delete(name)
    })
    const load = { result, startedAt: monotonicNow(), isKept: waitUntil !== undefined }
    loads.set(name, load)
    waitUntil?.(result)
    return result
  }

  const follow = async (
    name: string,
    first: Load<A>,
    run: () => Promise<A>,
    waitUntil: WaitUntil | undefined,
  ): Promise<A> => {
    const followed = [first]
    for (;;) {
      const settled = await firstResult(followed.map(({ result }) => result))
      if (settled !== undefined) return settled.value
      const latest = loads.get(name)
      // Another one has taken it over meanwhile; what was followed before may settle all the same.
      if (latest === undefined || followed.includes(latest)) return lead(name, run, waitUntil)
      followed.push(latest)
    }
  }

  const hasEnded = ({ startedAt, isKept }: Load<A>): boolean =>
    diesWithRequest && monotonicNow() - startedAt > (isKept ? MAX_LOAD_MS : FOLLOW_MS)

  return {
    size: () => loads.size,
    isLoading: (name) => {
      const load = loads.get(name)
      return load !== undefined && !hasEnded(load)
    },
    join: (name, run, waitUntil) => {
      const load = loads.get(name)
      if (load === undefined || hasEnded(load)) return lead(name, run, waitUntil)
      return diesWithRequest ? follow(name, load, run, waitUntil) : load.result
    },
  }
}

interface Load<A> {
  readonly result: Promise<A>
  readonly startedAt: number
  /** Whether it goes on when the response of its request is sent. */
  readonly isKept: boolean
}
