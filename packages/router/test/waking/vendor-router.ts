/** A router whose machines are a vendor's: the project `slow-1` has the machine `slow-1`. Runs in Workers as well. */
import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { MachineNotRunning } from "@project-ingress/providers"
import { createRouter } from "../../src/router.ts"
import type { Router, RouterOptions } from "../../src/router.ts"

export const vendorRouter = (vendor: string, signingKey: SigningKey, options: Partial<RouterOptions> = {}): Router => {
  const call = async (
    name: string,
    machine: { readonly type: string; readonly externalId: string },
    signal: AbortSignal,
  ) => {
    const response = await fetch(`${vendor}/vendor/${name}/${machine.externalId}`, { signal })
    await response.arrayBuffer()
    if (!response.ok)
      throw new MachineNotRunning({ provider: machine.type, machine: machine.externalId, state: "stopped" })
  }
  return createRouter({
    grammar: defineGrammar({ domains: ["localhost"] }),
    store: {
      get: (key) => {
        const id = key.slice(2)
        const machine = { id: `mach_${id}`, type: "vendor", externalId: id, metadata: {} }
        return { status: "hit", record: { kind: "machine", version: 1, epoch: 1, machine } }
      },
    },
    providers: [
      {
        type: "vendor",
        capabilities: { runtimes: ["workerd"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
        resolve: async (machine, { signal }) => {
          await call("resolve", machine, signal)
          return { origin: vendor, epoch: "1", ttlMs: 60_000 }
        },
        status: async (machine, { signal }) => {
          try {
            await call("status", machine, signal)
            return { state: "running" }
          } catch (cause) {
            if (cause instanceof MachineNotRunning) return { state: "stopped" }
            throw cause
          }
        },
        start: (machine, { signal }) => call("start", machine, signal),
      },
    ],
    signingKey,
    unprovenMachines: true,
    ...options,
  })
}
