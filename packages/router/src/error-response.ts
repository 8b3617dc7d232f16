import { errorResponse, headerValue, responseFormat } from "@project-ingress/forward"
import type {
  ErrorRow,
  ErrorSubject,
  GeneratedResponse,
  HeaderList,
  HopHeaderNames,
  ResponseFormat,
} from "@project-ingress/forward"
import { validGeneratedResponse } from "@project-ingress/forward/internal"
import { parse, portOf } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import { providerErrors } from "@project-ingress/providers/internal"
import { routerErrors, serviceNotFound } from "./error-rows.ts"
import type { RouterError } from "./errors.ts"
import { pseudonym } from "./hop/loop.ts"
import type { ListeningPort } from "./policies/inspection.ts"
import { PolicyError, PolicyMistake } from "./policies/policy-error.ts"
import type { VisitorRequest } from "./program/sender.ts"

/** What is known of a request whose response failed. */
export interface FailedRequest {
  /** What the client asked for: a page, JSON or plain text. */
  readonly format: ResponseFormat
  /** Whether a page is wanted. */
  readonly page: boolean
  readonly requestId: string
  /**
   * What the visitor knows as well: hostname, and what it says of project and port. Untrusted text, to be escaped. The port is the
   * one arrived at where a port is closed.
   */
  readonly subject: ErrorSubject
  /** What listens instead of a port that is closed, as far as the visitor may open it; absent unless a policy has let the visitor inspect. */
  readonly listening?: readonly ListeningPort[]
}

/**
 * Replaces responses by the error's tag. Gets the row, and what is known of the request; `undefined` keeps the standard one. A
 * response without the headers of the code and the request's id is given them.
 */
export type ErrorResponses = Readonly<
  Record<string, (row: ErrorRow, request: FailedRequest) => GeneratedResponse | undefined>
>

/** The part of a request that its error response depends on. */
export interface AskedRequest extends Pick<VisitorRequest, "method" | "host"> {
  /** Of a request that could not be read, what says how a response is to look. Absent: plain text. */
  readonly headers?: HeaderList
  readonly requestId: string
}

/** What the error responses of a router depend on beside the request. */
export interface ErrorResponseSettings {
  readonly grammar: Grammar
  readonly headerNames: HopHeaderNames
  readonly errorResponses?: ErrorResponses | undefined
  readonly errorDocs?: string | undefined
}

/** Makes the error responses of one router: the one place where a failure turns into a status. */
export interface ErrorResponder {
  /** The response for a failure of the program. */
  readonly forError: (error: RouterError, request: AskedRequest) => GeneratedResponse
  /** The response for a row: for the failures of an engine, which are tags alone. */
  readonly forRow: (tag: string, row: ErrorRow, request: AskedRequest) => GeneratedResponse
  /** What replaces a response that a machine's proxy generated, by status and code; `undefined`: nothing does. */
  readonly replacing: (status: number, code: string, request: AskedRequest) => GeneratedResponse | undefined
  /** The response for a port that a machine's proxy found closed, with what listens instead. */
  readonly portClosed: (port: number, listening: readonly ListeningPort[], request: AskedRequest) => GeneratedResponse
}

/** An error response, and the one that `onError` wants instead of it. */
export interface FailedResponse {
  readonly response: GeneratedResponse
  readonly replaced?: Response
}

/** What one failure adds to its row. */
interface Particulars {
  readonly port?: number
  readonly detail?: string
  readonly location?: string | undefined
  readonly add?: HeaderList
  readonly retryAfter?: number
  readonly listening?: readonly ListeningPort[]
}

