import { startDeadline } from "@project-ingress/forward/internal"

/** A call to a place that takes longer counts as failed, in ms. */
const TIMEOUT_MS = 10_000

/** Rejects where a call hangs. What it has begun may still happen later. */
export const withinTime = async <A>(call: PromiseLike<A>): Promise<A> => {
  const { promise, reject } = Promise.withResolvers<never>()
  const settled = startDeadline(TIMEOUT_MS, () =>
    reject(new DOMException(`no result within ${TIMEOUT_MS} ms`, "TimeoutError")),
  )
  try {
    return await Promise.race([call, promise])
  } finally {
    settled()
  }
}
