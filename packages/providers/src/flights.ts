/**
 * Work under way that several requests want. Plain data and plain promises, because requests share it: on Workers a fibre
 * of one request cannot wake another's.
 */
export interface Flights<A> {
  /** How many wait for it; `undefined` when it is not under way. */
  waiting(key: string): number | undefined
  /**
   * Does the work, or waits for another request that does it; `led` tells which. Rejects as the work does, or with the
   * signal's reason when the one who waits leaves.
   */
  join(
    key: string,
    work: (signal: AbortSignal) => Promise<A>,
    signal: AbortSignal,
  ): Promise<{ readonly value: A; readonly led: boolean }>
}

interface Flight<A> {
  readonly answer: Promise<A>
  readonly abort: (reason: unknown) => void
  waiting: number
  beatAt: number
}

/** How often one who waits looks whether the work is still done, in ms. */
const LOOK_MS = 250
const BEAT_MS = 100
/**
 * How long the one who does the work may be silent, in ms, before another takes it over. On Workers its request may have
 * ended, and its timers and I/O with it, so that no answer ever comes.
 */
const SILENT_MS = 500

/** `abandon`: whether work that nobody waits for any more is told to stop. */
export const makeFlights = <A>({ abandon }: { readonly abandon: boolean }): Flights<A> => {
  const flights = new Map<string, Flight<A>>()

  const depart = (key: string, work: (signal: AbortSignal) => Promise<A>): Flight<A> => {
    const controller = new AbortController()
    let timer: ReturnType<typeof setTimeout>
    const beat = (): void => {
      flight.beatAt = Date.now()
      timer = setTimeout(beat, BEAT_MS)
    }
    const flight: Flight<A> = {
      // A function that throws and one that rejects are the same to those who wait.
      answer: new Promise<A>((resolve) => resolve(work(controller.signal))).finally(() => {
        clearTimeout(timer)
        if (flights.get(key) === flight) flights.delete(key)
      }),
      abort: (reason) => {
        clearTimeout(timer)
        controller.abort(reason)
      },
      waiting: 0,
      beatAt: 0,
    }
    beat()
    // Everybody may have left by the time it fails.
    flight.answer.catch(() => {})
    flights.set(key, flight)
    return flight
  }

  return {
    waiting: (key) => flights.get(key)?.waiting,
    async join(key, work, signal) {
      signal.throwIfAborted()
      for (;;) {
        const found = flights.get(key)
        const led = found === undefined || Date.now() - found.beatAt > SILENT_MS
        const flight = led ? depart(key, work) : found
        flight.waiting++
        const left = (): void => {
          if (--flight.waiting > 0 || !abandon) return
          if (flights.get(key) === flight) flights.delete(key)
          flight.abort(signal.reason)
        }
        // oxlint-disable-next-line no-await-in-loop -- each round waits for what the last one found
        const landed = await within(led ? undefined : LOOK_MS, flight.answer, signal, left)
        if (landed !== undefined) return { value: landed.value, led }
      }
    },
  }
}

/** The value, or `undefined` when it takes longer. Rejects as the promise does, or when the signal ends first. */
const within = <A>(
  ms: number | undefined,
  promise: Promise<A>,
  signal: AbortSignal,
  ended: () => void,
): Promise<{ readonly value: A } | undefined> =>
  new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", left)
      ended()
    }
    const left = (): void => {
      end()
      reject(signal.reason as Error)
    }
    let timer: ReturnType<typeof setTimeout> | undefined
    let over = false
    if (ms !== undefined) {
      timer = setTimeout(() => {
        over = true
        end()
        resolve(undefined)
      }, ms)
    }
    signal.addEventListener("abort", left, { once: true })
    promise.then(
      (value) => {
        if (over || signal.aborted) return
        end()
        resolve({ value })
      },
      (error: unknown) => {
        if (over || signal.aborted) return
        end()
        reject(error as Error)
      },
    )
  })
