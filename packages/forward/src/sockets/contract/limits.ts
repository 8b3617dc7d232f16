import type { Limits } from "./contract.ts"

/** The bounds that hold unless told otherwise. The reasons stand at each field of `Limits`. */
export const defaultLimits: Limits = {
  headersTimeoutMs: 15_000,
  bodyIdleTimeoutMs: 60_000,
  keepAliveTimeoutMs: 75_000,
  connectTimeoutMs: 1_000,
  upstreamHeadersTimeoutMs: 0,
  upstreamIdleTimeoutMs: 300_000,
  poolIdleTimeoutMs: 4_000,
  tunnelIdleTimeoutMs: 0,
  tunnelLingerMs: 30_000,
  lingerMs: 2_000,
  maxRequestHead: 65_536,
  maxResponseHead: 65_536,
  maxFields: 1_000,
  maxTarget: 32_768,
  maxChunkOverhead: 16_384,
  maxInterim: 16,
  maxConnections: 10_000,
  maxConnectionsPerPool: 1_024,
  maxRequestsPerConnection: 1_000,
  maxPools: 256,
}
