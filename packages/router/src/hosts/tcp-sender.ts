import { randomUUID } from "node:crypto"
import { headerValue } from "@project-ingress/forward"
import type { HeaderList } from "@project-ingress/forward"
import { tunnelProtocols } from "@project-ingress/forward/internal"
import { SendFailure } from "@project-ingress/forward/fetch"
import type { SendFailureKind } from "@project-ingress/forward/fetch"
import { dialTcp, dialTunnel } from "@project-ingress/forward/sockets"
import type { IncomingConnection, TcpLimits, UpstreamAddress, UpstreamError } from "@project-ingress/forward/sockets"
import type { AttemptResponse } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import type { Duplex } from "node:stream"
import type { AskedRequest } from "../error-response.ts"
import type { MachineRequest, Sender, VisitorRequest } from "../program/sender.ts"
import type { RouterProgram } from "../router-program.ts"
import type { Held } from "./bounds.ts"
import type { ClientIdentity } from "./client-identity.ts"
import type { OpenAccess } from "./open-access.ts"
import { upstreamAddress, withHost } from "./upstream-address.ts"

/** A connection as the program sees it: the handshake of a tunnel, which a client could have sent for it. */
export const connectionRequest = (
  connection: IncomingConnection,
  clientAddress: ClientIdentity["clientAddress"],
): VisitorRequest & AskedRequest => ({
  method: "GET",
  scheme: connection.hello === undefined ? "http" : "https",
  host: connection.hostname,
  path: "/",
  headers: handshakeFields(connection.hostname),
  clientAddress,
  requestId: connection.id,
  localPort: connection.localPort === 0 ? undefined : connection.localPort,
  upgrade: true,
  get signal() {
    return connection.signal
  },
  onAbort: (listener) => connection.onAbort(listener),
})

const handshakeFields = (host: string): HeaderList => [
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
  tunnelProtocols.tcp,
]

/** What came of asking a machine for a connection: that connection, or another response of its proxy. */
export interface TcpResponse {
  readonly open: () => Duplex
  readonly discard: () => void
}

/** Gets a connection to its machine: to an app's own address by TCP, to a machine proxy, or another region's router, by a tunnel. */
export const tcpSender = (
  { headersTimeoutMs }: Pick<RouterProgram, "headersTimeoutMs">,
  { limits, access }: { readonly limits: TcpLimits; readonly access: OpenAccess },
  connection: IncomingConnection,
  visit: VisitorRequest,
  held: Held,
): Sender<TcpResponse> => {
  const timeoutMs = limits.connectTimeoutMs
  let forget: (() => void) | undefined

  /** `signal`: of the program's, which ends with the client. */
  const send = async (machineRequest: MachineRequest, signal: AbortSignal): Promise<AttemptResponse<TcpResponse>> => {
    const { endpoint, stamps } = machineRequest
    // A Durable Object's stub, a binding: there is no address to connect to.
    if (endpoint.fetch !== undefined) throw new SendFailure("unsupported", "no")
    const address = upstreamAddress(machineRequest)
    if (endpoint.machineProxy === false) {
      const opened = await dialTcp(rawAddress(address), { timeoutMs, signal })
      if ("tag" in opened) throw sendFailure(opened)
      // As the response to a tunnel's handshake: the program asks for nothing else.
      const response = ownedBy(connection, { open: () => opened, discard: () => void opened.destroy() })
      return { status: 101, header: () => undefined, response }
    }
    const headers = withHost(machineRequest)
    const opened = await dialTunnel(address, { headers, timeoutMs, headersTimeoutMs, signal })
    if ("tag" in opened) throw sendFailure(opened)
    const { status, headers: fields } = opened.head
    const header = (lowerName: string) => headerValue(fields, lowerName)
    return { status, header, stamps, response: ownedBy(connection, opened) }
  }

  return {
    send: (machineRequest) =>
      Effect.tryPromise({ try: (signal) => send(machineRequest, signal), catch: SendFailure.from }),
    endsTunnels: true,
    discard: (response) => response.discard(),
    // Nothing of the client's was sent: it is still in its socket.
    replayable: () => true,
    closed: () => connection.over(),
    admit: (record, machine) => held.admit(record, machine),
    onLetIn: (visitor, route) => {
      forget?.()
      forget = access.watch({ request: connection, visit, visitor, route })
    },
  }
}

/** What nobody has taken when its client's connection is over, nobody will: the program may have been interrupted before it had it. */
const ownedBy = (connection: IncomingConnection, { open, discard }: TcpResponse): TcpResponse => {
  let isTaken = false
  connection.onOver(() => {
    if (!isTaken) discard()
  })
  return {
    open: () => {
      isTaken = true
      return open()
    },
    discard,
  }
}

/** The address as it stands: TLS is the client's and the app's, so that `https:` in a record makes no difference. */
const rawAddress = ({ pool, host, port, addresses }: UpstreamAddress): UpstreamAddress => ({
  pool,
  host,
  port,
  ...(addresses === undefined ? {} : { addresses }),
})

const kinds = {
  PortClosed: "refused",
  UpstreamTimeout: "timeout",
  UpstreamFailed: "reset",
  UpstreamMalformed: "other",
  ProviderUnavailable: "other",
} as const satisfies Record<UpstreamError["tag"], SendFailureKind>

const sendFailure = ({ tag, sent, cause }: UpstreamError): SendFailure => new SendFailure(kinds[tag], sent, cause)
