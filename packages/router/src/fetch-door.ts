import { defaultNames, failureAnswer, responseHeaders } from "@project-ingress/forward"
import type { Answer, HeaderList, HopNames } from "@project-ingress/forward"
import { forwardFetch, SendFailure } from "@project-ingress/forward/fetch"
import * as Effect from "effect/Effect"
import { ProxyFailed } from "./errors.ts"
import type { RouterError } from "./errors.ts"
import type { Handled } from "./handle.ts"
import { headersTimeoutMs, pseudonym } from "./handle.ts"
import { isSafe } from "./inbound.ts"
import type { Exchange, Inbound } from "./inbound.ts"
import type { Router, RouterOptions } from "./router.ts"

/** The fetch-shaped way in and out: `Request` to `Response` over the platform's own HTTP client. */
export const fetchDoor = (options: RouterOptions, run: Router["run"]): Router["fetch"] => {
  const { names = defaultNames } = options
  const respond = async (request: Request): Promise<Response | undefined> => {
    const inbound = inboundFrom(request, options)
    const ending = await run(inbound, exchangeFor(request, inbound, options), {
      signal: request.signal,
      request: () => request,
    })
    if (ending._tag === "Foreign") return undefined
    if (ending._tag === "Answered") return passed(ending, names)
    if (ending._tag === "Failed") return ending.response ?? responseFrom(ending.answer)
    // The client left: nobody reads it. 499 is nginx's word for that.
    return new Response(null, { status: 499 })
  }
  const broken = () => responseFrom(failureAnswer("ProxyFailed", { names, pseudonym }))
  return async (request) => {
    try {
      return await respond(request)
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

const exchangeFor = (request: Request, inbound: Inbound, options: RouterOptions): Exchange<Response> => {
  const { forward = forwardFetch } = options
  let used = false
  return {
    send: ({ endpoint, headers }) =>
      Effect.tryPromise({
        try: async (signal) => {
          const { body } = request
          used ||= body !== null
          const answer = await forward({
            origin: endpoint.origin,
            target: inbound.target,
            method: inbound.method,
            headers,
            body,
            // The fibre's ends with the answer's head, the request's with its client: a quiet stream must end then, too.
            signal: AbortSignal.any([signal, request.signal]),
            upgrade: inbound.upgrade === true,
            headersTimeoutMs: options.headersTimeoutMs ?? headersTimeoutMs,
          })
          return {
            status: answer.status,
            header: (lowerName: string) => answer.headers.get(lowerName) ?? undefined,
            answer,
          }
        },
        catch: (cause) => (cause instanceof SendFailure ? cause : new SendFailure("other", "maybe", cause)),
      }),
    discard: (answer) => void answer.body?.cancel().catch(() => undefined),
    replayable: (sent) => !used && (sent === "no" || isSafe(inbound.method)),
  }
}

/** A response's fields; every `Set-Cookie` is a line of its own, because they cannot be joined (RFC 6265 §3). */
export const listFrom = (headers: Headers): string[] => {
  const list: string[] = []
  headers.forEach((value, name) => {
    if (name !== "set-cookie") list.push(name, value)
  })
  for (const cookie of headers.getSetCookie()) list.push("set-cookie", cookie)
  return list
}

const headersFrom = (list: HeaderList): Headers => {
  const headers = new Headers()
  for (let i = 0; i < list.length; i += 2) headers.append(list[i]!, list[i + 1]!)
  return headers
}

/** RFC 9110 §15: answers that have no body, and for which `new Response` refuses one. */
const bodiless = new Set([204, 205, 304])

/** The machine's answer for the client. A 101 stays the very object: its socket cannot be carried over. */
const passed = ({ answer, status, stamped }: Handled<Response>, names: HopNames): Response => {
  if (status === 101) return answer
  const list = responseHeaders(listFrom(answer.headers), { names, stamped, add: [] }, { status, chunked: false })
  return new Response(bodiless.has(status) ? null : answer.body, {
    status,
    statusText: answer.statusText,
    headers: headersFrom(list),
  })
}

const responseFrom = (answer: Answer): Response =>
  new Response((answer.body ?? null) as BodyInit | null, {
    status: answer.status,
    headers: headersFrom(answer.headers),
  })
