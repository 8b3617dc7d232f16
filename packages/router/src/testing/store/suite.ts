import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { TestRunner } from "@project-ingress/providers/testing"
import { registerLaws } from "../register-laws.ts"
import type { SuiteReport } from "../register-laws.ts"
import { damage } from "./laws/damage.ts"
import { faults } from "./laws/faults.ts"
import { names } from "./laws/names.ts"
import { records } from "./laws/records.ts"
import { use } from "./laws/use.ts"
import { storeContext } from "./store-context.ts"
import type { StoreFault, StoreFixture } from "./store-fixture.ts"
import type { StoreLaw, StoreNeed } from "./store-law.ts"

const laws = { ...records, ...names, ...use, ...faults, ...damage } satisfies Record<string, StoreLaw>

/** The stable name of a law of route stores: `miss.removed`. */
export type StoreLawName = keyof typeof laws

/** Every law's claim by its name. */
export const storeLaws: Readonly<Record<StoreLawName, string>> = Object.fromEntries(
  Object.entries(laws).map(([name, { claim }]) => [name, claim]),
) as Record<StoreLawName, string>

/** Options of {@link routeStoreSuite}. */
export interface StoreSuiteOptions {
  /** Laws that this store does not keep, each with the reason. */
  readonly skip?: Partial<Readonly<Record<StoreLawName, string>>>
  /** How long one law may take, in ms. Default 60 000. */
  readonly lawTimeoutMs?: number
  /** How long a look-up may take until it counts as unknown, in ms. Default 5 000, as in a router. */
  readonly lookupTimeoutMs?: number
}

/**
 * The conformance suite of route stores: registers one test for each law in the caller's runner. What the source has open is the
 * caller's to close, after the tests. The laws are checked one after the other, in any runner, each on a store of its own.
 *
 * Throws a `TypeError` when an option or a field of the fixture is unknown or invalid, or `skip` names no law or gives no reason.
 *
 * @example
 * routeStoreSuite(it, { open: () => myStore(query), put: (key, record) => insert(key, record), remove: (key) => erase(key) })
 */
export const routeStoreSuite = (
  test: TestRunner,
  fixture: StoreFixture,
  options: StoreSuiteOptions = {},
): SuiteReport<StoreLawName> => {
  checkOptions("routeStoreSuite", options, {
    skip: accept.object,
    lawTimeoutMs: accept.number(1),
    lookupTimeoutMs: accept.number(1),
  })
  checkOptions("routeStoreSuite", fixture, fixtureChecks, { required: ["open", "put", "remove"], at: "fixture" })
  checkOptions("routeStoreSuite", fixture.faults ?? {}, faultChecks, { at: "fixture.faults" })
  const { skip = {}, lawTimeoutMs = 60_000, lookupTimeoutMs = 5_000 } = options
  // Keys of another run on the same source are not those of this one.
  const run = `t${Math.random().toString(36).slice(2, 8)}`
  const skipped: Record<string, string> = {}
  for (const [name, { needs }] of Object.entries<StoreLaw>(laws)) {
    const missing = needs.find((need) => !has(fixture, need))
    if (missing !== undefined) skipped[name] = `the fixture has no ${missing}`
  }
  const checks = Object.fromEntries(
    Object.entries<StoreLaw>(laws).map(([name, { claim, check }], nth) => [
      name,
      {
        claim,
        check: async () => {
          const context = storeContext(fixture, lookupTimeoutMs, `${run}-${nth}`)
          try {
            await check(context)
          } finally {
            await context.close()
          }
        },
      },
    ]),
  ) as Record<StoreLawName, { readonly claim: string; readonly check: () => Promise<void> }>
  return registerLaws("routeStoreSuite", test, checks, { skip: { ...skipped, ...skip }, lawTimeoutMs })
}

const has = ({ faults, reads }: StoreFixture, need: StoreNeed): boolean =>
  need === "reads" ? reads !== undefined : faults?.[need.slice("faults.".length) as StoreFault] !== undefined

const fixtureChecks = {
  open: accept.function,
  put: accept.function,
  remove: accept.function,
  settle: accept.function,
  faults: accept.object,
  reads: accept.function,
}
const faultChecks: Readonly<Record<StoreFault, typeof accept.function>> = {
  error: accept.function,
  hang: accept.function,
  slow: accept.function,
  flapping: accept.function,
  stale: accept.function,
  reordered: accept.function,
  corrupt: accept.function,
  truncated: accept.function,
  foreign: accept.function,
}
