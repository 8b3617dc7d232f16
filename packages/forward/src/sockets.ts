/** HTTP/1.1 and, from clients, HTTP/2 between sockets, on Node, Bun and Deno: accepts, asks what to do, moves bytes. */
export { createEngine } from "./sockets/engine.ts"
export { defaultLimits } from "./sockets/contract/limits.ts"
export type { Limits } from "./sockets/contract/limits.ts"
export type { Decision, ForwardDirective } from "./sockets/contract/decision.ts"
export type { ConnectionAdmission, DrainOptions, Engine, EngineOptions } from "./sockets/contract/engine.ts"
export type { EngineEvent, ErrorEvent, RequestEvent } from "./sockets/contract/events.ts"
export type {
  MessageConnection,
  RequestMessage,
  RequestMessageHead,
  ResponseMessageHead,
  ResponseSink,
} from "./sockets/contract/message.ts"
export type { IncomingRequest, SendResult } from "./sockets/contract/request.ts"
export { publicKeyPin } from "./sockets/connection/peer-key.ts"
export type { UpstreamAddress, UpstreamError } from "./sockets/contract/upstream.ts"
export type { AddressRule } from "./address.ts"
