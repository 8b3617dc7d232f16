import type { Socket as DatagramSocket } from "node:dgram"
import { once } from "node:events"
import type { AddressInfo, Server } from "node:net"
import { isIPv6 } from "node:net"
import type { TunnelOptions } from "@project-ingress/forward/sockets"
import { BadArgument } from "../arguments.ts"
import { explainFailure } from "./explain-failure.ts"
import type { ForwardOptions } from "./forward-options.ts"
import { tcpForwarder } from "./forward-tcp.ts"
import { udpForwarder } from "./forward-udp.ts"
import { waitingLine } from "./waiting-line.ts"

/** After how long a connection that waits is spoken of, in ms. */
const SLOW_MS = 2_000

/** Where the command writes, and what ends it. */
export interface ForwardRun {
  readonly print: (line: string) => void
  readonly printProblem: (line: string) => void
  /** Aborted by Ctrl-C. */
  readonly stop: AbortSignal
}

/**
 * Listens until it is stopped, or with `once` until the first connection has ended. Resolves with the exit code: 1 if that one
 * failed.
 */
export const runForward = async (
  options: ForwardOptions,
  { print, printProblem, stop }: ForwardRun,
): Promise<number> => {
  const { url, kind, listen, headers, address, ca } = options
  const tunnel: TunnelOptions = {
    url,
    headers,
    ...(address === undefined ? {} : { address }),
    ...(ca === undefined ? {} : { tls: { ca } }),
  }
  const ended = Promise.withResolvers<number>()
  const onEnd = (error: unknown): void => {
    if (stop.aborted) return
    if (error !== undefined) printProblem(explainFailure(error, { url, kind }))
    if (options.once) ended.resolve(error === undefined ? 0 : 1)
  }
  const beginWait = waitingLine(
    () => printProblem(`waiting for ${url.hostname}: if its machine sleeps, it is started now`),
    SLOW_MS,
  )
  const events = { onEnd, beginWait }
  const bound =
    kind === "tcp"
      ? await boundTcp(tcpForwarder(tunnel, events), listen)
      : await boundUdp(udpForwarder(listen.address, tunnel, events), listen)
  const authority = `${isIPv6(listen.address) ? `[${listen.address}]` : listen.address}:${bound.port}`
  print(`${kind === "udp" ? "udp " : ""}${authority} leads to ${url.host}`)
  if (!isLoopback(listen.address)) {
    printProblem(`whoever reaches ${authority} has the access that this command has`)
  }
  if (stop.aborted) ended.resolve(0)
  stop.addEventListener("abort", () => ended.resolve(0), { once: true })
  const code = await ended.promise
  bound.close()
  return code
}

interface Bound {
  readonly port: number
  readonly close: () => void
}

const boundTcp = async (server: Server, { address, port }: ForwardOptions["listen"]): Promise<Bound> => {
  try {
    server.listen(port, address)
    await once(server, "listening")
  } catch (cause) {
    throw inUse(cause, port)
  }
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() }
}

const boundUdp = async (socket: DatagramSocket, { address, port }: ForwardOptions["listen"]): Promise<Bound> => {
  try {
    socket.bind(port, address)
    await once(socket, "listening")
  } catch (cause) {
    throw inUse(cause, port)
  }
  socket.on("error", () => undefined)
  return { port: socket.address().port, close: () => void socket.close() }
}

const inUse = (cause: unknown, port: number): unknown => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  if (code === "EADDRINUSE") {
    return new BadArgument(
      `port ${port} of this computer is in use: --listen 0 takes a free one, --listen <port> another`,
    )
  }
  if (code === "EACCES") return new BadArgument(`port ${port} needs privileges here: --listen 0 takes a free one`)
  return cause
}

const isLoopback = (address: string): boolean => address === "::1" || address.startsWith("127.")
