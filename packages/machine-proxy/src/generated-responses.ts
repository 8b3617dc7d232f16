import { errorResponse, headerValue, prefersHtml } from "@project-ingress/forward"
import type { GeneratedResponse, HopHeaderNames } from "@project-ingress/forward"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import { machineProxyErrors } from "./error-rows.ts"
import type { MachineProxyErrorTag } from "./error-rows.ts"

/** The responses that the proxy makes itself, each with the stamp. */
export interface GeneratedResponses {
  /** JSON or, for a navigation, a page. Without a request: JSON. */
  readonly failure: (tag: MachineProxyErrorTag, request: IncomingRequest | undefined) => GeneratedResponse
  /** 200 `{"status":"ok"}`. */
  readonly healthy: GeneratedResponse
}

/**
 * Makes each response once, because none depends on its request beyond JSON or page. `pseudonym` is the proxy's in
 * `Via`.
 */
export const generatedResponses = (headerNames: HopHeaderNames, pseudonym: string): GeneratedResponses => {
  const stamp = [headerNames.stamp, "1"] as const
  const pages = new Map<MachineProxyErrorTag, GeneratedResponse>()
  const data = new Map<MachineProxyErrorTag, GeneratedResponse>()
  return {
    failure: (tag, request) => {
      const page = request !== undefined && prefersHtml((lowerName) => headerValue(request.head.headers, lowerName))
      const made = page ? pages : data
      let response = made.get(tag)
      if (response === undefined) {
        response = errorResponse(machineProxyErrors[tag], { headerNames, pseudonym, page, add: stamp })
        made.set(tag, response)
      }
      return response
    },
    healthy: {
      status: 200,
      headers: ["Content-Type", "application/json", "Cache-Control", "no-store", ...stamp],
      body: `{"status":"ok"}\n`,
    },
  }
}
