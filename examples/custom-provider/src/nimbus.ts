import {
  MachineNotRunning,
  MachineStarting,
  ProviderRateLimited,
  ProviderUnavailable,
} from "@project-ingress/providers"
import type { Machine, MachineProvider, MachineState } from "@project-ingress/providers"
import { retryAfterMs, vendorApi, machineRef } from "@project-ingress/providers/adapter"
import * as Schema from "effect/Schema"

export interface NimbusOptions {
  readonly apiKey: string
  /** The vendor's API. Default `https://api.nimbus.example`. */
  readonly apiBase?: string
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

/** Machines of Nimbus: one address for each, reached with a token, which its edge takes for `Authorization`. */
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
      // The edge reads it, so the client's own goes round it.
      interceptedHeaders: ["authorization"],
    },
    async resolve(machine, { signal }) {
      const answer = await api.request(machine, { path: path(machine), signal })
      const { state, url, bootId } = answer.decode(NimbusMachine)
      if (state === "booting") throw new MachineStarting({ ...machineRef(machine), retryAfterMs: 1_000 })
      if (state === "stopped") throw new MachineNotRunning({ ...machineRef(machine), state })
      return { origin: url, headers, epoch: bootId, ttlMs: 30_000 }
    },
    async status(machine, { signal }) {
      const answer = await api.request(machine, { path: path(machine), signal })
      const { state } = answer.decode(NimbusMachine)
      return { state: states[state], detail: state }
    },
    async start(machine, { signal }) {
      const answer = await api.request(machine, { method: "POST", path: `${path(machine)}/start`, signal })
      if (!answer.ok) throw answer.failure()
    },
    // Only answers that are not the machine's come here.
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
