import { checkAddressOptions } from "../contract/address-options.ts"
import type { AddressOptions } from "../contract/address-options.ts"
import { MachineRecordInvalid, machineRef } from "../contract/errors.ts"
import type { Machine, MachineProvider } from "../contract/machine-provider.ts"
import { AN_ORIGIN, isOrigin } from "../contract/origin.ts"

/** Which addresses the records may name. Default: public ones only. */
export type UpstreamOptions = AddressOptions

/**
 * An app's own address, with no machine proxy there: a server's private address, a container, a device of a tailnet, an external site.
 * The app gets no ticket and no other field of ours, and every response is its own. Runs everywhere; on Workers a name must be
 * in `allowHosts`. Redirects are passed on and never followed.
 *
 * Metadata: `origin`, `http://` or `https://` with a host and perhaps a port. Without a port every port of the host can be
 * reached, the one that the route wants: `http://10.0.0.5`. With one it is the only one, and every port of the route leads
 * there: `http://10.0.0.5:3000`, `https://www.example.com:443`. `epoch`: any text that changes when another app takes the
 * address over, default constant.
 *
 * @throws {TypeError} naming the option that is unknown or invalid
 * @example
 * upstream({ allowCidrs: ["10.0.0.0/8"] })
 * { id: "mach_1", type: "upstream", externalId: "vm-1", metadata: { origin: "http://10.0.0.5" } }
 */
export const upstream = (options: UpstreamOptions = {}): MachineProvider => {
  const addresses = checkAddressOptions("upstream", options)
  return {
    type: "upstream",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      carries: { trailers: true, duplex: true },
      wake: "none",
      // A record without a port has an endpoint per port. They cost no call of anybody.
      ports: "declared",
      interceptedHeaders: [],
    },
    async resolve(machine, { port }) {
      const { origin, epoch } = decode(machine)
      // A URL drops the default port of its scheme, so the text says whether one was named.
      const text = /:\d+$/.test(origin) ? origin : `${origin}:${port}`
      const allowed = addresses.allowed(text, machine, "origin")
      return { origin: allowed, machineProxy: false, addresses: addresses.rule, epoch, ttlMs: 60_000 }
    },
  }
}

// By hand: for two fields a Schema would cost a Worker 14 kB of its bundle.
const decode = (machine: Machine): { readonly origin: string; readonly epoch: string } => {
  const { origin, epoch = "" } = machine.metadata
  if (!isOrigin(origin) || origin.endsWith(":")) throw invalid(machine, "origin", AN_ORIGIN)
  if (typeof epoch !== "string") throw invalid(machine, "epoch", "a string")
  return { origin, epoch }
}

const invalid = (machine: Machine, field: string, accepted: string): MachineRecordInvalid =>
  new MachineRecordInvalid({ ...machineRef(machine), field, accepted })
