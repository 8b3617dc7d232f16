/** Called when a connection begins to wait for its tunnel; what it gives is called when the wait is over. */
export type BeginWait = () => () => void

/** Calls `say` when a connection has waited for `afterMs` while no other one is known to: once, however many wait. */
export const waitingLine = (say: () => void, afterMs: number): BeginWait => {
  let slow = 0
  return () => {
    let isSlow = false
    const timer = setTimeout(() => {
      isSlow = true
      slow += 1
      if (slow === 1) say()
    }, afterMs)
    return () => {
      clearTimeout(timer)
      if (isSlow) slow -= 1
      isSlow = false
    }
  }
}
