import { accept, checkOptions, registerLaws } from "@project-ingress/router/internal"
import type { SuiteReport, TestRunner } from "@project-ingress/router/testing"
import { changes } from "./laws/changes.ts"
import { documents } from "./laws/documents.ts"
import { races } from "./laws/races.ts"
import { refusals } from "./laws/refusals.ts"
import type { StorageFixture, StorageLaw } from "./storage-law.ts"

const laws = { ...documents, ...changes, ...refusals, ...races } satisfies Record<string, StorageLaw>

/** The stable name of a law of storages: `changes.follow`. */
export type StorageLawName = keyof typeof laws

/** Every law's claim by its name. */
export const storageLaws: Readonly<Record<StorageLawName, string>> = Object.fromEntries(
  Object.entries(laws).map(([name, { claim }]) => [name, claim]),
) as Record<StorageLawName, string>

/** Options of {@link ingressStorageSuite}. */
export interface StorageSuiteOptions {
  /** Laws that this storage does not keep, each with the reason. */
  readonly skip?: Partial<Readonly<Record<StorageLawName, string>>>
  /** How long one law may take, in ms. Default 60 000. */
  readonly lawTimeoutMs?: number
  /** How many writers do the same at once in the laws `race.…`, 2 to 200. Default 10. */
  readonly writers?: number
}

/**
 * The conformance suite of storages of ingresses: registers one test for each law in the caller's runner. What the fixture opened is
 * the caller's to close, after the tests. The laws are checked one after the other, each on an empty storage.
 *
 * Throws a `TypeError` when an option is unknown or invalid, or `skip` names no law or gives no reason.
 *
 * @example
 * ingressStorageSuite(it, { open: () => myStorage(client), empty: () => client.clear() })
 */
export const ingressStorageSuite = (
  test: TestRunner,
  fixture: StorageFixture,
  options: StorageSuiteOptions = {},
): SuiteReport<StorageLawName> => {
  checkOptions("ingressStorageSuite", options, {
    skip: accept.object,
    lawTimeoutMs: accept.number(1),
    writers: accept.integer(2, 200),
  })
  const fixtureChecks = { open: accept.function, empty: accept.function }
  checkOptions("ingressStorageSuite", fixture, fixtureChecks, { required: ["open", "empty"], at: "fixture" })
  const { skip = {}, lawTimeoutMs = 60_000, writers = 10 } = options
  const open = async () => fixture.open()
  const begun = async ({ check }: StorageLaw) => {
    await fixture.empty()
    await check({ storage: await open(), open, writers })
  }
  const checks = Object.fromEntries(
    Object.entries<StorageLaw>(laws).map(([name, law]) => [name, { claim: law.claim, check: () => begun(law) }]),
  ) as Record<StorageLawName, { readonly claim: string; readonly check: () => Promise<void> }>
  return registerLaws("ingressStorageSuite", test, checks, { skip, lawTimeoutMs })
}
