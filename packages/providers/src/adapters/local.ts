import { A_PUBLIC_KEY_PIN, isPublicKeyPin } from "@project-ingress/forward/internal"
import { checkAddressOptions } from "../contract/address-options.ts"
import type { AddressOptions } from "../contract/address-options.ts"
import { MachineRecordInvalid, machineRef } from "../contract/errors.ts"
import type { Machine, MachineProvider } from "../contract/machine-provider.ts"

/** Which addresses the records may name. Default: loopback and public ones; `allowCidrs` adds more. */
export type LocalOptions = AddressOptions

/** This host alone. */
const LOOPBACK = ["127.0.0.0/8", "::1/128"]

/**
 * Machines that need no provider: a machine proxy on a host and port that this process can reach. Runs everywhere; on Workers
 * a name must be in `allowHosts`.
 *
 * Metadata: `port`, 1 to 65535; `host`, default `127.0.0.1`; `epoch`, any text that changes when another proxy takes its
 * place, default constant; `pin`, where it speaks TLS itself: what its command `pin` prints.
 *
 * @throws {TypeError} naming the option that is unknown or invalid
 * @example
 * local()
 * { id: "mach_1", type: "local", externalId: "dev", metadata: { port: 8080 } }
 */
export const local = (options: LocalOptions = {}): MachineProvider => {
  const addresses = checkAddressOptions("local", options, { always: LOOPBACK })
  return {
    type: "local",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      carries: { trailers: true, duplex: true },
      wake: "none",
      ports: "any",
      interceptedHeaders: [],
    },
    async resolve(machine) {
      const { host, port, epoch, pin } = decode(machine)
      const origin = `${pin === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`
      if (!URL.canParse(origin)) throw invalid(machine, "host", A_HOST)
      const allowed = addresses.allowed(origin, machine, "host")
      return { origin: allowed, addresses: addresses.rule, pin, epoch, ttlMs: 60_000 }
    },
  }
}

const A_HOST = "a hostname or an IP address"

// By hand: for four fields a Schema would cost a Worker 14 kB of its bundle.
const decode = (
  machine: Machine,
): { readonly host: string; readonly port: number; readonly epoch: string; readonly pin: string | undefined } => {
  const { host = "127.0.0.1", port, epoch = "", pin } = machine.metadata
  // A name, an IPv4 or an IPv6 address without brackets.
  if (typeof host !== "string" || !/^[A-Za-z0-9._:-]{1,253}$/.test(host)) throw invalid(machine, "host", A_HOST)
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw invalid(machine, "port", "an integer from 1 to 65535")
  }
  if (typeof epoch !== "string") throw invalid(machine, "epoch", "a string")
  if (pin !== undefined && !isPublicKeyPin(pin)) throw invalid(machine, "pin", A_PUBLIC_KEY_PIN)
  return { host, port, epoch, pin }
}

const invalid = (machine: Machine, field: string, accepted: string): MachineRecordInvalid =>
  new MachineRecordInvalid({ ...machineRef(machine), field, accepted })
