import { within } from "../reading/within.ts"

/** A call to a place that takes longer counts as failed, in ms. */
const TIMEOUT_MS = 10_000

/** Rejects where a call hangs. What it has begun may still happen later. */
export const withinTime = <A>(call: PromiseLike<A>): Promise<A> => within(TIMEOUT_MS, () => call)
