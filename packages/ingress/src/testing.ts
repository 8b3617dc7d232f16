/**
 * Conformance suites for what others implement. Each takes the caller's `test` and a fixture; every law is one test, and has a name
 * by which it can be skipped with a reason.
 *
 * @module
 */
export { ingressStorageSuite, storageLaws } from "./testing/storage/suite.ts"
export type { StorageLawName, StorageSuiteOptions } from "./testing/storage/suite.ts"
export type { StorageFixture } from "./testing/storage/storage-law.ts"
export type { FrontAsk, FrontCase, FrontExpectation, FrontOutcome, FrontRequest } from "./testing/fronts/front-case.ts"
export { frontCases } from "./testing/fronts/front-cases.ts"
export { frontSuite } from "./testing/fronts/front-suite.ts"
export type { FeatureResult, FrontSuiteOptions, OpenFront } from "./testing/fronts/front-suite.ts"
