import { randomUUID } from "node:crypto"
import { headerValue } from "@project-ingress/forward"
import type { HeaderList } from "@project-ingress/forward"
import { tunnelProtocols } from "@project-ingress/forward/internal"
import type { Tunnel } from "@project-ingress/forward/internal"
import { SendFailure } from "@project-ingress/forward/fetch"
import { dialTunnel } from "@project-ingress/forward/sockets"
import type { DialedTunnel, IncomingConnection, UpstreamAddress, UpstreamError } from "@project-ingress/forward/sockets"
import type { AttemptResponse } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import type { AskedRequest } from "../../error-response.ts"
import type { MachineRequest, Sender, VisitorRequest } from "../../program/sender.ts"
import type { RouterProgram } from "../../router-program.ts"
import type { Held } from "../bounds.ts"
import type { ClientIdentity } from "../client-identity.ts"
import type { OpenAccess } from "../open-access.ts"
import { sendFailure } from "../send-failure.ts"
import { upstreamAddress, withHost } from "../upstream-address.ts"

/** A connection by TCP, or a flow of datagrams. */
export type Incoming = Pick<
  IncomingConnection,
  "id" | "hostname" | "localPort" | "signal" | "onAbort" | "over" | "onOver" | "withdrawal"
>

/** What of it is no request's. */
export interface IncomingFacts extends Pick<ClientIdentity, "clientAddress" | "scheme"> {
  readonly tunnel: Tunnel
}

/** What comes in as the program sees it: the handshake of a tunnel, which a client could have sent for it. */
export const tunnelRequest = (
  incoming: Incoming,
  { clientAddress, scheme, tunnel }: IncomingFacts,
): VisitorRequest & AskedRequest => ({
  method: "GET",
  scheme,
  host: incoming.hostname,
  path: "/",
  headers: handshakeFields(incoming.hostname, tunnel),
  clientAddress,
  requestId: incoming.id,
  localPort: incoming.localPort === 0 ? undefined : incoming.localPort,
  upgrade: true,
  get signal() {
    return incoming.signal
  },
  onAbort: (listener) => incoming.onAbort(listener),
})

const handshakeFields = (host: string, tunnel: Tunnel): HeaderList => [
  "Host",
  host,
  "Connection",
  "Upgrade",
  "Upgrade",
  "websocket",
  "Sec-WebSocket-Version",
  "13",
  "Sec-WebSocket-Key",
  // 16 bytes that nobody sent before (RFC 6455 §4.1); a UUID is drawn from a pool.
  Buffer.from(randomUUID().replaceAll("-", ""), "hex").toString("base64"),
  "Sec-WebSocket-Protocol",
  tunnelProtocols[tunnel],
]

/** What came of asking a machine for a connection: that connection, or another response of its proxy. */
export interface TunnelResponse<Open> {
  /** Takes the connection. */
  readonly open: Open
  readonly discard: () => void
}

/** How connections of one kind are made. */
export interface Dialing<Open> {
  /** Until a connection, in ms. */
  readonly timeoutMs: number
  /** To an app's own address. */
  readonly direct: (address: UpstreamAddress, signal: AbortSignal) => Promise<TunnelResponse<Open> | UpstreamError>
  /** What a tunnel is to whom takes it. */
  readonly tunnelled: (tunnel: DialedTunnel) => Open
}

/** What the sender needs of its host. */
export interface SenderHost {
  readonly program: Pick<RouterProgram, "headersTimeoutMs">
  readonly access: OpenAccess
}

/** Gets a connection to its machine: to an app's own address, or by a tunnel to a machine proxy or another region's router. */
export const tunnelSender = <Open extends (...given: never[]) => unknown>(
  { program: { headersTimeoutMs }, access }: SenderHost,
  { timeoutMs, direct, tunnelled }: Dialing<Open>,
  incoming: Incoming,
  visit: VisitorRequest,
  held: Held,
): Sender<TunnelResponse<Open>> => {
  let forget: (() => void) | undefined

  /** `signal`: of the program's, which ends with the client. */
  const send = async (
    machineRequest: MachineRequest,
    signal: AbortSignal,
  ): Promise<AttemptResponse<TunnelResponse<Open>>> => {
    const { endpoint, stamps } = machineRequest
    // A Durable Object's stub, a binding: there is no address to connect to.
    if (endpoint.fetch !== undefined) throw new SendFailure("unsupported", "no")
    const address = upstreamAddress(machineRequest)
    if (endpoint.machineProxy === false) {
      const opened = await direct(rawAddress(address), signal)
      if ("tag" in opened) throw sendFailure(opened)
      // As the response to a tunnel's handshake: the program asks for nothing else.
      return { status: 101, header: () => undefined, response: ownedBy(incoming, opened) }
    }
    const headers = withHost(machineRequest)
    const dialed = await dialTunnel(address, { headers, timeoutMs, headersTimeoutMs, signal })
    if ("tag" in dialed) throw sendFailure(dialed)
    const { status, headers: fields } = dialed.head
    const header = (lowerName: string) => headerValue(fields, lowerName)
    const response = ownedBy(incoming, { open: tunnelled(dialed), discard: dialed.discard })
    return { status, header, stamps, response }
  }

  return {
    send: (machineRequest) =>
      Effect.tryPromise({ try: (signal) => send(machineRequest, signal), catch: SendFailure.from }),
    endsTunnels: true,
    discard: (response) => response.discard(),
    // Nothing of the client's was sent: it is still with its host.
    replayable: () => true,
    closed: () => incoming.over(),
    admit: (record, machine) => held.admit(record, machine),
    onLetIn: (visitor, route) => {
      forget?.()
      forget = access.watch({ request: incoming, visit, visitor, route })
    },
  }
}

/** What nobody has taken when its client is gone, nobody will: the program may have been interrupted before it had it. */
const ownedBy = <Open extends (...given: never[]) => unknown>(
  incoming: Incoming,
  { open, discard }: TunnelResponse<Open>,
): TunnelResponse<Open> => {
  let isTaken = false
  incoming.onOver(() => {
    if (!isTaken) discard()
  })
  const taking = (...given: never[]): unknown => {
    isTaken = true
    return open(...given)
  }
  return { open: taking as Open, discard }
}

/**
 * The address as it stands: TLS is the client's and the app's, so that `https:` in a record makes no difference. A pin stays, for which
 * the address is refused: nobody here looks at the peer's key.
 */
const rawAddress = ({ pool, host, port, addresses, pin }: UpstreamAddress): UpstreamAddress => ({
  pool,
  host,
  port,
  ...(addresses === undefined ? {} : { addresses }),
  ...(pin === undefined ? {} : { pin }),
})
