import { startDeadline } from "@project-ingress/forward/internal"

/** Something took longer than its time-out. */
export class TimedOut extends Error {
  // As the web names it.
  override readonly name = "TimeoutError"
}

/** Rejects after so many ms or with the signal, even when `run` obeys no signal. Aborts `run`'s own signal then. */
export const withTimeout = <A>(ms: number, outer: AbortSignal, run: (signal: AbortSignal) => Promise<A>): Promise<A> =>
  new Promise((resolve, reject) => {
    const inner = new AbortController()
    const stop = (reason: unknown): void => {
      cleanUp()
      inner.abort(reason)
      reject(reason)
    }
    const onAbort = (): void => stop(outer.reason)
    const settled = startDeadline(ms, () => stop(new TimedOut(`no result within ${ms} ms`)))
    const cleanUp = (): void => {
      settled()
      outer.removeEventListener("abort", onAbort)
    }
    outer.addEventListener("abort", onAbort, { once: true })
    // A `run` that throws and one that rejects are the same; any thenable counts as a promise.
    new Promise<A>((settle) => settle(run(inner.signal))).finally(cleanUp).then(resolve, reject)
  })
