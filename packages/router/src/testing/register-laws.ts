import type { TestRunner } from "@project-ingress/providers/testing"
import { LawBroken, NotApplicable } from "./claim.ts"

/** Which laws were registered, and how. */
export interface SuiteReport<Name extends string> {
  /** Laws that are checked. */
  readonly tried: readonly Name[]
  /** Laws that are skipped, each with the reason. */
  readonly skipped: Partial<Readonly<Record<Name, string>>>
}

/** Registers one test for each law, which are checked one after the other. `suite`: the function that was called, for messages. */
export const registerLaws = <Name extends string>(
  suite: string,
  test: TestRunner,
  laws: Readonly<Record<Name, { readonly claim: string; readonly check: () => Promise<void> }>>,
  { skip, lawTimeoutMs }: { readonly skip: Partial<Readonly<Record<Name, string>>>; readonly lawTimeoutMs: number },
): SuiteReport<Name> => {
  for (const [name, reason] of Object.entries<string | undefined>(skip)) {
    if (!Object.hasOwn(laws, name)) throw new TypeError(`${suite}: skip: there is no law ${JSON.stringify(name)}`)
    if (typeof reason !== "string" || reason.trim() === "") {
      throw new TypeError(`${suite}: skip: ${name} needs a reason`)
    }
  }
  const tried: Name[] = []
  const skipped: Partial<Record<Name, string>> = {}
  let previous: Promise<unknown> = Promise.resolve()
  for (const name of Object.keys(laws) as Name[]) {
    const { claim, check } = laws[name]
    const title = `${name}: ${claim}`
    const reason = skip[name]
    if (reason === undefined) {
      tried.push(name)
      test(title, async (...args: unknown[]) => {
        // A runner that starts all tests at once must not run two laws on the same rows.
        const checked = previous.then(() => within(lawTimeoutMs, check(), name))
        previous = checked.catch(() => {})
        try {
          await checked
        } catch (cause) {
          if (!(cause instanceof NotApplicable)) throw cause
          skipTest(args, cause.message)
        }
      })
    } else {
      skipped[name] = reason
      ;(test.skip ?? test)(`${title} (skipped: ${reason})`, async (...args: unknown[]) => skipTest(args, reason))
    }
  }
  return { tried, skipped }
}

/** Vitest and node:test give each test a context that can skip it for a reason. */
const skipTest = ([context]: readonly unknown[], reason: string): void =>
  (context as { skip?: (reason: string) => void } | undefined)?.skip?.(reason)

/** Rejects when the promise takes longer than so many ms. */
const within = async (ms: number, work: Promise<void>, name: string): Promise<void> => {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new LawBroken(`${name}: nothing within ${ms} ms`)), ms)
  try {
    await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}
