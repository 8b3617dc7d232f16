import { PING_ADDRESS } from "./options.ts"
import type { TraefikOptions } from "./options.ts"
import { NotExpressible } from "./not-expressible.ts"

/** One listening socket of Traefik's. */
export interface EntryPoint {
  readonly name: string
  /** `:5432`, `:53/udp` */
  readonly address: string
  readonly port: number
  readonly transport: "tcp" | "udp"
}

/**
 * The entry point of a port that visitors connect to. Its name depends on the port alone. HTTP and TCP share one: Traefik cannot
 * listen twice.
 */
export const entryPointOf = (port: number, transport: "tcp" | "udp", options: TraefikOptions): EntryPoint => {
  if (!isGiven(port, options) && reservedPorts(options).has(port)) {
    throw new NotExpressible(
      "match.port",
      `is where Traefik listens for something else: give listen an address for ${port}`,
    )
  }
  return entryPointAt(port, transport, options)
}

/** The same for ports that are always listened on. */
export const entryPointAt = (port: number, transport: "tcp" | "udp", options: TraefikOptions): EntryPoint => {
  const address = isGiven(port, options) ? options.listen![port]! : `:${port}`
  return { name: nameOf(port, transport), address: transport === "udp" ? `${address}/udp` : address, port, transport }
}

const isGiven = (port: number, { listen = {} }: TraefikOptions): boolean => Object.hasOwn(listen, port)

const nameOf = (port: number, transport: "tcp" | "udp"): string => {
  if (transport === "udp") return `udp-${port}`
  return port === 80 ? "web" : port === 443 ? "web-secure" : `tcp-${port}`
}

const reservedPorts = ({ listen = {}, api }: TraefikOptions): ReadonlySet<number> =>
  new Set(
    [...Object.values(listen), PING_ADDRESS, api].flatMap((address) =>
      address === undefined ? [] : [portOf(address)],
    ),
  )

const portOf = (address: string): number => Number(/(\d+)$/.exec(address)?.[1])
