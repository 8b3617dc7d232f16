import { headerValue } from "@project-ingress/forward"
import type { ExpectedStamps, GeneratedResponse, HeaderList, TicketsLimited } from "@project-ingress/forward"
import { canonicalAddress, headerValues } from "@project-ingress/forward/internal"
import type { SendFailure } from "@project-ingress/forward/fetch"
import type { AttemptRequest, AttemptResponse, Endpoint, Machine } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import type {
  LengthRequired,
  MachineLimited,
  ProjectLimited,
  ProtocolNotCarried,
  ProxyFailed,
  TunnelUnsupported,
} from "../errors.ts"
import type { PortSettings, RouteRecord } from "../stores/record.ts"
import type { Route } from "../policies/policy.ts"
import type { Visitor } from "../policies/visitor.ts"
import type { RefuseRoad } from "./road.ts"
import type { ArrivedHop } from "./arrived-hop.ts"

/** The head of a request as it arrived, by whatever host. */
export interface VisitorRequest {
  readonly method: string
  /** The authority, port included: as the client sent it, or a proxy that the host trusts. Untrusted. */
  readonly host: string
  /** Path and query, byte for byte as sent. */
  readonly path: string
  readonly headers: HeaderList
  readonly scheme: "http" | "https"
  /** The client's IP address, where it is known: what `clientAddressOf` gives. */
  readonly clientAddress?: string | undefined
  /** Names the request in events and generated responses, the machine's included. Default: the machine's has an id of its own. */
  readonly requestId?: string
  /**
   * Fields of the platform's own, for a request that the platform makes itself, as to deliver a mail. They are added last, and no policy
   * decides about it. No client can make one.
   */
  readonly platform?: HeaderList | undefined
  /** What another region's router says of the request that it sent on. `undefined` for a client's own. */
  readonly hop?: ArrivedHop | undefined
  /** The port of the listening socket, where there is one: never the `Host` field's. */
  readonly localPort?: number | undefined
  /** True for a WebSocket handshake; `unsupported` if the host could not pass its response on. */
  readonly upgrade: boolean | "unsupported"
  /** True when the client waits for `100 Continue`. Default false. */
  readonly expect?: boolean
  /** True when the host carries trailers. Default false. */
  readonly trailers?: boolean
  /** Aborted when the client leaves. A getter where it is costly to make: it is read only by what cannot do without. */
  readonly signal: AbortSignal
  /** Calls `listener` when the client leaves, or now if it has. Default: by `signal`. */
  readonly onAbort?: (listener: () => void) => void
}

/** A request as it goes to a machine. */
export interface MachineRequest {
  readonly endpoint: Endpoint
  readonly machine: Machine
  /** All fields but framing. `Host` is among them only for an app without a machine proxy. */
  readonly headers: HeaderList
  /** Names of the cookies that the machine's platform sets for itself, which no client gets. */
  readonly edgeCookies?: readonly string[] | undefined
  /** Those of the port: for how an app is spoken to, and how slow a body may be, where the host can tell. */
  readonly settings?: PortSettings | undefined
  readonly changes: ResponseChanges
  /** What the response's stamp must be; `undefined` for an app without a machine proxy, which was sent no ticket. */
  readonly stamps: ExpectedStamps | undefined
  /**
   * Present for a router of another region, whose response is passed on as it came. `ca`: whom its certificate must lead to. `host`: the
   * `Host` to send over a socket; by Fetch it is the URL's, which most runtimes write, and for which undici verifies the certificate.
   */
  readonly toRouter?: { readonly ca: string | undefined; readonly host: string } | undefined
}

/** What is changed in the fields of a machine's response for its visitor. */
export interface ResponseChanges {
  /** The app's own origin to the public one. */
  readonly rewrite: (fields: string[]) => void
  /** By the policies of the route, if one of them edits. */
  readonly edit: ResponseEdit | undefined
}

/** Fields of a response's head after the policies' edits. Throws if a policy does. */
export type ResponseEdit = (
  head: { readonly status: number; readonly header: (lowerName: string) => string | undefined },
  fields: HeaderList,
) => HeaderList

/** How one request gets to a machine and its response back, by whatever moves bytes here. The body stays on its side. */
export interface Sender<A> extends Omit<AttemptRequest<A>, "send" | "owner" | "renewTicket" | "wake" | "holdMs"> {
  /** Sends the request. Called again only after `replayable` said so. */
  readonly send: (request: MachineRequest) => Effect.Effect<AttemptResponse<A>, SendFailure>
  /**
   * Whether the request may start a machine, whatever the table says of it: false for a health check; true for what its caller has decided
   * to start it for, as a mail. A port with `wake: "never"` is not started all the same. Default: by the table.
   */
  readonly wake?: boolean | undefined
  /**
   * True where the host itself took the connection: `send` connects to an app's own address by TCP, with no tunnel that a machine proxy would
   * have to end, and its PROXY header is the host's. Default false.
   */
  readonly endsTunnels?: boolean
  /**
   * The policies let a visitor in: from now on, for as long as the exchange or its WebSocket is open, this may be withdrawn. Called again for
   * another route. Default: nobody withdraws.
   */
  readonly onLetIn?: (visitor: Visitor, route: Route & { readonly machine: Machine; readonly port: number }) => void
  /** Why its host cannot carry a request. Default: what no Fetch can. */
  readonly refuseRoad?: RefuseRoad
  /** Whether its host takes one more request to that machine; called again for another machine. Default: each one. */
  readonly admit?: (record: RouteRecord, machine: Machine) => ProjectLimited | MachineLimited | undefined
}

/** The first value of a field, by lower-case name. */
export const firstHeader = (headers: HeaderList, lowerName: string): string | undefined =>
  headerValue(headers, lowerName)

/** A field's lines joined into one value, as Fetch gives them (RFC 9110 §5.3; cookies: RFC 9113 §8.2.3). */
export const joinedHeader = (headers: HeaderList, lowerName: string): string | undefined => {
  const values = headerValues(headers, lowerName)
  return values.length === 0 ? undefined : values.join(lowerName === "cookie" ? "; " : ", ")
}

/** An IP address in one notation for policies, events and apps, without its zone; `undefined` for anything else. */
export const clientAddressOf = (address: unknown): string | undefined =>
  typeof address === "string" ? canonicalAddress(address.replace(/%.*$/s, "")) : undefined

/** How a request ends while it was to be sent: by an error of ours, or by a response that the host has given itself. */
export type RequestEnd =
  | ProxyFailed
  | LengthRequired
  | ProtocolNotCarried
  | TicketsLimited
  | TunnelUnsupported
  | { readonly _tag: "Decided"; readonly response: GeneratedResponse }

/** What `endRequest` dies with; `handle` fails with its `end`. */
export class RequestEnded {
  readonly end: RequestEnd
  constructor(end: RequestEnd) {
    this.end = end
  }
}

/**
 * For a `Sender`: ends the request for a reason that does not concern its machine. A defect on its way through the machines, because from a
 * failure it would follow that the machine is resolved again, asked for its status and started.
 */
export const endRequest = (end: RequestEnd): Effect.Effect<never> => Effect.die(new RequestEnded(end))
