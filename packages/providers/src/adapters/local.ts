import { MachineRecordInvalid } from "../contract/errors.ts"
import type { Machine, MachineProvider } from "../contract/machine-provider.ts"

/**
 * Machines that need no provider: a machine proxy on a host and port that this process can reach. Runs everywhere.
 *
 * Metadata: `port`, 1 to 65535; `host`, default `127.0.0.1`; `epoch`, any text that changes when another proxy takes its
 * place, default constant.
 *
 * @example
 * { id: "mach_1", type: "local", externalId: "dev", metadata: { port: 8080 } }
 */
export const local = (): MachineProvider => ({
  type: "local",
  capabilities: {
    runtimes: ["node", "bun", "deno", "workerd"],
    webSocket: true,
    wake: "none",
    ports: "any",
    interceptedHeaders: [],
  },
  async resolve(machine) {
    const { host, port, epoch } = decode(machine)
    return { origin: `http://${host.includes(":") ? `[${host}]` : host}:${port}`, epoch, ttlMs: 60_000 }
  },
})

interface Place {
  readonly host: string
  readonly port: number
  readonly epoch: string
}

// By hand: for three fields a Schema would cost a Worker 14 kB of its bundle.
const decode = (machine: Machine): Place => {
  const { metadata } = machine
  const host = metadata["host"] ?? "127.0.0.1"
  const port = metadata["port"]
  const epoch = metadata["epoch"] ?? ""
  // A name, an IPv4 or an IPv6 address without brackets; the origin that comes of it is checked once more.
  if (typeof host !== "string" || !/^[A-Za-z0-9._:-]{1,253}$/.test(host)) {
    throw invalid(machine, "host", "a hostname or an IP address")
  }
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw invalid(machine, "port", "an integer from 1 to 65535")
  }
  if (typeof epoch !== "string") throw invalid(machine, "epoch", "a string")
  return { host, port, epoch }
}

const invalid = (machine: Machine, field: string, accepted: string): MachineRecordInvalid =>
  new MachineRecordInvalid({ provider: machine.type, machine: machine.externalId, field, accepted })
