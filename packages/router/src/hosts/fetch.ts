import { defaultHeaderNames, errorResponse, forwardErrors } from "@project-ingress/forward"
import type { GeneratedResponse } from "@project-ingress/forward"
import { fetchTransport } from "@project-ingress/providers/internal"
import { ProxyFailed } from "../errors.ts"
import type { RouterError } from "../errors.ts"
import { headersFrom, listFrom, passed, sendByFetch } from "./send-by-fetch.ts"
import { pseudonym } from "../program/handle.ts"
import { isSafe } from "../program/exchange.ts"
import type { Exchange, Inbound } from "../program/exchange.ts"
import type { Router, RouterOptions } from "../router.ts"

type Context = Parameters<Router["fetch"]>[1]

/** The fetch-shaped way in and out: `Request` to `Response` over the platform's own HTTP client. */
export const fetchDoor = (options: RouterOptions, run: Router["run"]): Router["fetch"] => {
  const { headerNames: names = defaultHeaderNames } = options
  const respond = async (request: Request, context: Context): Promise<Response | undefined> => {
    const inbound = inboundFrom(request, options)
    const ending = await run(inbound, exchangeFor(request, inbound, options, context), {
      signal: request.signal,
      request: () => request,
    })
    if (ending._tag === "Foreign") return undefined
    if (ending._tag === "Answered") return passed(ending, names)
    if (ending._tag === "Failed") return ending.response ?? responseFrom(ending.answer)
    // The client left: nobody reads it. 499 is nginx's word for that.
    return new Response(null, { status: 499 })
  }
  const broken = () => responseFrom(errorResponse(forwardErrors.ProxyFailed, { headerNames: names, pseudonym }))
  return async (request, context) => {
    try {
      return await respond(request, context)
    } catch (cause) {
      return replacement(options, new ProxyFailed({ cause }), request) ?? broken()
    }
  }
}

/** What `onError` wants instead of our answer. Its own throw leaves ours. */
export const replacement = (options: RouterOptions, error: RouterError, request: Request): Response | undefined => {
  try {
    return options.onError?.(error, request)
  } catch {
    return undefined
  }
}

/** The head of a `Request`, as raw as the platform lets us see it. */
const inboundFrom = (request: Request, options: Pick<RouterOptions, "clientAddress">): Inbound => {
  const { url } = request
  const parsed = new URL(url)
  const headers = listFrom(request.headers)
  const address = options.clientAddress?.(request)
  const upgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket" && request.method === "GET"
  return {
    method: request.method,
    host: hostOf(parsed, request.headers.get("host")),
    target: targetOf(url, parsed),
    headers,
    scheme: parsed.protocol === "https:" ? "https" : "http",
    ...(address === undefined ? {} : { clientAddress: address }),
    upgrade: upgrade && (passesWebSockets() ? true : "unsupported"),
  }
}

/**
 * The authority as sent. Where the URL and the `Host` it was made of disagree, somebody hides a path or a second name in it
 * (`Host: a/b?`, CVE-2026-48710): both, joined as two `Host` lines would be, which no grammar takes.
 */
const hostOf = (url: URL, header: string | null): string => {
  if (header === null) return url.host
  const lower = header.toLowerCase()
  const agrees =
    lower === url.host || (url.port === "" && lower === `${url.host}:${url.protocol === "https:" ? 443 : 80}`)
  return agrees ? header : `${header},${url.host}`
}

/** Path and query as they stand in the URL's text, without its fragment. */
const targetOf = (url: string, parsed: URL): string => {
  const start = url.indexOf("/", url.indexOf("//") + 2)
  if (start === -1) return parsed.pathname + parsed.search
  const end = url.indexOf("#", start)
  return end === -1 ? url.slice(start) : url.slice(start, end)
}

/** Only workerd's `fetch` gives the socket of a 101 to its caller. */
const passesWebSockets = (): boolean => "WebSocketPair" in globalThis

const exchangeFor = (
  request: Request,
  inbound: Inbound,
  options: RouterOptions,
  context: Context,
): Exchange<Response> => {
  let used = false
  const body = () => {
    used ||= request.body !== null
    return request.body
  }
  return {
    send: (outgoing) => sendByFetch({ inbound, body, signal: request.signal }, outgoing, options),
    discard: fetchTransport.discard,
    readPrefix: fetchTransport.readPrefix,
    replayable: (sent) => !used && (sent === "no" || isSafe(inbound.method)),
    waitUntil: (work) => context?.waitUntil?.(work),
  }
}

const responseFrom = (answer: GeneratedResponse): Response =>
  new Response((answer.body ?? null) as BodyInit | null, {
    status: answer.status,
    headers: headersFrom(answer.headers),
  })
