import { headerValue } from "@project-ingress/forward"
import type { PolicyRequest } from "../policies/policy.ts"
import type { VisitorRequest } from "./sender.ts"

/** A request as policies see it. */
export const policyRequest = (
  request: VisitorRequest,
  waitUntil: ((work: Promise<unknown>) => void) | undefined,
): PolicyRequest => ({
  method: request.method,
  scheme: request.scheme,
  host: request.host,
  port: publicPort(request),
  path: request.path,
  header: (lowerName) => headerValue(request.headers, lowerName),
  clientAddress: request.clientAddress,
  upgrade: request.upgrade !== false,
  get signal() {
    return request.signal
  },
  waitUntil: waitUntil ?? ignore,
})

const publicPort = ({ host, scheme }: VisitorRequest): number => {
  const named = /:(\d{1,5})$/.exec(host)?.[1]
  return named === undefined ? (scheme === "https" ? 443 : 80) : Number(named)
}

const ignore = (): void => {}
