import type { DividedKey } from "@project-ingress/forward/internal"
import { MachineRecordInvalid, machineRef } from "../contract/errors.ts"
import type { Machine, MachineProvider } from "../contract/machine-provider.ts"

/** Where a request is to go: a port of a machine, and the provider that knows where the machine is. */
export interface Destination {
  readonly provider: MachineProvider
  readonly machine: Machine
  /** The port inside, 1 to 65535. */
  readonly port: number
  /** One for each endpoint that the provider may give: without the port where one endpoint leads to every port. */
  readonly key: string
  /** What shared tables and budgets are divided by: the machine's owner, or else the machine. */
  readonly share: string
}

/** The destination of a request, or what is invalid about its machine's record, which may come from a database. */
export const destinationOf = (
  providers: ReadonlyMap<string, MachineProvider>,
  machine: Machine,
  port: number,
  owner?: string,
): Destination | MachineRecordInvalid => {
  const invalid = invalidRecord(machine)
  if (invalid !== undefined) return invalid
  const provider = providers.get(machine.type)
  if (provider !== undefined) {
    // The port is the client's choice: a key that holds it lets one client ask the vendor, and fill the tables, at will.
    const key = endpointKey(machine, provider.capabilities.ports === "any" ? 0 : port)
    // Said which it is, or a machine's id could be another tenant's name.
    const share = owner === undefined ? `machine ${machine.id}` : `owner ${owner}`
    return { provider, machine, port, key, share }
  }
  const types = [...providers.keys()]
  const accepted = types.length === 0 ? "of a provider, and none is configured" : `one of ${types.join(", ")}`
  return new MachineRecordInvalid({ ...machineRef(machine), field: "type", accepted })
}

const invalidRecord = (machine: Machine): MachineRecordInvalid | undefined => {
  const { id, type, externalId, metadata }: Readonly<Partial<Record<keyof Machine, unknown>>> = machine ?? {}
  const invalid = (field: string, accepted: string) =>
    new MachineRecordInvalid({ provider: String(type), machine: String(externalId), field, accepted })
  if (typeof type !== "string") return invalid("type", "a provider's type")
  if (typeof id !== "string" || id === "") return invalid("id", "the machine's name in tickets")
  if (typeof externalId !== "string") return invalid("externalId", "the provider's name of the machine")
  const isObject = typeof metadata === "object" && metadata !== null && !Array.isArray(metadata)
  return isObject ? undefined : invalid("metadata", "an object, which may be empty")
}

/** One key for the machine, whichever port is wanted: it is started, asked for its status and kept alive as a whole. */
export const portlessKey = ({ machine }: Pick<Destination, "machine">): string => endpointKey(machine, 0)

/** Where a table keeps what it knows of a call for the whole machine. `of` tells several such entries apart. */
export const machineEntry = (to: Pick<Destination, "machine" | "share">, of = ""): DividedKey => ({
  share: to.share,
  key: portlessKey(to) + of,
})

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
