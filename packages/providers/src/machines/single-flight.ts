/**
 * Work under way that several requests want. Plain data and plain promises, because requests share it: on Workers a fibre
 * of one request cannot wake another's.
 */
export interface SingleFlight<A> {
  /** How many are under way. */
  size(): number
  /** How many wait for it; `undefined` when it is not under way. */
  waiting(key: string): number | undefined
  /**
   * Does the work, or waits for another request that does it; `led` tells which. Rejects as the work does, or with the
   * signal's reason when the one who waits leaves.
   */
  join(key: string, work: Work<A>, signal: AbortSignal): Promise<{ readonly value: A; readonly led: boolean }>
}

type Work<A> = (signal: AbortSignal) => Promise<A>

interface Flight<A> {
  readonly answer: Promise<A>
  readonly abort: (reason: unknown) => void
  waiting: number
  beatAt: number
  landed: boolean
}

/** How often one who waits looks whether the work is still done, in ms. */
const LOOK_MS = 250
const BEAT_MS = 100
/**
 * How long the one who does the work may be silent, in ms, before another takes it over. On Workers its request may have
 * ended, and its timers and I/O with it, so that no answer ever comes.
 */
const SILENT_MS = 400

/** `abandon`: whether work that nobody waits for any more is told to stop. */
export const makeSingleFlight = <A>({ abandon }: { readonly abandon: boolean }): SingleFlight<A> => {
  const flights = new Map<string, Flight<A>>()

  const depart = (key: string, work: Work<A>): Flight<A> => {
    const controller = new AbortController()
    let timer: ReturnType<typeof setTimeout>
    const flight: Flight<A> = {
      // A function that throws and one that rejects are the same to those who wait.
      answer: new Promise<A>((resolve) => resolve(work(controller.signal))).finally(() => {
        clearTimeout(timer)
        flight.landed = true
        if (flights.get(key) === flight) flights.delete(key)
      }),
      abort: (reason) => {
        clearTimeout(timer)
        if (flights.get(key) === flight) flights.delete(key)
        controller.abort(reason)
      },
      waiting: 0,
      beatAt: 0,
      landed: false,
    }
    const beat = (): void => {
      flight.beatAt = Date.now()
      timer = setTimeout(beat, BEAT_MS)
    }
    beat()
    // Everybody may have left by the time it fails.
    flight.answer.catch(() => {})
    flights.set(key, flight)
    return flight
  }

  return {
    size: () => flights.size,
    waiting: (key) => flights.get(key)?.waiting,
    join: (key, work, signal) =>
      new Promise((resolve, reject) => {
        let aboard: Flight<A> | undefined
        let timer: ReturnType<typeof setTimeout> | undefined
        const leave = (): void => {
          clearTimeout(timer)
          const flight = aboard
          aboard = undefined
          if (flight !== undefined && --flight.waiting === 0 && abandon && !flight.landed) flight.abort(signal.reason)
        }
        const end = (): void => {
          leave()
          signal.removeEventListener("abort", left)
        }
        const left = (): void => {
          end()
          reject(signal.reason as Error)
        }
        const look = (): void => {
          const found = flights.get(key)
          const led = found === undefined || Date.now() - found.beatAt > SILENT_MS
          const flight = led ? depart(key, work) : found
          if (flight !== aboard) {
            leave()
            aboard = flight
            flight.waiting++
            listen(flight, led)
          }
          // Whoever does the work himself has nobody to look after.
          if (!led) timer = setTimeout(look, LOOK_MS)
        }
        const listen = (flight: Flight<A>, led: boolean): void => {
          flight.answer.then(
            (value) => {
              if (aboard !== flight) return
              end()
              resolve({ value, led })
            },
            (error: unknown) => {
              if (aboard !== flight) return
              end()
              reject(error)
            },
          )
        }
        if (signal.aborted) return reject(signal.reason as Error)
        signal.addEventListener("abort", left, { once: true })
        look()
      }),
  }
}
