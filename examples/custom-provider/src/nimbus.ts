import {
  MachineNotFound,
  MachineNotRunning,
  MachineStarting,
  ProviderAuth,
  ProviderRateLimited,
  ProviderUnavailable,
} from "@project-ingress/providers"
import type { Machine, MachineProvider, MachineState } from "@project-ingress/providers"

export interface NimbusOptions {
  readonly apiKey: string
  /** The vendor's API. Default `https://api.nimbus.example`. */
  readonly api?: string
  readonly fetch?: typeof globalThis.fetch
}

interface NimbusMachine {
  readonly state: "running" | "booting" | "stopped"
  readonly url: string
  readonly bootId: string
}

const states: Record<NimbusMachine["state"], MachineState> = {
  running: "running",
  booting: "starting",
  stopped: "stopped",
}

/** Machines of Nimbus: one address for each, reached with a token, which its edge takes for `Authorization`. */
export const nimbus = (options: NimbusOptions): MachineProvider => {
  const { apiKey, api = "https://api.nimbus.example", fetch = globalThis.fetch } = options
  const authorization = `Bearer ${apiKey}`
  const where = (machine: Machine) => ({ provider: machine.type, machine: machine.externalId })

  const call = async (method: "GET" | "POST", machine: Machine, verb: string, signal: AbortSignal) => {
    const path = `/v1/machines/${encodeURIComponent(machine.externalId)}${verb}`
    const response = await fetch(api + path, { method, headers: { authorization }, signal })
    const { status } = response
    if (response.ok) return (await response.json()) as NimbusMachine
    if (status === 404) throw new MachineNotFound(where(machine))
    if (status === 401 || status === 403) throw new ProviderAuth(where(machine))
    if (status === 429) {
      const seconds = Number(response.headers.get("retry-after")) || 1
      throw new ProviderRateLimited({ ...where(machine), retryAfterMs: seconds * 1_000 })
    }
    throw new ProviderUnavailable({ ...where(machine), reason: `HTTP ${status}` })
  }

  return {
    type: "nimbus",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      wake: "start",
      ports: "any",
      // The edge reads it, so the client's own goes round it.
      eatenHeaders: ["authorization"],
    },
    async resolve(machine, { signal }) {
      const { state, url, bootId } = await call("GET", machine, "", signal)
      if (state === "booting") throw new MachineStarting({ ...where(machine), retryAfterMs: 1_000 })
      if (state === "stopped") throw new MachineNotRunning({ ...where(machine), state })
      return { origin: url, headers: { authorization }, epoch: bootId, cacheForMs: 30_000 }
    },
    async status(machine, { signal }) {
      const { state } = await call("GET", machine, "", signal)
      return { state: states[state], detail: state }
    },
    async start(machine, { signal }) {
      await call("POST", machine, "/start", signal)
    },
    // Only answers that are not the machine's come here.
    classify({ status }, machine) {
      if (status === 401) return "refresh"
      if (status === 429) return new ProviderRateLimited(where(machine))
      return status >= 502 ? "ask-status" : new ProviderUnavailable({ ...where(machine), reason: `HTTP ${status}` })
    },
  }
}
