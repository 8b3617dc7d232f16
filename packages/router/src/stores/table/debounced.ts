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
