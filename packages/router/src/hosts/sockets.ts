import { headerValue } from "@project-ingress/forward"
import type {
  ExpectedStamps,
  ForwardErrorTag,
  GeneratedResponse,
  HeaderList,
  HopHeaderNames,
} from "@project-ingress/forward"
import { appValue, isProven, isSafe } from "@project-ingress/forward/internal"
import type { SendFailure } from "@project-ingress/forward/fetch"
import type { ResponseHead } from "@project-ingress/forward/http1"
import type { Decision, ForwardDirective, IncomingRequest, TakeOver } from "@project-ingress/forward/sockets"
import { bodyOf, fetchTransport } from "@project-ingress/providers/internal"
import type { AttemptResponse } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import type { AskedRequest } from "../error-response.ts"
import { isCall } from "../program/protocol.ts"
import { endRequest } from "../program/sender.ts"
import type { ArrivedHop } from "../program/arrived-hop.ts"
import type { RegionHops } from "../program/region-hops.ts"
import type { MachineRequest, ResponseEdit, Sender, VisitorRequest } from "../program/sender.ts"
import type { MachineResponse } from "../program/send-to-machine.ts"
import type { RouterProgram } from "../router-program.ts"
import type { Held } from "./bounds.ts"
import type { ClientIdentity } from "./client-identity.ts"
import type { OpenAccess } from "./open-access.ts"
import { withHostField } from "./public-authority.ts"
import { refuseBySocket } from "./refuse-by-socket.ts"
import { requestFrom, responseOf, visitorFields } from "./request-response.ts"
import { sendByFetch } from "./send-by-fetch.ts"
import { sendFailure } from "./send-failure.ts"
import { upstreamAddress, withHost } from "./upstream-address.ts"

/** Responses that are not the router's program's. */
export interface HostResponses {
  readonly failure: (tag: ForwardErrorTag, request: IncomingRequest) => GeneratedResponse
  readonly fallback: (
    request: IncomingRequest,
    identity: ClientIdentity,
  ) => GeneratedResponse | TakeOver | Promise<GeneratedResponse>
}

/** A machine's response: by a socket, whose body stays with the engine, or by Fetch from a machine without an address. */
type HostResponse = ResponseHead | { readonly fetched: Response }

/** Runs the router's program for one request of the engine. */
export const serveExchange = (
  program: RouterProgram,
  request: IncomingRequest,
  identity: ClientIdentity,
  held: Held,
  access: OpenAccess,
  { failure, fallback }: HostResponses,
): Decision | Promise<Decision> => {
  const visitor = new SocketVisitor(request, identity, program.hops)
  const sender = socketSender(program, request, visitor, held, access)
  return program.run<HostResponse, Decision>(
    visitor,
    sender,
    () => originalRequest(program, request, identity),
    (outcome) => {
      if (outcome._tag === "NotOurs") return fallback(request, identity)
      // A client that left reads nothing; the engine only has to be given something.
      if (outcome._tag === "ClientLeft") return failure("ProxyFailed", request)
      if (outcome._tag !== "Machine") return "replaced" in outcome ? responseOf(outcome.replaced) : outcome.response
      if ("fetched" in outcome.response)
        return fetchedResponse(program, outcome, outcome.response.fetched, visitor.hop !== undefined)
      return callResponse(outcome.code, outcome.response, program.headerNames) ?? "relay"
    },
  )
}

/** A request of the engine as the program sees it. A class, because an object literal with a getter is slow to make. */
class SocketVisitor implements VisitorRequest, AskedRequest {
  readonly method: string
  readonly host: string
  readonly path: string
  readonly headers: HeaderList
  readonly scheme: "http" | "https"
  readonly clientAddress: string | undefined
  readonly requestId: string
  readonly hop: ArrivedHop | undefined
  readonly localPort: number | undefined
  readonly upgrade: boolean
  readonly expect: boolean
  readonly trailers = true
  readonly #request: IncomingRequest

  constructor(
    request: IncomingRequest,
    { host, scheme, clientAddress, hop }: ClientIdentity,
    hops: RegionHops | undefined,
  ) {
    const { head } = request
    const localPort = hop === undefined ? request.localPort : hop.localPort
    this.method = head.method
    this.host = host
    this.path = head.target
    this.headers = withHostField(hop === undefined ? head.headers : hops!.restored(head.headers), host)
    this.scheme = scheme
    this.clientAddress = clientAddress
    this.requestId = hop === undefined ? request.id : hop.requestId
    this.hop = hop
    this.localPort = localPort === 0 ? undefined : localPort
    this.upgrade = head.upgrade
    this.expect = head.expect
    this.#request = request
  }

  get signal(): AbortSignal {
    return this.#request.signal
  }

  onAbort(listener: () => void): void {
    this.#request.onAbort(listener)
  }
}

const originalRequest = ({ headerNames }: RouterProgram, request: IncomingRequest, identity: ClientIdentity): Request =>
  requestFrom(request, identity, { headerNames, body: false }) ?? new Request("http://invalid/")

