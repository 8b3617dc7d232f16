import type { GeneratedResponse } from "@project-ingress/forward"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import { bodyOf } from "@project-ingress/providers/internal"
import { listFrom } from "./send-by-fetch.ts"

/** A request of the engine for a fetch handler; `undefined` when Fetch does not know its method (CONNECT, TRACE). */
export const requestFrom = (
  request: IncomingRequest,
  options: { readonly body: boolean } = { body: true },
): Request | undefined => {
  const { head } = request
  const headers = new Headers()
  for (let i = 0; i < head.headers.length; i += 2) {
    if (!framing.has(head.headers[i]!.toLowerCase())) headers.append(head.headers[i]!, head.headers[i + 1]!)
  }
  const path = head.target.startsWith("/") ? head.target : "/"
  const body = !options.body || head.method === "GET" || head.method === "HEAD" ? null : lazily(request)
  try {
    return new Request(`${request.encrypted ? "https" : "http"}://${head.host}${path}`, {
      method: head.method,
      headers,
      body,
      signal: request.signal,
      // A streamed body needs it (Fetch §5.3); not in every library's types.
      ...(body === null ? {} : { duplex: "half" }),
    })
  } catch {
    return undefined
  }
}

/** The body, taken when somebody reads: one that nobody wants is the engine's to skip, and spares the connection. */
const lazily = (request: IncomingRequest): ReadableStream<Uint8Array> | null => {
  if (request.head.framing === 0) return null
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  return new ReadableStream<Uint8Array>(
    {
      pull: async (body) => {
        reader ??= request.body()!.getReader()
        const { done, value } = await reader.read()
        if (done) body.close()
        else body.enqueue(value)
      },
      cancel: (reason) => reader?.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}

/** A fetch handler's response for the engine, which frames it itself. */
export const answerFrom = (response: Response): GeneratedResponse => {
  const list = listFrom(response.headers)
  const headers: string[] = []
  for (let i = 0; i < list.length; i += 2) if (!framing.has(list[i]!)) headers.push(list[i]!, list[i + 1]!)
  return { status: response.status, headers, body: bodyOf(response) }
}

/** This connection's own affair (RFC 9110 §7.6.1, RFC 9112 §6). */
const framing = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "expect",
])
