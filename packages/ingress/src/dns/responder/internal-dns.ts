import { createSocket } from "node:dgram"
import { isIP } from "node:net"
import { accept, checkOptions } from "@project-ingress/router/internal"
import { isDnsName } from "../check-record.ts"
import { machineResolver } from "./machine-resolver.ts"
import type { MachineResolver, ResolveMachine } from "./machine-resolver.ts"
import { readQuery } from "./read-query.ts"
import type { DnsQuery } from "./read-query.ts"
import { writeResponse } from "./write-response.ts"
import type { DnsVerdict } from "./write-response.ts"

export type { ResolveMachine } from "./machine-resolver.ts"

/** What {@link serveInternalDns} accepts. */
export interface InternalDnsOptions {
  /** The zone, of at most 100 characters: `machines.internal`. Names of one label below it are machines. */
  readonly zone: string
  /**
   * The address of a machine now, IPv4 or IPv6; `undefined`: there is no such machine. Gets the name in lower case, because names of
   * the DNS have no case. It is called once for all who ask at the same time, for at most 256 machines at once, and nothing is kept.
   */
  readonly resolve: ResolveMachine
  /** The address to listen on. Default `127.0.0.1`: whoever reaches another one can ask for every machine. */
  readonly host?: string
  /** Default 0: a free one. */
  readonly port?: number
  /** How long `resolve` may take, in ms, 10 to 60 000. Default 2 000, then SERVFAIL. */
  readonly timeoutMs?: number
  /** Called when `resolve` fails, takes too long or gives what is no address, and for errors of the socket. Must not throw. */
  readonly onError?: (error: unknown, machine: string | undefined) => void
}

/** A DNS server that is listening. */
export interface InternalDns {
  readonly host: string
  readonly port: number
  /** Ends it, with what is pending. Resolves when the port is free. */
  close(): Promise<void>
}

/** Queries that wait for an address. More are dropped, and clients ask again. */
const MAX_WAITING = 4_096

/**
 * Serves the addresses of machines by UDP: `mach_1.machines.internal` has the address that `resolve` gives, with a TTL of 5 s. Rejects
 * if the port cannot be listened on.
 *
 * @throws {TypeError} (rejects) for unknown, missing or invalid options
 *
 * @example
 * const dns = await serveInternalDns({ zone: "machines.internal", resolve: (machine) => addresses.get(machine) })
 */
export const serveInternalDns = async (options: InternalDnsOptions): Promise<InternalDns> => {
  checkOptions(
    "serveInternalDns",
    options,
    {
      zone: (value) =>
        typeof value === "string" && value.length <= 100 && isDnsName(value) && !value.startsWith("*")
          ? undefined
          : "the full name of a zone, in lower case, of at most 100 characters",
      resolve: accept.function,
      host: (value) => (typeof value === "string" && isIP(value) !== 0 ? undefined : "an IP address"),
      port: accept.integer(0, 65_535),
      timeoutMs: accept.integer(10, 60_000),
      onError: accept.function,
    },
    { required: ["zone", "resolve"] },
  )
  const { zone, host = "127.0.0.1", port = 0, timeoutMs = 2_000, onError = () => undefined } = options
  const resolver = machineResolver(options.resolve, timeoutMs, onError)
  const socket = createSocket({ type: isIP(host) === 6 ? "udp6" : "udp4", ipv6Only: isIP(host) === 6 })
  let waiting = 0
  let isClosed = false

  socket.on("message", (packet, { address, port }) => {
    // A client that left is no error of ours. Port 0 cannot be sent to.
    const send = (response: Uint8Array): void => {
      if (!isClosed && port !== 0) socket.send(response, port, address, () => undefined)
    }
    const query = readQuery(packet)
    if (query === undefined) return
    if (query instanceof Uint8Array) return send(query)
    const verdict = decide(query, zone, resolver)
    if (!(verdict instanceof Promise)) return send(writeResponse(query, verdict, zone))
    if (waiting >= MAX_WAITING) return
    waiting++
    void verdict.then((verdict) => {
      waiting--
      send(writeResponse(query, verdict, zone))
    })
  })
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: Error): void => {
      socket.close()
      reject(error)
    }
    socket.once("error", refuse)
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.off("error", refuse)
      resolve()
    })
  })
  socket.on("error", (error) => onError(error, undefined))

  return {
    host,
    port: socket.address().port,
    close: () => {
      if (isClosed) return Promise.resolve()
      isClosed = true
      resolver.dispose()
      return new Promise((resolve) => socket.close(() => resolve()))
    },
  }
}

const decide = (query: DnsQuery, zone: string, resolver: MachineResolver): DnsVerdict | Promise<DnsVerdict> => {
  const { question, ednsVersion } = query
  // The version is all that is responded to then.
  if (ednsVersion !== undefined && ednsVersion > 0) return "REFUSED"
  const { type } = question
  // The letters of ASCII alone (RFC 4343): the Kelvin sign is no `k`.
  const name = question.name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
  if ((question.class ?? "IN") !== "IN" || (type as string) === "AXFR" || (type as string) === "IXFR") return "REFUSED"
  if (name === zone) return type === "SOA" ? "soa" : "no data"
  if (!name.endsWith(`.${zone}`)) return "REFUSED"
  const machine = name.slice(0, -zone.length - 1)
  // `resolve`, and whoever logs what it fails for, is given nothing else.
  if (!/^[a-z\d_-]+$/.test(machine)) return "NXDOMAIN"
  return resolver.resolve(machine).then((found) => {
    if (typeof found !== "object") return found
    return type === (found.address.includes(":") ? "AAAA" : "A") ? found : "no data"
  })
}