const socketSender = (
  program: RouterProgram,
  request: IncomingRequest,
  visitor: VisitorRequest,
  held: Held,
  access: OpenAccess,
): Sender<HostResponse> => {
  const { headerNames, headersTimeoutMs } = program
  let forget: (() => void) | undefined

  const bySocket = (machineRequest: MachineRequest): Effect.Effect<AttemptResponse<ResponseHead>, SendFailure> => {
    const { stamps } = machineRequest
    return Effect.flatMap(
      Effect.promise(() =>
        request.send({
          origin: upstreamAddress(machineRequest),
          headers: withHost(machineRequest),
          headersTimeoutMs,
          ...paceOf(visitor, machineRequest),
          response: (head) => {
            // Nobody but the machine that the ticket was for may speak in our name; an app without a machine proxy never.
            const byRouter = machineRequest.toRouter !== undefined
            const stamped = byRouter || (stamps !== undefined && isStamped(head, stamps, headerNames))
            if (!stamped && stamps !== undefined && head.status < 200 && head.status !== 101) return undefined
            const { rewrite, edit } = machineRequest.changes
            return {
              headerNames,
              stamped,
              byRouter,
              uncached: visitor.hop !== undefined,
              edgeCookies: machineRequest.edgeCookies,
              rewrite,
              edit: edit && editOf(edit, head, stamped ? headerNames : undefined),
              add: [],
            }
          },
        }),
      ),
      (sent) => {
        if ("head" in sent) return Effect.succeed(received(sent.head, stamps))
        if ("ended" in sent) return endRequest({ _tag: "Decided", response: sent.ended })
        return Effect.fail(sendFailure(sent.error))
      },
    )
  }

  const byFetch = (machineRequest: MachineRequest): Effect.Effect<AttemptResponse<HostResponse>, SendFailure> =>
    Effect.map(
      sendByFetch(
        program,
        { request: visitor, body: () => request.body(machineRequest.settings?.minBodyRate) },
        machineRequest,
      ),
      (attempt) => ({
        ...attempt,
        response: { fetched: attempt.response },
      }),
    )

  return {
    send: (machineRequest): Effect.Effect<AttemptResponse<HostResponse>, SendFailure> =>
      machineRequest.endpoint.fetch === undefined ? bySocket(machineRequest) : byFetch(machineRequest),
    // The engine throws a socket's response away by itself when the next decision is another one.
    discard: (response) => {
      if ("fetched" in response) fetchTransport.discard(response.fetched)
    },
    readPrefix: async (response) => ("fetched" in response ? fetchTransport.readPrefix(response.fetched) : undefined),
    replayable: (sent) => request.replayable && (sent === "no" || isSafe(visitor.method)),
    closed: () => request.over(),
    refuseRoad: refuseBySocket,
    admit: (record, machine) => held.admit(record, machine),
    onLetIn: (who, route) => {
      forget?.()
      forget = access.watch({ request, visit: visitor, visitor: who, route })
    },
  }
}

/** A call of gRPC has a deadline of its own, and both sides may be silent until then. */
const paceOf = (
  visitor: VisitorRequest,
  { settings = {} }: MachineRequest,
): Pick<ForwardDirective, "minBodyRate" | "bodyIdleTimeoutMs"> =>
  settings.protocol === "h2c" && isCall(visitor)
    ? { minBodyRate: settings.minBodyRate ?? 0, bodyIdleTimeoutMs: 0 }
    : { minBodyRate: settings.minBodyRate }

/**
 * What the machine's proxy responded to a client of gRPC, with the HTTP status that clients of gRPC want: its own one was for this router.
 * `undefined` for every other response.
 */
const callResponse = (
  code: string | undefined,
  { headers }: ResponseHead,
  names: HopHeaderNames,
): GeneratedResponse | undefined => {
  if (code === undefined || headerValue(headers, "grpc-status") === undefined) return undefined
  const passed = ["content-type", "cache-control", "proxy-status", "grpc-status", "grpc-message", "retry-after"]
  const kept = [...passed, names.error, names.requestId].flatMap((name) => {
    const value = headerValue(headers, name)
    return value === undefined ? [] : [name, value]
  })
  return { status: 200, code, headers: kept }
}

const editOf = (edit: ResponseEdit, head: ResponseHead, hiddenBy: HopHeaderNames | undefined) => {
  const value = (lowerName: string) => headerValue(head.headers, lowerName)
  const header = (lowerName: string) => appValue(value, lowerName, hiddenBy)
  return (fields: readonly string[]) => edit({ status: head.status, header }, fields)
}

/** Whether the machine that the ticket was for gave it, itself or for its app. */
const isStamped = (
  { status, headers }: ResponseHead,
  stamps: ExpectedStamps,
  { stamp, error }: HopHeaderNames,
): boolean => isProven(headerValue(headers, stamp), stamps, { status, code: headerValue(headers, error) })

const received = (head: ResponseHead, stamps: ExpectedStamps | undefined): AttemptResponse<ResponseHead> => ({
  status: head.status,
  header: (lowerName) => headerValue(head.headers, lowerName),
  stamps,
  response: head,
})

/** A response that came by Fetch for the engine, which holds its body to the length that it names. */
const fetchedResponse = (
  { headerNames }: RouterProgram,
  machine: MachineResponse<HostResponse>,
  response: Response,
  isHop: boolean,
): GeneratedResponse => {
  const headers = [...visitorFields({ ...machine, response }, headerNames, isHop)]
  const at = headers.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === "content-length")
  if (at >= 0 && !/^\d{1,15}$/.test(headers[at + 1]!)) headers.splice(at, 2)
  return { status: machine.status, headers, body: bodyOf(response) }
}
