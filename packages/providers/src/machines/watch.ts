import * as Effect from "effect/Effect"
import type { MachineChange, MachineProvider } from "../contract/machine-provider.ts"

/** Between two watches, in ms: a provider that ended one may be gone for a while. */
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 30_000

/**
 * Follows what a provider tells of its machines until it is interrupted. A watch that ends is begun anew, after a pause that
 * doubles as long as nothing is told. Never fails: changes are a hint, and who misses one finds out by its request.
 */
export const follow = (provider: MachineProvider, told: (change: MachineChange) => void): Effect.Effect<never> =>
  Effect.gen(function* () {
    let pause = FIRST_PAUSE_MS
    const once = Effect.tryPromise(async (signal) => {
      for await (const change of provider.watch!({ signal })) {
        // A watch that does not heed its signal is left at its next word.
        if (signal.aborted) return
        pause = FIRST_PAUSE_MS
        told(change)
      }
    })
    for (;;) {
      yield* Effect.ignore(once)
      yield* Effect.sleep(pause * (0.75 + Math.random() / 2))
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
    }
  })
