import { MachineRecordInvalid, PortClosed, machineRef } from "../../contract/errors.ts"
import type { Machine } from "../../contract/machine-provider.ts"
import type { Container } from "./container.ts"

/** How a container's machine proxy is reached. */
export interface OriginOptions {
  /** The port of the machine proxy inside the container. */
  readonly proxyPort: number
  /** The engine's host, where published ports are. */
  readonly hostname: string
  /** Why an IP address may not be connected to; `undefined` when it may. */
  readonly refusedAddress: (ip: string) => string | undefined
}

/**
 * The origin of the port that is published for the machine proxy, at the engine's host. IPv4 is preferred.
 *
 * @throws {PortClosed} when no published port can be reached from here
 */
export const publishedOrigin = (
  container: Container,
  machine: Machine,
  { proxyPort, hostname }: OriginOptions,
): string => {
  if (container.HostConfig?.NetworkMode === "host") return originOf(hostname, proxyPort)
  const bindings = container.NetworkSettings.Ports?.[`${proxyPort}/tcp`] ?? []
  const reachable = bindings.flatMap(({ HostIp, HostPort }) => {
    const host = publishedHost(HostIp, hostname)
    return host === undefined ? [] : [{ HostIp, origin: originOf(host, HostPort) }]
  })
  const found = reachable.find(({ HostIp }) => !HostIp.includes(":")) ?? reachable[0]
  if (found === undefined) throw new PortClosed({ ...machineRef(machine), port: proxyPort })
  return found.origin
}

/**
 * The origin of a container's own address, in the network of that name or in its only one.
 *
 * @throws {MachineRecordInvalid} when the network gives it no address, or one that may not be connected to
 */
export const containerOrigin = (
  container: Container,
  machine: Machine,
  network: string | undefined,
  { proxyPort, hostname, refusedAddress }: OriginOptions,
): string => {
  if (container.HostConfig?.NetworkMode === "host") return originOf(hostname, proxyPort)
  const networks = Object.entries(container.NetworkSettings.Networks ?? {})
  const found =
    network === undefined && networks.length === 1 ? networks[0] : networks.find(([name]) => name === network)
  const address = found?.[1].IPAddress
  const invalid = (accepted: string) => new MachineRecordInvalid({ ...machineRef(machine), field: "network", accepted })
  if (address === undefined || address === "") {
    throw invalid("one of the container's networks that gives it an address")
  }
  // Whoever creates the container chooses its network, so it could be an address of ours, such as a metadata service.
  const refused = refusedAddress(address)
  if (refused !== undefined) throw invalid(`a network with addresses that allowCidrs covers (${refused})`)
  return originOf(address, proxyPort)
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

const originOf = (host: string, port: number | string): string =>
  `http://${host.includes(":") ? `[${host}]` : host}:${port}`
