import { startDeadline } from "@project-ingress/forward/internal"
import { LookupFailed } from "../store-health.ts"

/**
 * The result of a call. Rejects when it throws, rejects, or takes longer than `ms`, and with the reason of `wanted` once that is
 * aborted. In the last two cases the call's own signal is aborted, and what comes later is not used, though what it has begun may
 * still happen.
 */
export const within = async <A>(
  ms: number,
  call: (signal: AbortSignal) => A | PromiseLike<A>,
  wanted?: AbortSignal,
): Promise<A> => {
  wanted?.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const controller = new AbortController()
  const abandon = (reason: unknown): void => {
    reject(reason)
    controller.abort(reason)
  }
  const settled = startDeadline(ms, () => abandon(new LookupFailed(`no result within ${ms} ms`)))
  const onAbort = (): void => abandon(wanted?.reason)
  wanted?.addEventListener("abort", onAbort)
  try {
    return await Promise.race([promise, (async () => call(controller.signal))()])
  } finally {
    settled()
    wanted?.removeEventListener("abort", onAbort)
  }
}
