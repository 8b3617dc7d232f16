import { errorDocsUrl } from "./error-docs.ts"
import { errorPage, pagePolicy } from "./error-page.ts"
import type { ErrorRow } from "./error-row.ts"
import { grpcMessage, grpcStatus } from "./grpc-status.ts"
import { errorText } from "./error-text.ts"
import type { ErrorSubject } from "./error-text.ts"
import type { ListeningLink } from "./listening-link.ts"
import type { GeneratedResponse } from "./generated-response.ts"
import type { HeaderList } from "./header-list.ts"
import type { HopHeaderNames } from "./header-names.ts"
import type { ResponseFormat } from "./response-format.ts"

/** What {@link errorResponse} takes beside the row. */
export interface ErrorResponseOptions {
  readonly headerNames: HopHeaderNames
  /** The name of the proxy in `Proxy-Status`, the same as in `Via`. */
  readonly pseudonym: string
  /** What `responseFormat` gives for the request. Default: JSON. */
  readonly format?: ResponseFormat | undefined
  /** The request's method: a page in response to a form's POST does not reload, which would send the form again. Default GET. */
  readonly method?: string
  /** What the request asked for, for the placeholders of the row's title. */
  readonly subject?: ErrorSubject
  /** One more sentence, about this request. Untrusted text. */
  readonly detail?: string
  /** The request's id: in the body and in its header. */
  readonly requestId?: string
  /** The URLs of the pages about codes, with `{code}` in it, instead of the row's own. */
  readonly errorDocs?: string | undefined
  /** Overrides the row's status, as for an access that is to look like a missing route. */
  readonly status?: number
  /**
   * True: a response to gRPC keeps its HTTP status, for a reader that goes by it: our router. Default false: it is 200, as clients of gRPC
   * want it.
   */
  readonly keepStatus?: boolean
  /** Seconds, a non-negative integer; overrides the row's. */
  readonly retryAfter?: number
  /** What is there instead of what was asked for, for a visitor who may know: the ports in JSON, links on a page. */
  readonly listening?: readonly ListeningLink[] | undefined
  /** Added last. */
  readonly add?: HeaderList
}

/**
 * The response for a failure, as JSON `{ error, message, docs, retryable, requestId }`, as a page, as one line of text or as a status of
 * gRPC: never cached, with the code, `Proxy-Status` and, where waiting helps, `Retry-After`.
 */
export const errorResponse = (row: ErrorRow, options: ErrorResponseOptions): GeneratedResponse => {
  const { headerNames, pseudonym, format = "json", method = "GET", errorDocs, requestId, listening } = options
  const { code } = row
  const status = options.status ?? row.status
  const retryAfter = options.retryAfter ?? row.retryAfter
  const docs = errorDocs === undefined ? row.docs : errorDocsUrl(errorDocs, code)
  const text = errorText(row, options.subject, options.detail)
  const ofForm = method !== "GET" && method !== "HEAD"
  const message = `${text.what} ${text.next}`.trimEnd()
  const body = {
    json: () => {
      const retryable = row.retryable ?? retryAfter !== undefined
      const ports = listening?.map(({ port }) => port)
      return JSON.stringify({ error: code, message, docs, retryable, requestId, listening: ports })
    },
    text: () => {
      const retry = retryAfter === undefined ? "" : ` Try again in ${retryAfter} s.`
      const more = [requestId && `request ${requestId}`, docs].filter(Boolean).join(", ")
      const instead = listening?.length ? ` Listening: ${listening.map(({ port }) => port).join(", ")}.` : ""
      return `${status} ${code}: ${message}${instead}${retry}${more && ` (${more})`}`
    },
    page: () =>
      errorPage({
        ...text,
        status,
        code,
        docs,
        requestId,
        listening,
        reload: retryAfter === undefined ? undefined : { seconds: retryAfter, header: headerNames.error },
        progress: row.progress === true,
        ofForm,
      }),
  }
  const isCall = format === "grpc"
  return {
    // A response without a body whose head has the status is what gRPC calls Trailers-Only.
    status: isCall && options.keepStatus !== true ? 200 : status,
    code,
    headers: [
      "Content-Type",
      contentTypes[format],
      "Cache-Control",
      "no-store",
      "X-Content-Type-Options",
      "nosniff",
      "Proxy-Status",
      `${pseudonym}; error=${row.error}`,
      headerNames.error,
      code,
      ...(requestId === undefined ? [] : [headerNames.requestId, requestId]),
      ...(retryAfter === undefined ? [] : ["Retry-After", String(retryAfter)]),
      ...(isCall
        ? ["Grpc-Status", String(grpcStatus(status)), "Grpc-Message", grpcMessage(`${code}: ${message}`)]
        : []),
      ...(status === 405 ? ["Allow", row.allow ?? ""] : []),
      ...(format === "page" ? ["Content-Security-Policy", pagePolicy(retryAfter !== undefined && !ofForm)] : []),
      ...(options.add ?? []),
    ],
    body: format === "grpc" ? "" : `${body[format]()}\n`,
  }
}

const contentTypes: Readonly<Record<ResponseFormat, string>> = {
  grpc: "application/grpc",
  json: "application/json",
  text: "text/plain; charset=utf-8",
  page: "text/html; charset=utf-8",
}
