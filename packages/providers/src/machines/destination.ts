import type { Machine, MachineProvider } from "../contract/machine-provider.ts"

/** Where a request is to go: a port of a machine, and the provider that knows where the machine is. */
export interface Destination {
  readonly provider: MachineProvider
  readonly machine: Machine
  /** The port inside, 1 to 65535. */
  readonly port: number
  /** One for each endpoint that the provider may give. */
  readonly key: string
}

export const makeDestination = (provider: MachineProvider, machine: Machine, port: number): Destination => ({
  provider,
  machine,
  port,
  key: endpointKey(machine, port),
})

/** One key for the machine, whichever port is wanted: it is started, asked for its status and kept alive as a whole. */
export const machineKey = ({ machine }: Pick<Destination, "machine">): string => endpointKey(machine, 0)

const fingerprints = new WeakMap<object, string>()

/** Two records have one key only if an adapter cannot tell them apart. */
export const endpointKey = (machine: Machine, port: number): string => {
  let metadata = fingerprints.get(machine.metadata)
  if (metadata === undefined) {
    metadata = JSON.stringify(machine.metadata)
    fingerprints.set(machine.metadata, metadata)
  }
  return JSON.stringify([machine.type, machine.externalId, port, machine.id, metadata])
}

/** What the keys of a machine begin with, whatever its port and metadata. */
export const endpointKeyPrefix = (type: string, externalId: string): string =>
  `${JSON.stringify([type, externalId]).slice(0, -1)},`
