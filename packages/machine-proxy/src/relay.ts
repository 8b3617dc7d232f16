/**
 * Connects a machine proxy to a relay: a Durable Object that sends it requests over a WebSocket that the machine dialled, for a
 * machine that nobody can connect to. On Node.
 *
 * @module
 */
export { connectRelay } from "./relay/connect-relay.ts"
export type { Relay } from "./relay/connect-relay.ts"
export type { RelayEvent } from "./relay/events.ts"
export type { RelayOptions } from "./relay/options.ts"
