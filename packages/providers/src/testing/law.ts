import type { Need } from "./fixture.ts"
import type { LawContext } from "./context.ts"

/** One claim about every provider, and how it is tested. */
export interface Law {
  /** One sentence in the present tense: the name of its test. */
  readonly claim: string
  /** What the fixture or the provider must have; otherwise the law is skipped. */
  readonly needs: readonly Need[]
  /** Throws, or rejects, when the provider breaks the law. */
  readonly check: (context: LawContext) => unknown
}

export const law = (claim: string, needs: readonly Need[], check: Law["check"]): Law => ({ claim, needs, check })
