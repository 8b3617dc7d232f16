/** How late a timer is after a stall and not in a busy event loop, in ms. */
const STALL_MS = 100
/** How much longer than its time a wait may last because of a stall, in ms: several round trips, of a TLS handshake for example. */
export const MAX_GRACE_MS = 1_000

/**
 * `setTimeout` for time-outs: `onOver` is called after `ms`, unless the function that this returns was called before. By then
 * what has arrived was looked at, because timers run before sockets are read. Of a wait that ended in a stall (the process was
 * suspended, or had no CPU) nobody knows whose fault it was: it has as long again as the stall took, at most 1 s.
 */
export const startDeadline = (ms: number, onOver: () => void): (() => void) => {
  const dueAt = performance.now() + ms
  let isSettled = false
  const over = (): void => {
    if (!isSettled) onOver()
  }
  let timer = setTimeout(() => {
    const lateMs = performance.now() - dueAt
    if (lateMs > STALL_MS) timer = setTimeout(() => afterReading(over), Math.min(lateMs, MAX_GRACE_MS))
    else afterReading(over)
  }, ms)
  return () => {
    isSettled = true
    clearTimeout(timer)
  }
}

/** Workers have it only with a compatibility flag. There it is another turn as well. */
const afterReading = (run: () => void): void => {
  if (typeof setImmediate === "function") setImmediate(run)
  else setTimeout(run, 0)
}
