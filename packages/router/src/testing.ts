/**
 * Conformance suites for what others implement. Each takes the caller's `test` and a fixture; every law is one test, and has a name
 * by which it can be skipped with a reason.
 */
export type { TestRunner } from "@project-ingress/providers/testing"
export type { SuiteReport } from "./testing/register-laws.ts"
export type { AnyRegistry, RegistryFixture, TestedOptions } from "./testing/registry/registry-fixture.ts"
export { registryLaws, routeRegistrySuite } from "./testing/registry/suite.ts"
export type { RegistryLawName, RegistrySuiteOptions } from "./testing/registry/suite.ts"
export { damagedEntries, damagedText } from "./testing/store/damaged-entries.ts"
export type { Damage, EntryTexts } from "./testing/store/damaged-entries.ts"
export { faultySource } from "./testing/store/faulty-source.ts"
export type { FaultySource, SourceFault } from "./testing/store/faulty-source.ts"
export type {
  BeginFault,
  DamageEntry,
  StoreFault,
  StoreFaults,
  StoreFixture,
  Undo,
} from "./testing/store/store-fixture.ts"
export { routeStoreSuite, storeLaws } from "./testing/store/suite.ts"
export type { StoreLawName, StoreSuiteOptions } from "./testing/store/suite.ts"
export { FaultyKv } from "./testing/faulty-kv.ts"
export type { KvFault, KvKeys, KvMethod, KvPlace, KvWrite } from "./testing/faulty-kv.ts"
