import { LawBroken } from "../claim.ts"
import type { LawContext } from "./law-context.ts"

/** One claim about every registry, and how it is tested. */
export interface Law {
  /** One sentence in the present tense: the name of its test. */
  readonly claim: string
  /** Throws, or rejects, when the registry breaks the law. */
  readonly check: (context: LawContext) => Promise<void>
}

export const law = (claim: string, check: Law["check"]): Law => ({ claim, check })

/** Checks a law in each of several cases, of which the first value is said when it does not hold. */
export const inEachCase = async <Case>(cases: readonly Case[], check: (one: Case) => Promise<void>): Promise<void> => {
  for (const one of cases) {
    try {
      await check(one)
    } catch (cause) {
      const [name] = Array.isArray(one) ? (one as readonly unknown[]) : [one]
      throw new LawBroken(
        `in the case ${JSON.stringify(name)}: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          cause,
        },
      )
    }
  }
}
