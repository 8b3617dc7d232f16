import { errorResponse, headerValue, responseFormat } from "@project-ingress/forward"
import type { GeneratedResponse, HopHeaderNames } from "@project-ingress/forward"
import { isRequestId, nextRequestId, UNPROVEN } from "@project-ingress/forward/internal"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import { machineProxyErrors } from "./error-rows.ts"
import type { MachineProxyErrorTag } from "./error-rows.ts"

/** What a failure's response names beside its row. */
export interface Particulars {
  /** Whether a ticket proves that the sender is the router: then the request keeps the id that the router gave it. */
  readonly trusted: boolean
  /** The port that was asked for. */
  readonly port?: number | undefined
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
  /** 200 `{"status":"ok"}`. */
  readonly healthy: GeneratedResponse
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
    failure: (tag, request, { trusted, port, stamp }) =>
      errorResponse(machineProxyErrors[tag], {
        ...settings,
        // Of what could not be read as a request nobody knows what it asks for.
        format: request && responseFormat((lowerName) => headerValue(request.head.headers, lowerName)),
        subject: { port },
        requestId: (trusted && request && routersId(request)) || (request?.id ?? nextRequestId()),
        ...(request === undefined ? {} : { method: request.head.method }),
        add: [headerNames.stamp, stamp],
      }),
    healthy: {
      status: 200,
      headers: ["Content-Type", "application/json", "Cache-Control", "no-store", headerNames.stamp, UNPROVEN],
      body: `{"status":"ok"}\n`,
    },
  }
}
