import {
  MachineNotFound,
  MachineNotRunning,
  MachineStarting,
  ProviderAuth,
  ProviderUnavailable,
} from "@project-ingress/providers"
import type { Machine, MachineProvider } from "@project-ingress/providers"

export interface NimbusOptions {
  readonly apiKey: string
  /** The vendor's API. Default `https://api.nimbus.example`. */
  readonly api?: string
  readonly fetch?: typeof globalThis.fetch
}

interface NimbusMachine {
  readonly state: "running" | "booting" | "stopped"
  readonly address: string
  readonly bootId: string
}

/** Machines of Nimbus: one HTTPS address for each, reached with a token, which its edge takes for `Authorization`. */
export const nimbus = (options: NimbusOptions): MachineProvider => {
  const { apiKey, api = "https://api.nimbus.example", fetch = globalThis.fetch } = options
  const authorization = `Bearer ${apiKey}`

  const find = async (machine: Machine, signal: AbortSignal): Promise<NimbusMachine> => {
    const where = { provider: "nimbus", machine: machine.externalId }
    const path = `/v1/machines/${encodeURIComponent(machine.externalId)}`
    const response = await fetch(api + path, { headers: { authorization }, signal })
    if (response.status === 404) throw new MachineNotFound(where)
    if (response.status === 401 || response.status === 403) throw new ProviderAuth(where)
    if (!response.ok) throw new ProviderUnavailable({ ...where, reason: `HTTP ${response.status}` })
    return (await response.json()) as NimbusMachine
  }

  return {
    type: "nimbus",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      wake: "none",
      // The edge reads it, so the client's own goes round it.
      ports: "any",
      eatenHeaders: ["authorization"],
    },
    async resolve(machine, { signal }) {
      const found = await find(machine, signal)
      const where = { provider: "nimbus", machine: machine.externalId }
      if (found.state === "booting") throw new MachineStarting({ ...where, retryAfterMs: 2_000 })
      if (found.state === "stopped") throw new MachineNotRunning({ ...where, state: found.state })
      return { origin: `https://${found.address}`, headers: { authorization }, epoch: found.bootId, cacheForMs: 30_000 }
    },
  }
}
