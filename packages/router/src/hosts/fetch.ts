import type { GeneratedResponse } from "@project-ingress/forward"
import { isSafe, nextRequestId } from "@project-ingress/forward/internal"
import { fetchTransport, inboundFields, isWorkerd, knownBody, observedBody } from "@project-ingress/providers/internal"
import * as Effect from "effect/Effect"
import type { AskedRequest } from "../error-response.ts"
import { LengthRequired, ProxyFailed } from "../errors.ts"
import { clientAddressOf, endRequest } from "../program/sender.ts"
import type { Sender, VisitorRequest } from "../program/sender.ts"
import type { Router } from "../router-options.ts"
import type { RouterProgram } from "../router-program.ts"
import { publicAuthority, withHostField } from "./public-authority.ts"
import { bodiless, headersFrom, visitorResponse } from "./request-response.ts"
import { sendByFetch } from "./send-by-fetch.ts"

type Context = Parameters<Router["fetch"]>[1]

/** The host for Fetch: from a `Request` to a `Response` over the platform's own HTTP client. */
export const fetchHandler = (program: RouterProgram): Router["fetch"] => {
  const respond = async (request: Request, context: Context): Promise<Response | undefined> => {
    const asked = visitorRequest(request, program)
    const { hops } = program
    const visitor = hops === undefined ? asked : await hops.asSent(asked)
    const sent = { onEnd: ignore }
    const sender = fetchSender(program, request, visitor, context, sent)
    return program.run(
      visitor,
      sender,
      () => request,
      (outcome) => {
        if (outcome._tag === "NotOurs") return undefined
        if (outcome._tag === "Machine") {
          const response = visitorResponse(outcome, program.headerNames, visitor.hop !== undefined)
          return sent.onEnd === ignore ? response : observedBody(response, sent.onEnd)
        }
        // Nobody reads it. 499 is nginx's number for a client that left.
        if (outcome._tag === "ClientLeft") return new Response(null, { status: 499 })
        return "replaced" in outcome ? outcome.replaced : responseFrom(outcome.response, request)
      },
    )
  }
  return async (request, context) => {
    try {
      return await respond(request, context)
    } catch (cause) {
      const asked = { method: request.method, host: "", requestId: nextRequestId() }
      const { replaced, response } = program.failed(new ProxyFailed({ cause }), asked, () => request)
      return replaced ?? responseFrom(response, request)
    }
  }
}

/** The head of a `Request`, as raw as the platform shows it. */
export const visitorRequest = (
  request: Request,
  { clientAddress, publicPorts }: Pick<RouterProgram, "clientAddress" | "publicPorts">,
): VisitorRequest & AskedRequest => {
  const { url } = request
  const parsed = new URL(url)
  const scheme = parsed.protocol === "https:" ? "https" : "http"
  const host = publicAuthority(authorityOf(parsed, request.headers.get("host")), scheme, publicPorts)
  const upgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket" && request.method === "GET"
  return {
    method: request.method,
    host,
    path: pathOf(url, parsed),
    headers: withHostField(inboundFields(request), host),
    scheme,
    clientAddress: clientAddressOf(clientAddress?.(request)),
    requestId: nextRequestId(),
    upgrade: upgrade && (isWorkerd() ? true : "unsupported"),
    signal: request.signal,
  }
}

/**
 * The authority as sent. Where the URL and the `Host` it was made of disagree, a path or a second name may be hidden in it
 * (`Host: a/b?`, CVE-2026-48710): both, joined as two `Host` lines would be, which no grammar accepts.
 */
const authorityOf = (url: URL, header: string | null): string => {
  if (header === null) return url.host
  const lower = header.toLowerCase()
  const agrees =
    lower === url.host || (url.port === "" && lower === `${url.host}:${url.protocol === "https:" ? 443 : 80}`)
  return agrees ? header : `${header},${url.host}`
}

/** Path and query as they stand in the URL's text, without its fragment. workerd leaves what is not ASCII unescaped there. */
const pathOf = (url: string, parsed: URL): string => {
  const start = url.indexOf("/", url.indexOf("//") + 2)
  if (start === -1) return parsed.pathname + parsed.search
  const end = url.indexOf("#", start)
  const path = end === -1 ? url.slice(start) : url.slice(start, end)
  return path.replaceAll(/[\u0080-\uffff]+/g, encodeURIComponent)
}

const fetchSender = (
  program: RouterProgram,
  request: Request,
  visitor: VisitorRequest,
  context: Context,
  /** `onEnd` is set where somebody wants to know when the response's body is over. */
  sent: { onEnd: () => void },
): Sender<Response> => {
  let used = false
  let closed: Promise<void> | undefined
  // Found out when first sent: a request that is not ours is not touched.
  let known: ReturnType<typeof knownBody> | undefined
  const send: Sender<Response>["send"] = Effect.fnUntraced(function* (machineRequest) {
    const reading = (known ??= knownBody(request))
    const body = reading instanceof Promise ? yield* Effect.promise(() => reading) : reading
    if (body === "unknown length") return yield* endRequest(new LengthRequired())
    const take = () => {
      used ||= body !== null
      return body
    }
    return yield* sendByFetch(program, { request: visitor, body: take, inbound: request }, machineRequest)
  })
  return {
    send,
    discard: fetchTransport.discard,
    readPrefix: fetchTransport.readPrefix,
    replayable: (sent) => !used && (sent === "no" || isSafe(visitor.method)),
    waitUntil: (work) => context?.waitUntil?.(work),
    closed: () => (closed ??= new Promise<void>((resolve) => (sent.onEnd = resolve))),
  }
}

const ignore = (): void => {}

/** A generated response for Fetch. */
export const responseFrom = (
  { body, headers, status }: GeneratedResponse,
  { method }: Pick<Request, "method">,
): Response => {
  // RFC 9110 §9.3.2. Not every runtime drops it.
  const hasBody = method !== "HEAD" && !bodiless.has(status)
  return new Response(hasBody ? ((body ?? null) as BodyInit | null) : null, { status, headers: headersFrom(headers) })
}
