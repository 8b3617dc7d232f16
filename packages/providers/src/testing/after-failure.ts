import { inTime, LawBroken } from "./assert.ts"
import type { LawContext } from "./context.ts"
import { isReached } from "./machine-actions.ts"

/** Keeps one failure from being reported as that of every later law. */
export interface AfterFailure {
  /** A law failed, and may have left the machine in any state. */
  readonly failed: (law: string) => void
  /**
   * After a failure: restarts the machine if it does not respond. Rejects, with the law that failed, if it still does not, and
   * from then on at once.
   */
  readonly recover: () => Promise<void>
}

export const makeAfterFailure = (context: LawContext): AfterFailure => {
  let failed: string | undefined
  let lost: LawBroken | undefined
  return {
    failed: (law) => void (failed ??= law),
    async recover() {
      if (lost !== undefined) throw lost
      if (failed === undefined) return
      try {
        await inTime(restored(context), "the machine")
      } catch (cause) {
        lost = new LawBroken(
          `not checked, because the machine does not respond since ${failed} failed: ${(cause as Error).message}`,
          { cause },
        )
        throw lost
      }
      failed = undefined
    },
  }
}

const restored = async (context: LawContext): Promise<void> => {
  try {
    await isReached(context)
  } catch (error) {
    if (context.fixture.restart === undefined) throw error
    context.machine = await context.fixture.restart()
    await isReached(context)
  }
}
