/**
 * Proves a provider. The suite receives the caller's `test` and a fixture: a machine that runs, and whatever can be done to
 * it. Every law is one test; those that the fixture cannot try say so.
 */
export { appSource, conformanceApp } from "./testing/app.ts"
export type { AppRequest, AppResponse, AppSocket, ConformanceApp } from "./testing/app.ts"
export type { Fixture, Undo } from "./testing/fixture.ts"
export { startMachine } from "./testing/process.ts"
export type { ProcessMachine, ProcessMachineOptions } from "./testing/process.ts"
export { laws, providerSuite } from "./testing/suite.ts"
export type { LawName, SuiteOptions, SuiteReport, TestRunner } from "./testing/suite.ts"
