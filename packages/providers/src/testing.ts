/**
 * The conformance suite for providers. It takes the caller's `test` and a fixture: a running machine, and what can be done to
 * it. Every law is one test; a law that the fixture cannot test is skipped with the reason.
 */
export { appSource, conformanceApp } from "./testing/app.ts"
export type { AppRequest, AppResponse, AppSocket, ConformanceApp } from "./testing/app.ts"
export type { Fixture, FixtureSocket, Undo } from "./testing/fixture.ts"
export { startMachine } from "./testing/process-machine.ts"
export type { ProcessMachine, ProcessMachineOptions } from "./testing/process-machine.ts"
export { edgeHostHeader, throughEdge } from "./testing/through-edge.ts"
export { laws, providerSuite } from "./testing/suite.ts"
export type { LawName, SuiteOptions, SuiteReport, TestRunner } from "./testing/suite.ts"
