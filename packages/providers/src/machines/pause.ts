import * as Effect from "effect/Effect"

/** Waits so many ms; its timer ends with its fibre. `Effect.sleep` would bring a Worker 3 kB of durations and their notations. */
export const pause = (ms: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const timer = setTimeout(() => resume(Effect.void), ms)
    return Effect.sync(() => clearTimeout(timer))
  })
