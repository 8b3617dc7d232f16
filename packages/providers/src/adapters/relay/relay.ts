import { SendFailure } from "@project-ingress/forward/fetch"
import { kindOf } from "@project-ingress/forward/internal"
import { MachineRecordInvalid, machineRef } from "../../contract/errors.ts"
import type { MachineProvider } from "../../contract/machine-provider.ts"
import { hosts, OUTCOME } from "./addresses.ts"

/** What is used of the binding of a Durable Object class that extends `RelayObject` of `./relay/object`. */
export interface RelayNamespace {
  getByName(name: string): { fetch(request: Request): Promise<Response> }
}

/**
 * Machines that nobody can connect to, and that dial out to an object of Cloudflare instead: behind NAT, in an office, on a laptop.
 * Runs on Workers only: no URL leads to an object. `externalId` is the machine's id, by which it has connected (`INGRESS_MACHINE`).
 * No metadata. A machine that is not connected is not running; nothing starts it.
 *
 * Give the Worker the compatibility flags `enable_request_signal`, `request_signal_passthrough` and `nodejs_compat`.
 *
 * @throws {TypeError} for a namespace without `getByName`
 *
 * @example
 * relay(env.RELAY)
 */
export const relay = (namespace: RelayNamespace): MachineProvider => {
  if (typeof (namespace as RelayNamespace | undefined)?.getByName !== "function") {
    throw new TypeError(`relay: namespace must be the binding of a Durable Object class, got ${kindOf(namespace)}`)
  }

  const send = async (name: string, request: Request): Promise<Response> => {
    const response = await namespace.getByName(name).fetch(request)
    const outcome = response.headers.get(OUTCOME)
    if (outcome === null) return response
    await response.body?.cancel()
    const cause = Object.assign(new Error(`the relay: ${outcome}`), {
      code: `RELAY_${outcome.toUpperCase().replaceAll("-", "_")}`,
    })
    // The object says it of its own knowledge: only of a request that was lost the machine may have seen something.
    throw outcome === "lost" ? new SendFailure("other", "maybe", cause) : new SendFailure("other", "no", cause)
  }

  return {
    type: "relay",
    capabilities: {
      runtimes: ["workerd"],
      webSocket: true,
      // By the fetch of a Durable Object, which has no trailers.
      carries: { trailers: false, duplex: false },
      wake: "none",
      ports: "any",
      interceptedHeaders: [],
    },

    async resolve(machine) {
      const { externalId } = machine
      if (!/^[!-~]{1,255}$/.test(externalId)) {
        const accepted = "the id by which the machine has connected: 1 to 255 visible ASCII characters"
        throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted })
      }
      return {
        origin: `http://${hosts.requests}`,
        // A stub belongs to the request that made it, as all I/O does in workerd.
        fetch: (request) => send(externalId, request),
        epoch: externalId,
        ttlMs: DAY_MS,
      }
    },

    async status({ externalId }, { signal }) {
      const request = new Request(`http://${hosts.status}/`, { signal })
      const response = await namespace.getByName(externalId).fetch(request)
      const { connected } = (await response.json()) as { readonly connected: boolean }
      return connected ? { state: "running" } : { state: "stopped", detail: "not connected" }
    },
  }
}

const DAY_MS = 86_400_000
