import { startDeadline } from "@project-ingress/forward/internal"
import { LookupFailed } from "../store-health.ts"

/** Rejects when work throws, rejects, or takes longer than `ms`: then its signal is aborted, and what comes later is not used. */
export const within = <A>(ms: number, work: (signal: AbortSignal) => A | PromiseLike<A>): Promise<A> =>
  new Promise((resolve, reject) => {
    const controller = new AbortController()
    const settled = startDeadline(ms, () => {
      const late = new LookupFailed(`no result within ${ms} ms`)
      controller.abort(late)
      reject(late)
    })
    const run = async (): Promise<void> => {
      try {
        resolve(await work(controller.signal))
      } catch (cause) {
        reject(cause)
      } finally {
        settled()
      }
    }
    void run()
  })
