import { isWorkerd } from "@project-ingress/forward/internal"

/**
 * Work in progress that several requests wait for. Plain data and plain promises, because requests share it: on Workers a
 * fibre of one request cannot resume another's.
 */
export interface SingleFlight<A> {
  /** How many keys have work in progress. */
  size(): number
  /** How many wait for it; `undefined` when there is none in progress. */
  waiting(key: string): number | undefined
  /**
   * Starts the work, or waits for the work of another request; `led` says which. Rejects as the work does, or with the
   * signal's reason when this one stops waiting.
   */
  join(key: string, run: Run<A>, signal: AbortSignal): Promise<{ readonly value: A; readonly led: boolean }>
}

/** How work is shared. */
export interface SingleFlightOptions {
  /** Whether work that nobody waits for any more is aborted. */
  readonly abortWhenAbandoned: boolean
  /**
   * Whether work may stop without settling, because it belongs to the request that started it. Default: on Workers, where a
   * request's timers and I/O end with it. Everywhere else work goes on until its promise settles, however long that takes.
   */
  readonly diesWithRequest?: boolean | undefined
}

type Run<A> = (signal: AbortSignal) => Promise<A>

interface InProgress<A> {
  readonly result: Promise<A>
  readonly abort: (reason: unknown) => void
  waiting: number
  /** Counts up by a timer of the request that does the work, which ends with that request. */
  heartbeats: number
  settled: boolean
  aborted: boolean
  /** The same work of another request, which took it over. */
  successor: InProgress<A> | undefined
}

/** How often the one who does the work shows that its request lives, in ms. */
const HEARTBEAT_MS = 100
/** How often a waiter looks at the heartbeats, in ms. */
const POLL_MS = 250
/**
 * How many looks in a row must find no new heartbeat until a waiter takes the work over. Looks are counted and no time is
 * measured: whatever stalls the process stalls the waiter's timer as well, and the overdue heartbeat comes before its next look.
 */
const MAX_MISSED = 2

export const makeSingleFlight = <A>(options: SingleFlightOptions): SingleFlight<A> => {
  const { abortWhenAbandoned, diesWithRequest = isWorkerd() } = options
  const all = new Map<string, InProgress<A>>()

  const start = (key: string, run: Run<A>): InProgress<A> => {
    const controller = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const end = (): void => {
      clearTimeout(timer)
      if (all.get(key) === work) all.delete(key)
    }
    const work: InProgress<A> = {
      // A function that throws and one that rejects are the same to those who wait.
      result: new Promise<A>((resolve) => resolve(run(controller.signal))).finally(() => {
        work.settled = true
        end()
      }),
      abort: (reason) => {
        work.aborted = true
        end()
        controller.abort(reason)
      },
      waiting: 0,
      heartbeats: 0,
      settled: false,
      aborted: false,
      successor: undefined,
    }
    const beat = (): void => {
      work.heartbeats++
      timer = setTimeout(beat, HEARTBEAT_MS)
    }
    if (diesWithRequest) beat()
    // Everybody may have left by the time it fails.
    work.result.catch(() => {})
    all.set(key, work)
    return work
  }

  return {
    size: () => all.size,
    waiting: (key) => all.get(key)?.waiting,
    join: (key, run, signal) =>
      new Promise((resolve, reject) => {
        let current: InProgress<A> | undefined
        let timer: ReturnType<typeof setTimeout> | undefined

        const detach = (): InProgress<A> | undefined => {
          clearTimeout(timer)
          const work = current
          current = undefined
          if (work !== undefined) work.waiting--
          return work
        }
        const end = (): void => {
          signal.removeEventListener("abort", onAbort)
          const work = detach()
          if (work?.waiting === 0 && abortWhenAbandoned && !work.settled) work.abort(signal.reason)
        }
        const onAbort = (): void => {
          end()
          reject(signal.reason as Error)
        }

        const follow = (work: InProgress<A>, led: boolean): void => {
          current = work
          work.waiting++
          work.result.then(
            (value) => {
              if (current !== work) return
              end()
              resolve({ value, led })
            },
            (error: unknown) => {
              if (current !== work) return
              end()
              reject(error)
            },
          )
          if (!led && diesWithRequest) pollHeartbeats(work)
        }
        const pollHeartbeats = (work: InProgress<A>): void => {
          let seen = work.heartbeats
          let missed = 0
          const poll = (): void => {
            missed = work.heartbeats === seen ? missed + 1 : 0
            seen = work.heartbeats
            // What replaced it is in progress, or has settled by now. One that all its waiters left is of no use.
            const latest = all.get(key) ?? work.successor
            const replaced = latest !== undefined && latest !== work && !latest.aborted
            if (!replaced && missed < MAX_MISSED) {
              timer = setTimeout(poll, POLL_MS)
              return
            }
            work.successor = replaced ? latest : start(key, run)
            // Without an abort: nothing of a request that has ended can be aborted.
            detach()
            follow(work.successor, !replaced)
          }
          timer = setTimeout(poll, POLL_MS)
        }

        if (signal.aborted) return reject(signal.reason as Error)
        signal.addEventListener("abort", onAbort, { once: true })
        const found = all.get(key)
        follow(found ?? start(key, run), found === undefined)
      }),
  }
}
