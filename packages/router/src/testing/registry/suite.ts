import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { TestRunner } from "@project-ingress/providers/testing"
import { lawContext } from "./law-context.ts"
import type { Law } from "./law.ts"
import { changes } from "./laws/changes.ts"
import { domains } from "./laws/domains.ts"
import { machines } from "./laws/machines.ts"
import { names } from "./laws/names.ts"
import { ownership } from "./laws/ownership.ts"
import { projects } from "./laws/projects.ts"
import { races } from "./laws/races.ts"
import { regions } from "./laws/regions.ts"
import { references } from "./laws/references.ts"
import { requests } from "./laws/requests.ts"
import type { RegistryFixture } from "./registry-fixture.ts"
import { registerLaws } from "../register-laws.ts"
import type { SuiteReport } from "../register-laws.ts"

const laws = {
  ...projects,
  ...machines,
  ...regions,
  ...names,
  ...domains,
  ...ownership,
  ...requests,
  ...references,
  ...changes,
  ...races,
} satisfies Record<string, Law>

/** The stable name of a law of registries: `rename.quarantine`. */
export type RegistryLawName = keyof typeof laws

/** Every law's claim by its name. */
export const registryLaws: Readonly<Record<RegistryLawName, string>> = Object.fromEntries(
  Object.entries(laws).map(([name, { claim }]) => [name, claim]),
) as Record<RegistryLawName, string>

/** Options of {@link routeRegistrySuite}. */
export interface RegistrySuiteOptions {
  /** Laws that this registry does not keep, each with the reason. */
  readonly skip?: Partial<Readonly<Record<RegistryLawName, string>>>
  /** How long one law may take, in ms. Default 60 000. */
  readonly lawTimeoutMs?: number
  /** How many writers do the same at once in the laws `race.…`, 30 or more. Default 30. */
  readonly writers?: number
}

/**
 * The conformance suite of registries: registers one test for each law in the caller's runner. What the fixture opened is the
 * caller's to close, after the tests. The laws are checked one after the other, in any runner, each on an empty registry.
 *
 * Throws a `TypeError` when an option is unknown or invalid, or `skip` names no law or gives no reason.
 *
 * @example
 * routeRegistrySuite(it, { open: (options) => myRegistry(client, options), empty: () => client.clear(), notifies: false })
 */
export const routeRegistrySuite = (
  test: TestRunner,
  fixture: RegistryFixture,
  options: RegistrySuiteOptions = {},
): SuiteReport<RegistryLawName> => {
  checkOptions("routeRegistrySuite", options, {
    skip: accept.object,
    lawTimeoutMs: accept.number(1),
    writers: accept.integer(30),
  })
  checkOptions("routeRegistrySuite", fixture, fixtureChecks, { required: ["open", "empty", "notifies"], at: "fixture" })
  const { skip = {}, lawTimeoutMs = 60_000, writers = 30 } = options
  const context = lawContext(fixture, writers)
  const checks = Object.fromEntries(
    Object.entries<Law>(laws).map(([name, { claim, check }]) => [name, { claim, check: () => check(context) }]),
  ) as Record<RegistryLawName, { readonly claim: string; readonly check: () => Promise<void> }>
  return registerLaws("routeRegistrySuite", test, checks, { skip, lawTimeoutMs })
}

const fixtureChecks = { open: accept.function, empty: accept.function, notifies: accept.boolean }
