/** HTTP/1.1 between sockets, on Node, Bun and Deno: accepts, asks what to do, moves bytes. */
export { serve } from "./sockets/engine.ts"
export { defaultLimits } from "./sockets/contract/limits.ts"
export { isForward } from "./sockets/contract/contract.ts"
export type {
  Engine,
  EngineEvent,
  ExchangeEvent,
  ExchangeState,
  Forward,
  ForwardFailure,
  InboundRequest,
  Limits,
  Origin,
  Outcome,
  ServeOptions,
  TroubleEvent,
} from "./sockets/contract/contract.ts"
