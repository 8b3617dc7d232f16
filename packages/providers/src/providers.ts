/**
 * Reaches a machine wherever it runs. A provider says where a machine's proxy answers, as data; what follows from it, the
 * cache, the second try, the moment a young machine needs and what a failure means, is decided here once for all of them.
 */
export {
  isProviderError,
  MachineMismatch,
  MachineNotFound,
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStarting,
  PortClosed,
  ProviderAuth,
  ProviderRateLimited,
  ProviderUnavailable,
  UpstreamFailed,
  UpstreamTimeout,
} from "./errors.ts"
export type { ProviderError } from "./errors.ts"
export { bodyOf, fetched, withoutEdgeCookies } from "./fetched.ts"
export { HandshakeRefused, machineFetcher } from "./fetcher.ts"
export type { FetcherOptions, MachineFetcher, MachineSocket } from "./fetcher.ts"
export type {
  Capabilities,
  Endpoint,
  Machine,
  MachineChange,
  MachineProvider,
  MachineState,
  MachineStatus,
  PlatformAnswer,
  Verdict,
} from "./machine-provider.ts"
export { makeMachines } from "./reach.ts"
export type { Machines, MachinesOptions } from "./reach.ts"
export type { Received, Sendable } from "./sendable.ts"
export { tunnelHeaders } from "./tunnel.ts"
export type { Knock } from "./wake.ts"
