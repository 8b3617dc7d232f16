/** HTTP/1.1 and, from clients, HTTP/2 between sockets, on Node, Bun and Deno: accepts, asks what to do, moves bytes. */
export { createEngine } from "./sockets/engine.ts"
export { defaultLimits } from "./sockets/contract/limits.ts"
export type { Limits } from "./sockets/contract/limits.ts"
export type { Decision, ForwardDirective, TakeOver } from "./sockets/contract/decision.ts"
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
export { createTcpEngine } from "./sockets/tcp/tcp-engine.ts"
export { defaultTcpLimits } from "./sockets/contract/tcp.ts"
export { dialTcp } from "./sockets/tcp/dial.ts"
export type { DialOptions } from "./sockets/tcp/dial.ts"
export { dialTunnel } from "./sockets/tcp/dial-tunnel.ts"
export type { DialedTunnel, TunnelDialOptions } from "./sockets/tcp/dial-tunnel.ts"
export { readClientHello } from "./sockets/tcp/client-hello.ts"
export type { ClientHello, HelloRefusal } from "./sockets/contract/client-hello.ts"
export type { TlsAlert } from "./sockets/tcp/tls-alert.ts"
export { writeProxyHeader } from "./sockets/proxy-protocol/write-proxy-header.ts"
export type { ProxiedConnection } from "./sockets/proxy-protocol/write-proxy-header.ts"
export type {
  ConnectionDecision,
  ConnectionEvent,
  IncomingConnection,
  TcpDrainOptions,
  TcpEngine,
  TcpEngineOptions,
  TcpEvent,
  TcpLimits,
} from "./sockets/contract/tcp.ts"
export { openDatagramTunnel, openTunnel } from "./sockets/tunnel/open-tunnel.ts"
export type { TunnelOptions } from "./sockets/tunnel/open-tunnel.ts"
export type { DatagramEvents, DatagramTunnel } from "./sockets/tunnel/datagram-tunnel.ts"
export { TunnelBroken, TunnelRefused } from "./sockets/tunnel/tunnel-errors.ts"
export { createDatagramEngine } from "./sockets/datagrams/datagram-engine.ts"
export { defaultDatagramLimits } from "./sockets/contract/datagrams.ts"
export { dialUdp } from "./sockets/datagrams/dial-udp.ts"
export type { DialedDatagrams } from "./sockets/datagrams/dial-udp.ts"
export type {
  DatagramEngine,
  DatagramEngineOptions,
  DatagramEvent,
  DatagramLimits,
  DatagramReplies,
  DatagramTarget,
  FlowDecision,
  FlowEvent,
  IncomingFlow,
} from "./sockets/contract/datagrams.ts"
