/** Waits, or until the signal is aborted. 0 or less: not at all. Keeps a process alive, which may wait for its routes. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted || ms <= 0) return resolve()
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener("abort", end)
  })

/** Times between attempts that fail. */
export interface BackOff {
  /** How long to wait now, in ms: about twice as long each time, from 100 ms to 30 s. */
  readonly next: () => number
  readonly reset: () => void
}

const FIRST_MS = 100
const LONGEST_MS = 30_000

/** `random`: from 0 to 1. Routers that failed together do not come back together. */
export const backOff = (random: () => number): BackOff => {
  let failures = 0
  return {
    next: () => {
      const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** failures)
      failures = Math.min(failures + 1, 20)
      return most * (0.5 + random() / 2)
    },
    reset: () => (failures = 0),
  }
}

/** Runs something a while after it was asked for: once for many calls in a row, and in spite of them after the longest wait. */
export interface Debounced {
  readonly call: () => void
  readonly stop: () => void
}

export const debounced = (
  run: () => Promise<void>,
  { quietMs, longestMs }: { readonly quietMs: number; readonly longestMs: number },
): Debounced => {
  let quiet: ReturnType<typeof setTimeout> | undefined
  let longest: ReturnType<typeof setTimeout> | undefined
  let isRunning = false
  let isWanted = false
  const clear = (): void => {
    clearTimeout(quiet)
    clearTimeout(longest)
    quiet = longest = undefined
  }
  const start = (): void => {
    clear()
    isRunning = true
    void run().finally(() => {
      isRunning = false
      if (!isWanted) return
      isWanted = false
      call()
    })
  }
  const call = (): void => {
    // One at a time: what is asked for meanwhile comes after.
    if (isRunning) {
      isWanted = true
      return
    }
    clearTimeout(quiet)
    quiet = setTimeout(start, quietMs)
    quiet.unref?.()
    if (longest !== undefined) return
    longest = setTimeout(start, longestMs)
    longest.unref?.()
  }
  return {
    call,
    stop: () => {
      isWanted = false
      clear()
    },
  }
}
