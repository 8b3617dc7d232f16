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
} from "./contract/errors.ts"
export type { ProviderError } from "./contract/errors.ts"
export { providerErrors } from "./contract/error-rows.ts"
export { bodyOf, fetchTransport, withoutEdgeCookies } from "./transport/fetch-response.ts"
export { HandshakeRefused, machineFetcher } from "./transport/machine-fetcher.ts"
export type { FetcherOptions, MachineFetcher, MachineSocket } from "./transport/machine-fetcher.ts"
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
export { makeMachines } from "./machines/machines.ts"
export type { Machines, MachinesOptions } from "./machines/machines.ts"
export type { AttemptResponse, AttemptRequest } from "./machines/attempt-request.ts"
export { encapsulateHeaders } from "./transport/edge-headers.ts"
export type { ReadinessProbe } from "./machines/waker.ts"
