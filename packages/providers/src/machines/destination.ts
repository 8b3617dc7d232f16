import { endpointKey } from "./endpoint-cache.ts"
import type { Machine, MachineProvider } from "../contract/machine-provider.ts"

/** Where a request wants to go: a port of a machine, and the provider that knows where the machine is. */
export interface Destination {
  readonly provider: MachineProvider
  readonly machine: Machine
  /** The port inside, 1 to 65535. */
  readonly port: number
  /** One for each endpoint that the provider may give. */
  readonly key: string
}

/** One for the machine, whichever port is wanted: it is started, asked about and kept alive as a whole. */
export const machineKey = ({ machine }: Destination): string => endpointKey(machine, 0)

export const destinationOf = (provider: MachineProvider, machine: Machine, port: number): Destination => ({
  provider,
  machine,
  port,
  key: endpointKey(machine, port),
})
