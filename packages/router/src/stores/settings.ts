import type { MachineRoute, MachineSettings, PortSettings, Visibility } from "./record.ts"

/**
 * The settings of the port arrived at, after a rule, a replica or a service was chosen: never those of the hostname's port.
 * They are the same whichever name led there. A machine that the record says nothing of is private.
 */
export const settingsOf = (record: MachineRoute, machine: string, port: number): PortSettings => {
  if (record.machine.id === machine || record.replicas?.some(({ id }) => id === machine) === true) {
    return settingsOfPort(record, port)
  }
  const { machines = {} } = record
  return Object.hasOwn(machines, machine) ? settingsOfPort(machines[machine]!, port) : { visibility: "private" }
}

/** The settings of one port: those of all ports, field by field replaced by what `ports` says of this one. */
export const settingsOfPort = (settings: MachineSettings, port: number): PortSettings => {
  const { ports = {} } = settings
  const own = Object.hasOwn(ports, port) ? ports[port]! : {}
  const merged: { -readonly [Field in keyof PortSettings]: unknown } = {}
  for (const field of PORT_SETTINGS) {
    const value = own[field] ?? settings[field]
    if (value !== undefined) merged[field] = value
  }
  return merged as PortSettings
}

/**
 * The visibility of what speaks for all ports at once, as the redirect of a former name: private if any of them is. One that is
 * configured port by port must not be named to whom its ports are closed.
 */
export const strictestVisibility = ({ visibility, ports = {} }: MachineSettings): Visibility | undefined =>
  Object.values(ports).some((port) => port.visibility === "private") ? "private" : visibility

const fields = {
  visibility: true,
  appOrigin: true,
  forwardedProto: true,
  protocol: true,
  proxyProtocol: true,
  tls: true,
  wake: true,
  embed: true,
  healthCheck: true,
  minBodyRate: true,
  allowCidrs: true,
  requireHeader: true,
  responseHeaders: true,
} satisfies Record<keyof PortSettings, true>

/** The names of all settings of a port. */
export const PORT_SETTINGS = Object.keys(fields) as readonly (keyof PortSettings)[]
