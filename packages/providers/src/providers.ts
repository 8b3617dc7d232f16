/**
 * Sends requests to machines, whoever runs them. A provider says where a machine's proxy listens, as data; caching, retries,
 * starting a machine and what a failure means are decided here once for all of them.
 */
export type { AddressRule } from "@project-ingress/forward/internal"
export {
  isProviderError,
  MachineMismatch,
  MachineNotFound,
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStartFailed,
  MachineStarting,
  MachineUnproven,
  PortClosed,
  ProviderAuth,
  ProviderRateLimited,
  ProviderUnavailable,
  UpstreamFailed,
  UpstreamTimeout,
} from "./contract/errors.ts"
export type { ProviderError } from "./contract/errors.ts"
export type {
  Capabilities,
  Endpoint,
  Machine,
  MachineChange,
  MachineProvider,
  MachineState,
  MachineStatus,
  PlatformResponse,
  Verdict,
} from "./contract/machine-provider.ts"
export type { AttemptRequest, AttemptResponse, ReachedResponse } from "./machines/attempt-request.ts"
export type { MachinesEvent, ProofEvent, ProviderEvent, WakeEvent } from "./machines/background-events.ts"
export { makeMachines } from "./machines/machines.ts"
export type { Machines } from "./machines/machines.ts"
export type { MachinesOptions } from "./machines/machines-options.ts"
export type { ReadinessProbe } from "./machines/readiness-probe.ts"
export { HandshakeRefused, machineFetcher } from "./transport/machine-fetcher.ts"
export type { FetcherOptions, MachineFetcher, MachineSocket } from "./transport/machine-fetcher.ts"
