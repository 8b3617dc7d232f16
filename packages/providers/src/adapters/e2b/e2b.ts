import { MachineNotFound, MachineNotRunning, ProviderUnavailable, machineRef } from "../../contract/errors.ts"
import { isSecret } from "../../contract/fields.ts"
import type { Endpoint, Machine, MachineProvider, MachineStatus } from "../../contract/machine-provider.ts"
import { DOMAIN, e2bApi, isDomain } from "./api.ts"
import type { E2bOptions } from "./api.ts"
import { classifyEdgeResponse } from "./failure.ts"
import { stateOf, uptimeOf } from "./sandbox.ts"

export type { E2bOptions } from "./api.ts"

/** The machine proxy's port in every sandbox. */
const PROXY_PORT = 8080

/**
 * Sandboxes of E2B. Runs everywhere. `externalId` is a sandbox's id. No metadata.
 *
 * Make sandboxes with `lifecycle: { onTimeout: "pause" }`: a sandbox whose time is over is killed otherwise, and nothing starts
 * it again. One that is used gets more time, up to the longest that the team's plan allows.
 *
 * With `network: { allowPublicTraffic: false }` the edge lets nobody in but with a token, which each endpoint brings along; the
 * token is for all ports of the sandbox. Without it the machine proxy's ticket is the only guard.
 *
 * An endpoint costs one API request and is used for 5 minutes; that of a sandbox without public traffic costs two, of which the
 * second gives it more time. A sandbox that is paused between the two is resumed.
 *
 * @throws {TypeError} for unknown, missing or invalid options, naming the option and what it accepts
 *
 * @example
 * e2b({ apiKey: process.env.E2B_API_KEY })
 */
export const e2b = (options: E2bOptions): MachineProvider => {
  const api = e2bApi(options)
  const { domain = DOMAIN } = options
  const edgeHeaders = async (machine: Machine, signal: AbortSignal): Promise<NonNullable<Endpoint["headers"]>> => {
    const { trafficAccessToken } = await api.connect(machine, signal)
    // One field's value; anything else would become another field, or an error that repeats it.
    if (isSecret(trafficAccessToken)) return { "e2b-traffic-access-token": trafficAccessToken }
    throw invalidResponse(machine)
  }

  return {
    type: "e2b",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      // Not known of E2B's edge.
      carries: { trailers: false, duplex: false },
      wake: "start",
      ports: "any",
      interceptedHeaders,
    },

    async resolve(machine, { signal }): Promise<Endpoint> {
      const sandbox = await api.sandbox(machine, signal)
      const state = stateOf(sandbox)
      if (state === "suspended") throw new MachineNotRunning({ ...machineRef(machine), state: sandbox.state })
      const { domain: own, network } = sandbox
      const base = own === undefined || own === null || own === "" ? domain : own
      if (!isDomain(base)) throw invalidResponse(machine)
      return {
        origin: `https://${PROXY_PORT}-${machine.externalId}.${base}`,
        ...(network?.allowPublicTraffic === false ? { headers: await edgeHeaders(machine, signal) } : {}),
        epoch: sandbox.startedAt,
        ttlMs: 300_000,
        ...uptimeOf(sandbox),
      }
    },

    classify: classifyEdgeResponse,

    async status(machine, { signal }): Promise<MachineStatus> {
      try {
        const sandbox = await api.sandbox(machine, signal)
        return { state: stateOf(sandbox), detail: sandbox.state, ...uptimeOf(sandbox) }
      } catch (error) {
        if (error instanceof MachineNotFound) return { state: "gone" }
        throw error
      }
    },

    async start(machine, { signal }): Promise<void> {
      await api.connect(machine, signal)
    },

    async keepAlive(machine, { signal }): Promise<void> {
      await api.refresh(machine, signal)
    },
  }
}

const invalidResponse = (machine: Machine): ProviderUnavailable =>
  new ProviderUnavailable({ ...machineRef(machine), reason: "invalid response" })

/**
 * `e2b-sandbox-*`: name the sandbox and the port in place of the host, where an edge obeys them. `e2b-traffic-access-token`: a
 * client's own would be tried as the sandbox's. `x-access-token`: the edge sends it to the API when it resumes a sandbox.
 * `user-agent`: for a browser's the edge writes its errors as a page, which says less. `x-forwarded-*`: it adds its own to them.
 */
const interceptedHeaders: readonly string[] = [
  "e2b-sandbox-id",
  "e2b-sandbox-port",
  "e2b-traffic-access-token",
  "x-access-token",
  "user-agent",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
]
