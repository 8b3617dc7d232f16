import type { StoreContext } from "./store-context.ts"
import type { StoreFault } from "./store-fixture.ts"

/** What a law may need of a fixture. */
export type StoreNeed = `faults.${StoreFault}` | "reads"

/** One claim about every route store, and how it is tested. */
export interface StoreLaw {
  /** One sentence in the present tense: the name of its test. */
  readonly claim: string
  readonly needs: readonly StoreNeed[]
  /** Throws, or rejects, when the store breaks the law. */
  readonly check: (context: StoreContext) => Promise<void>
}

export const storeLaw = (claim: string, ...rest: readonly [...StoreNeed[], StoreLaw["check"]]): StoreLaw => {
  const check = rest.at(-1) as StoreLaw["check"]
  return { claim, needs: rest.slice(0, -1) as StoreNeed[], check }
}