export const errorResponder = (settings: ErrorResponseSettings): ErrorResponder => {
  const { grammar, headerNames, errorResponses = {}, errorDocs } = settings

  const describe = ({ host, headers, requestId }: AskedRequest, port?: number): FailedRequest => {
    const format = responseFormat((lowerName) => headers && headerValue(headers, lowerName))
    return { format, page: format === "page", requestId, subject: subjectOf(grammar, host, port) }
  }

  const replacement = (tag: string, row: ErrorRow, failed: FailedRequest): GeneratedResponse | undefined => {
    try {
      const replaced = Object.hasOwn(errorResponses, tag) ? errorResponses[tag]!(row, failed) : undefined
      if (replaced === undefined || validGeneratedResponse(replaced) !== undefined) return undefined
      const ours = [headerNames.error, row.code, headerNames.requestId, failed.requestId]
      const missing = ours.filter((_, at) => headerValue(replaced.headers, ours[at - (at % 2)]!) === undefined)
      return { code: row.code, ...replaced, headers: [...replaced.headers, ...missing] }
    } catch {
      // A page that fails must not fail the response.
      return undefined
    }
  }

  const respond = (tag: string, row: ErrorRow, request: AskedRequest, more: Particulars = {}): GeneratedResponse => {
    const { location, port, ...rest } = more
    const failed = { ...describe(request, port), ...(rest.listening && { listening: rest.listening }) }
    const replaced = replacement(tag, row, failed)
    if (replaced !== undefined) return replaced
    // A redirect only where a person looks: a script that follows it would get a login page for data.
    const moved = failed.page && location !== undefined ? ({ status: 302, add: ["Location", location] } as const) : {}
    const { format, requestId, subject } = failed
    const about = { format, method: request.method, requestId, subject, errorDocs }
    return errorResponse(row, { headerNames, pseudonym, ...about, ...rest, ...moved })
  }

  return {
    forError: (error, request) => {
      const row = rowOf(error)
      // A hidden denial must not be distinguishable: whatever replaces a missing route's response replaces it, too.
      const tag = row === routerErrors.RouteNotFound ? "RouteNotFound" : error._tag
      return respond(tag, row, request, {
        ...("retryAfterMs" in error ? retryAfter(error.retryAfterMs) : {}),
        ...particulars(error),
      })
    },
    forRow: respond,
    portClosed: (port, listening, request) => respond("PortClosed", rows.PortClosed, request, { port, listening }),
    replacing: (status, code, request) => {
      const [tag, row] = Object.entries(rows).find(([, each]) => each.status === status && each.code === code) ?? []
      return tag === undefined || row === undefined ? undefined : replacement(tag, row, describe(request))
    },
  }
}

const particulars = (error: RouterError): Particulars => {
  if (error instanceof PolicyError) {
    const { location, challenge } = error
    return { location, ...(challenge === undefined ? {} : { add: ["WWW-Authenticate", challenge] }) }
  }
  if (error._tag === "ProtocolNotCarried") return { port: error.port, detail: error.reason }
  if (error._tag === "PortClosed" || error._tag === "PortNotHttp") return { port: error.port }
  if (error._tag === "TunnelNotAllowed" || error._tag === "TunnelUnsupported") return { port: error.port }
  return error._tag === "HostnameMalformed" ? { detail: error.reason } : {}
}

/** What the visitor knows: the hostname, and what it says. */
const subjectOf = (grammar: Grammar, host: string, arrivedAt: number | undefined): ErrorSubject => {
  const target = parse(grammar, host)
  const named = target._tag === "Target" ? target : undefined
  return {
    hostname: host.replace(/:\d+$/, "") || undefined,
    project: named?.slug,
    port: arrivedAt ?? (named && portOf(grammar, named)),
  }
}

/** How a failure looks to a client, before anything is replaced. */
export const rowOf = (error: RouterError): ErrorRow => {
  if ("row" in error) return error.row
  if (error._tag === "ProviderUnavailable" && error.timedOut) return providerErrors.ProviderTimeout
  if (error._tag === "MachineNotRunning" && error.state === "archived") return providerErrors.MachineArchived
  if (error._tag === "MachineRecordInvalid" && error.field === "type") return providerErrors.ProviderNotConfigured
  if (error._tag === "RouteInvalid" && error.problem.code === "NOT_SUPPORTED") return routerErrors.RouteNotSupported
  if (error._tag === "RouteNotFound" && error.service !== undefined) return serviceNotFound
  return rows[error._tag]
}

const rows = { ...providerErrors, ...routerErrors }

/** The tags of the failures of routers and providers; engines and policies have more. */
export const errorTags: readonly string[] = Object.keys(rows)

/** RFC 9110 §10.2.3: whole seconds, so at least one; at most a day. */
const retryAfter = (ms: number | undefined): { readonly retryAfter?: number } =>
  ms === undefined || !(ms >= 0) ? {} : { retryAfter: Math.max(1, Math.ceil(Math.min(ms, 86_400_000) / 1000)) }

/** The failure as a sentence, for operators. What somebody else threw is named by its kind alone: its message may be anything. */
export const reasonOf = (error: RouterError): string => {
  if (!("message" in error)) return error.reason
  const { cause } = error
  if (error._tag !== "ProxyFailed" || !(cause instanceof Error)) return error.message
  return cause instanceof PolicyMistake ? cause.message : `${error.message}: ${cause.name}`
}
