/** UDP between clients and apps, on Node, Bun and Deno: datagrams by flow, in bounded memory. */
export { createDatagramEngine } from "./datagrams/datagram-engine.ts"
export { defaultDatagramLimits } from "./datagrams/limits.ts"
export type { DatagramLimits } from "./datagrams/limits.ts"
export { udpChannel } from "./datagrams/udp-channel.ts"
export type { UdpAddress } from "./datagrams/udp-channel.ts"
export type {
  ChannelEvents,
  DatagramChannel,
  DatagramEngine,
  DatagramEngineOptions,
  DatagramEvent,
  FlowEvent,
  FlowOutcome,
  FlowsLimitedEvent,
  NewFlow,
  OpenChannel,
} from "./datagrams/contract.ts"
