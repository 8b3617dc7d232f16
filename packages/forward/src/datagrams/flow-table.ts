import { clientNetwork } from "../address.ts"
import type { Flow } from "./flow.ts"
import type { DatagramLimits } from "./limits.ts"

/** From which part of `maxFlows` on flows are kept for less time. */
const CROWDED = 0.9

/** How long a flow whose app is gone is kept, in ms: the app may be back by then. */
const FAILED_MS = 1_000

/** The flows that there are, by their key and by their client: bounded, and nobody's takes the place of somebody else's. */
export class FlowTable {
  readonly #limits: DatagramLimits
  readonly #flows = new Map<string, Flow>()
  readonly #keys = new Map<Flow, string>()
  readonly #byClient = new Map<string, Set<Flow>>()
  #unconfirmed = 0

  constructor(limits: DatagramLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#flows.size
  }

  get(key: string): Flow | undefined {
    return this.#flows.get(key)
  }

  /** Which limit a client's further flow would exceed, after the one of its own that was quiet for longest has made room. */
  makeRoom(remoteAddress: string): "maxFlows" | "maxUnconfirmedFlows" | undefined {
    const own = this.#byClient.get(clientNetwork(remoteAddress))
    if (own !== undefined && own.size >= this.#limits.maxFlowsPerClient) {
      let quietest: Flow | undefined
      for (const flow of own) if (quietest === undefined || flow.lastAt < quietest.lastAt) quietest = flow
      quietest?.end("replaced")
    }
    if (this.#flows.size >= this.#limits.maxFlows) return "maxFlows"
    return this.#unconfirmed >= this.#limits.maxUnconfirmedFlows ? "maxUnconfirmedFlows" : undefined
  }

  add(key: string, flow: Flow): void {
    this.#flows.set(key, flow)
    this.#keys.set(flow, key)
    this.#unconfirmed++
    const client = clientNetwork(flow.remoteAddress)
    const own = this.#byClient.get(client)
    if (own === undefined) this.#byClient.set(client, new Set([flow]))
    else own.add(flow)
  }

  /** A flow that was added is confirmed from now on. */
  onConfirmed(): void {
    this.#unconfirmed--
  }

  remove(flow: Flow): void {
    const key = this.#keys.get(flow)
    if (key === undefined) return
    this.#keys.delete(flow)
    this.#flows.delete(key)
    if (!flow.confirmed) this.#unconfirmed--
    const client = clientNetwork(flow.remoteAddress)
    const own = this.#byClient.get(client)
    own?.delete(flow)
    if (own?.size === 0) this.#byClient.delete(client)
  }

  /** Ends what was quiet for too long by now. */
  sweep(now: number): void {
    const { idleMs, crowdedIdleMs, maxFlows } = this.#limits
    const most = this.#flows.size >= maxFlows * CROWDED ? Math.min(idleMs, crowdedIdleMs) : idleMs
    for (const flow of this.#keys.keys()) {
      const kept = flow.dead === undefined ? most : flow.dead === "failed" ? FAILED_MS : Math.min(most, crowdedIdleMs)
      if (now - flow.lastAt >= kept) flow.end("idle")
    }
  }

  /** Ends what leads nowhere. */
  endDead(): void {
    for (const flow of this.#keys.keys()) if (flow.dead !== undefined) flow.end("idle")
  }

  endAll(): void {
    for (const flow of this.#keys.keys()) flow.end("stopped")
  }
}
