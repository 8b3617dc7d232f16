import { MachineRecordInvalid, PortClosed, machineRef } from "../../contract/errors.ts"
import type { Machine } from "../../contract/machine-provider.ts"
import type { Container } from "./container.ts"

/** The origin of a port of a host, whose IPv6 address is without brackets: https where the machine proxy's key is pinned. */
export const originOf = (host: string, port: number | string, pin?: string): string =>
  `${pin === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`

/**
 * The origin of the port that is published for the machine proxy's port inside. `hostname` is the engine's host. IPv4 is
 * preferred.
 *
 * @throws {PortClosed} when no published port can be reached from here
 */
export const publishedOrigin = (
  container: Container,
  machine: Machine,
  {
    proxyPort,
    hostname,
    pin,
  }: { readonly proxyPort: number; readonly hostname: string; readonly pin: string | undefined },
): string => {
  const bindings = container.NetworkSettings.Ports?.[`${proxyPort}/tcp`] ?? []
  const reachable = bindings.flatMap(({ HostIp, HostPort }) => {
    const host = publishedHost(HostIp, hostname)
    return host === undefined ? [] : [{ HostIp, origin: originOf(host, HostPort, pin) }]
  })
  const found = reachable.find(({ HostIp }) => !HostIp.includes(":")) ?? reachable[0]
  if (found === undefined) throw new PortClosed({ ...machineRef(machine), port: proxyPort })
  return found.origin
}

/**
 * A container's own IP address, in the network of that name or in its only one.
 *
 * @throws {MachineRecordInvalid} when that network gives it no address
 */
export const containerAddress = (container: Container, machine: Machine, network: string | undefined): string => {
  const networks = Object.entries(container.NetworkSettings.Networks ?? {})
  const found =
    network === undefined && networks.length === 1 ? networks[0] : networks.find(([name]) => name === network)
  const address = found?.[1].IPAddress ?? ""
  const isAddress = /^(?:\d+(?:\.\d+){3}|[\da-f.]*:[\da-f:.]*)$/i.test(address) && URL.canParse(originOf(address, 80))
  if (isAddress) return address
  throw new MachineRecordInvalid({
    ...machineRef(machine),
    field: "network",
    accepted: "one of the container's networks that gives it an address",
  })
}

/** Where a port that is published at `HostIp` is reached, if it can be; `hostname` is the engine's host. */
const publishedHost = (HostIp: string, hostname: string): string | undefined => {
  // The loopback of the engine's own host, which may be another one.
  if (isLoopback(HostIp)) return isLoopback(hostname) ? HostIp : undefined
  if (HostIp !== "0.0.0.0" && HostIp !== "::") return HostIp === "" ? hostname : HostIp
  // All addresses of one family. In the other family the port is free, or another container's.
  const v6 = HostIp === "::"
  const named = !/^[\d.]+$|:/.test(hostname)
  if (named || hostname.includes(":") === v6) return hostname
  if (!isLoopback(hostname)) return undefined
  return v6 ? "::1" : "127.0.0.1"
}

const isLoopback = (host: string): boolean => /^(?:127(?:\.\d+){3}|::1|localhost)$/i.test(host)
