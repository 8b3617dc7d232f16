import type { HeaderList } from "@project-ingress/forward"
import { tunnelProtocols } from "@project-ingress/forward/internal"
import { SendFailure } from "@project-ingress/forward/fetch"
import type { SendFailureKind } from "@project-ingress/forward/fetch"
import { dialTcp } from "@project-ingress/forward/sockets"
import type { IncomingConnection, TcpLimits, UpstreamAddress, UpstreamError } from "@project-ingress/forward/sockets"
import type { AttemptResponse } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import type { Duplex } from "node:stream"
import type { AskedRequest } from "../error-response.ts"
import type { Sender, VisitorRequest } from "../program/sender.ts"
import type { Held } from "./bounds.ts"
import type { ClientIdentity } from "./client-identity.ts"
import type { OpenAccess } from "./open-access.ts"
import { upstreamAddress } from "./upstream-address.ts"

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
  Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64"),
  "Sec-WebSocket-Protocol",
  tunnelProtocols.tcp,
]

/** Gets a connection to its machine: to an app's own address by TCP, to a machine proxy by a tunnel. */
export const tcpSender = (
  { limits, access }: { readonly limits: TcpLimits; readonly access: OpenAccess },
  connection: IncomingConnection,
  visit: VisitorRequest,
  held: Held,
): Sender<Duplex> => {
  let forget: (() => void) | undefined
  return {
    send: (machineRequest) =>
      Effect.flatMap(
        Effect.promise((ended) => {
          const signal = AbortSignal.any([ended, connection.signal])
          return dialTcp(rawAddress(upstreamAddress(machineRequest)), { timeoutMs: limits.connectTimeoutMs, signal })
        }),
        (opened) => ("tag" in opened ? Effect.fail(sendFailure(opened)) : Effect.succeed(connected(opened))),
      ),
    discard: (app) => app.destroy(),
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

/** The address as it stands: TLS is the client's and the app's, so that `https:` in a record makes no difference. */
const rawAddress = ({ pool, host, port, addresses }: UpstreamAddress): UpstreamAddress => ({
  pool,
  host,
  port,
  ...(addresses === undefined ? {} : { addresses }),
})

/** As the response to a tunnel's handshake: the program asks for nothing else. */
const connected = (app: Duplex): AttemptResponse<Duplex> => ({
  status: 101,
  header: () => undefined,
  response: app,
})

const kinds = {
  PortClosed: "refused",
  UpstreamTimeout: "timeout",
  UpstreamFailed: "reset",
  UpstreamMalformed: "other",
  ProviderUnavailable: "other",
} as const satisfies Record<UpstreamError["tag"], SendFailureKind>

const sendFailure = ({ tag, sent, cause }: UpstreamError): SendFailure => new SendFailure(kinds[tag], sent, cause)
