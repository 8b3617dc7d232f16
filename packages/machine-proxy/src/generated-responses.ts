import { errorResponse, headerValue, responseFormat } from "@project-ingress/forward"
import type { GeneratedResponse, HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { healthResponse, isRequestId, nextRequestId, UNPROVEN } from "@project-ingress/forward/internal"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import { machineProxyErrors } from "./error-rows.ts"
import type { MachineProxyErrorTag } from "./error-rows.ts"

/** What a failure's response names beside its row. */
export interface Particulars {
  /** Whether a ticket proves that the sender is the router: then the request keeps the id that the router gave it. */
  readonly trusted: boolean
  /** The port that was asked for. */
  readonly port?: number | undefined
  /** What says how a response is to look, of a request that could not be read. */
  readonly unread?: HeaderList
  /** What proves that this machine generated it. */
  readonly stamp: string
}

/** The responses that the proxy makes itself, each with the stamp. */
export interface GeneratedResponses {
  /** In the format that the request asks for. */
  readonly failure: (
    tag: MachineProxyErrorTag,
    request: IncomingRequest | undefined,
    particulars: Particulars,
  ) => GeneratedResponse
  /** Of the health check. */
  readonly health: (ready: boolean) => GeneratedResponse
}

/** What the responses have in common. `pseudonym` is the proxy's in `Via`. */
export interface GeneratedResponseSettings {
  readonly headerNames: HopHeaderNames
  readonly pseudonym: string
  readonly errorDocs: string | undefined
}

export const generatedResponses = (settings: GeneratedResponseSettings): GeneratedResponses => {
  const { headerNames } = settings
  const routersId = ({ head }: IncomingRequest): string | undefined => {
    const id = headerValue(head.headers, headerNames.requestId)
    return id !== undefined && isRequestId(id) ? id : undefined
  }
  return {
    failure: (tag, request, { trusted, port, stamp, unread = [] }) =>
      errorResponse(machineProxyErrors[tag], {
        ...settings,
        format: responseFormat((lowerName) => headerValue(request?.head.headers ?? unread, lowerName)),
        keepStatus: true,
        subject: { port },
        requestId: (trusted && request && routersId(request)) || (request?.id ?? nextRequestId()),
        ...(request === undefined ? {} : { method: request.head.method }),
        add: [headerNames.stamp, stamp],
      }),
    health: (ready) => healthResponse(ready ? "ok" : "draining", [headerNames.stamp, UNPROVEN]),
  }
}
