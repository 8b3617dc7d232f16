import { createSocket } from "node:dgram"
import { once } from "node:events"
import { createServer } from "node:net"
import { FrontRefused, PortInUse } from "../../resource/errors.ts"

/** An address that a configuration listens on. */
export interface Listener {
  /** Empty: every address. */
  readonly host: string
  readonly port: number
  /** HTTP/3 listens on the same port of UDP. */
  readonly udp: boolean
}

/** What the servers of a configuration listen on. What cannot be read is left out. */
export const listenersOf = (document: unknown): readonly Listener[] => {
  const servers = property(property(property(document, "apps"), "http"), "servers")
  if (typeof servers !== "object" || servers === null) return []
  return Object.values(servers).flatMap((server: unknown) => {
    const listen = property(server, "listen")
    const protocols = property(server, "protocols")
    const udp =
      property(server, "tls_connection_policies") !== undefined &&
      (!Array.isArray(protocols) || protocols.includes("h3"))
    return (Array.isArray(listen) ? listen : []).flatMap((address: unknown) => {
      const parts =
        typeof address === "string" ? /^(?:tcp\/)?(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(address) : null
      return parts === null ? [] : [{ host: parts[1] ?? parts[2] ?? "", port: Number(parts[3]), udp }]
    })
  })
}

/**
 * Tries to listen on what a configuration adds, because Caddy 2.6 leaves listeners behind when it fails at one, and these go on to
 * serve the refused configuration beside the good one.
 *
 * @throws {PortInUse} (rejects) naming the port
 * @throws {FrontRefused} (rejects) if this computer does not have the address
 */
export const probeListeners = async (running: readonly Listener[], next: readonly Listener[]): Promise<void> => {
  for (const { host, port, udp } of next) {
    if (running.some((each) => each.host === host && each.port === port)) continue
    try {
      await tryTcp(host, port)
      if (udp) await tryUdp(host, port)
    } catch (error) {
      // Others say nothing of Caddy: it may have the right to listen below 1024, and this process not.
      const { code } = error as NodeJS.ErrnoException
      if (code === "EADDRNOTAVAIL") throw new FrontRefused({ front: "caddy", reason: `cannot listen on ${host}` })
      // On another address of a port that it has, Caddy is in its own way here, and not there: it shares ports with itself.
      const isOwn = running.some((each) => each.port === port)
      if (code === "EADDRINUSE" && !isOwn) throw new PortInUse({ front: "caddy", port })
    }
  }
}

const tryTcp = async (host: string, port: number): Promise<void> => {
  const server = createServer()
  server.listen({ port, exclusive: true, ...(host === "" ? {} : { host }) })
  await once(server, "listening")
  server.close()
  await once(server, "close")
}

const tryUdp = async (host: string, port: number): Promise<void> => {
  const socket = createSocket(host === "" || host.includes(":") ? "udp6" : "udp4")
  try {
    socket.bind({ port, exclusive: true, ...(host === "" ? {} : { address: host }) })
    await once(socket, "listening")
  } finally {
    socket.close()
  }
}

/**
 * What Caddy's error says of a port that it cannot listen on; `undefined` if it is about something else.
 *
 * `listen tcp 0.0.0.0:8080: bind: address already in use` is port 8080.
 */
export const bindFailure = (text: string): { readonly port: number | undefined } | undefined => {
  if (!/address already in use/.test(text)) return undefined
  const port = /listen (?:tcp|udp)[46]? \S*:(\d{1,5}): bind: address already in use/.exec(text)?.[1]
  return { port: port === undefined ? undefined : Number(port) }
}

const property = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined
