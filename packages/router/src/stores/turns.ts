/** After so many ms others have their turn: far below the 30 ms that an event loop may be held up. */
const TURN_MS = 6
/** Also after so many steps: where the clock stands still while code runs (Workers), it alone would never tell. */
const TURN_STEPS = 4_096

/**
 * Shares the event loop during long work: `isOver()` after each step, and `await next()` when it says so.
 */
export const turns = (): { readonly isOver: () => boolean; readonly next: () => Promise<void> } => {
  let began = performance.now()
  let steps = 0
  return {
    isOver: () => {
      steps += 1
      // The clock is read now and then only: it costs more than most steps.
      return steps >= TURN_STEPS || ((steps & 15) === 0 && performance.now() - began > TURN_MS)
    },
    next: async () => {
      await new Promise<void>((resolve) => {
        if (typeof setImmediate === "function") setImmediate(resolve)
        else setTimeout(resolve, 0)
      })
      began = performance.now()
      steps = 0
    },
  }
}
