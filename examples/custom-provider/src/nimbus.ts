import {
  MachineNotRunning,
  MachineStarting,
  ProviderRateLimited,
  ProviderUnavailable,
} from "@project-ingress/providers"
import type { Machine, MachineProvider, MachineState } from "@project-ingress/providers"
import { machineRef, retryAfterMs, vendorApi } from "@project-ingress/providers/adapter"
import * as Schema from "effect/Schema"

export interface NimbusOptions {
  /** Is sent to the API and to the edge. */
  readonly apiKey: string
  /** The vendor's API. Default `https://api.nimbus.example`. */
  readonly apiBase?: string
  /** Sends requests to the API. Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
}

const NimbusMachine = Schema.Struct({
  state: Schema.Literals(["running", "booting", "stopped"]),
  url: Schema.String,
  bootId: Schema.String,
})

const states: Record<typeof NimbusMachine.Type.state, MachineState> = {
  running: "running",
  booting: "starting",
  stopped: "stopped",
}

/**
 * Machines of Nimbus. Each has an address of its own, whose edge requires the API key in `Authorization`.
 *
 * @throws {TypeError} for an invalid `apiKey` or `apiBase`
 */
export const nimbus = (options: NimbusOptions): MachineProvider => {
  const { apiKey, apiBase = "https://api.nimbus.example", fetch } = options
  const headers = { authorization: `Bearer ${apiKey}` }
  const api = vendorApi({ apiBase, secrets: { apiKey }, headers, fetch })
  const path = (machine: Machine) => `/v1/machines/${encodeURIComponent(machine.externalId)}` as const

  return {
    type: "nimbus",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      wake: "start",
      ports: "any",
      // The edge reads this header itself, so the client's own is tunnelled.
      interceptedHeaders: ["authorization"],
    },
    async resolve(machine, { signal }) {
      const response = await api.request(machine, { path: path(machine), signal })
      const { state, url, bootId } = response.decode(NimbusMachine)
      if (state === "booting") throw new MachineStarting({ ...machineRef(machine), retryAfterMs: 1_000 })
      if (state === "stopped") throw new MachineNotRunning({ ...machineRef(machine), state })
      return { origin: url, headers, epoch: bootId, ttlMs: 30_000 }
    },
    async status(machine, { signal }) {
      const response = await api.request(machine, { path: path(machine), signal })
      const { state } = response.decode(NimbusMachine)
      return { state: states[state], detail: state }
    },
    async start(machine, { signal }) {
      const response = await api.request(machine, { method: "POST", path: `${path(machine)}/start`, signal })
      if (!response.ok) throw response.failure()
    },
    // Called only for responses that are not the machine's.
    classify({ status, header }, machine) {
      if (status === 401) return "refresh-credentials"
      if (status === 429) {
        return new ProviderRateLimited({ ...machineRef(machine), retryAfterMs: retryAfterMs(header("retry-after")) })
      }
      return status >= 502
        ? "check-status"
        : new ProviderUnavailable({ ...machineRef(machine), reason: `HTTP ${status}` })
    },
  }
}
