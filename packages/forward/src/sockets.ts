/** HTTP/1.1 between sockets, on Node, Bun and Deno: accepts, asks what to do, moves bytes. */
export { createEngine } from "./sockets/engine.ts"
export { defaultLimits } from "./sockets/contract/limits.ts"
export { isForwardDirective } from "./sockets/contract/contract.ts"
export type {
  Engine,
  EngineEvent,
  RequestEvent,
  ExchangeState,
  ForwardDirective,
  UpstreamError,
  IncomingRequest,
  Limits,
  UpstreamAddress,
  Decision,
  EngineOptions,
  ErrorEvent,
} from "./sockets/contract/contract.ts"
