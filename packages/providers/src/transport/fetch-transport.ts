import type { ExpectedStamps, HopHeaderNames } from "@project-ingress/forward"
import { isTunnelledCaching, setsCookie, startDeadline } from "@project-ingress/forward/internal"
import type { OutgoingRequest } from "@project-ingress/forward/fetch"
import type { Endpoint } from "../contract/machine-provider.ts"
import type { AttemptRequest, AttemptResponse } from "../machines/attempt-request.ts"

/** How much of a platform's response is read, in bytes. */
const MAX_PREFIX_BYTES = 4_096
/** How long that may take, in ms. */
const PREFIX_TIMEOUT_MS = 500

/** Where `forwardFetch` and `forwardConnect` send to, and what may be there and between: addresses, the peer's key, and caches. */
export const fetchAddress = (
  { origin, fetch, addresses, pin, machineProxy }: Endpoint,
  headerNames: HopHeaderNames,
): Pick<OutgoingRequest, "origin" | "fetch" | "addresses" | "pin" | "uncached"> => ({
  origin,
  fetch,
  ...(addresses === undefined ? {} : { addresses }),
  ...(pin === undefined ? {} : { pin }),
  ...(machineProxy === false ? {} : { uncached: headerNames }),
})

/**
 * A machine's response as its app gave it: without the cookies of its platform's edge, and with the fields about caching that the
 * machine's proxy hid from caches on the way. The very object when there are none.
 */
export const appResponse = (
  response: Response,
  {
    edgeCookies,
    headerNames,
  }: { readonly edgeCookies: readonly string[] | undefined; readonly headerNames: HopHeaderNames },
): Response => {
  const cookies = edgeCookies === undefined ? [] : response.headers.getSetCookie()
  const kept = cookies.filter((cookie) => !setsCookie(cookie, edgeCookies!))
  const hidden = response.headers.has(headerNames.stamp)
    ? [...response.headers].filter(([name]) => isTunnelledCaching(name, headerNames))
    : []
  if (kept.length === cookies.length && hidden.length === 0) return response
  const headers = new Headers(response.headers)
  if (kept.length < cookies.length) {
    headers.delete("set-cookie")
    for (const cookie of kept) headers.append("set-cookie", cookie)
  }
  if (hidden.length > 0) headers.delete("cache-control")
  for (const [name, value] of hidden) {
    headers.delete(name)
    if (value !== "") headers.set(name.slice(headerNames.tunnel.length), value)
  }
  return withBody(response, bodyOf(response), headers)
}

/** A copy of a response's head with another body, and with other fields if there are any. */
export const withBody = (
  response: Response,
  body: ReadableStream<Uint8Array> | null,
  headers: Headers = response.headers,
): Response => {
  const { status, statusText, webSocket = null } = response as Response & { readonly webSocket?: unknown }
  // A Worker's 101 is nothing without its socket; elsewhere nobody reads the member.
  return new Response(body, { status, statusText, headers, webSocket } as ResponseInit)
}

const owners = new WeakMap<ReadableStream<Uint8Array>, Response>()

/**
 * The body of a response that is not needed itself. It keeps its response alive: Node cancels the body of a response that it
 * collects, whether or not it is being read.
 */
export const bodyOf = (response: Response): ReadableStream<Uint8Array> | null => {
  const { body } = response
  if (body !== null) owners.set(body, response)
  return body
}

/** What `Machines.reach` needs of a `Response`: the same for every host that speaks Fetch. */
export const fetchTransport = {
  received: (response, stamps) => ({
    status: response.status,
    header: (lowerName) => response.headers.get(lowerName) ?? undefined,
    stamps,
    response,
  }),
  discard: (response) => void response.body?.cancel().catch(() => {}),
  // The beginning of a text that nobody else will read; the rest is cancelled.
  readPrefix: async (response) => {
    const coding = response.headers.get("content-encoding") ?? "identity"
    if (response.body === null || coding !== "identity") return undefined
    const reader = response.body.getReader()
    const decoder = new TextDecoder()
    let text = ""
    let left = MAX_PREFIX_BYTES
    let settled: (() => void) | undefined
    const late = new Promise<{ readonly done: true; readonly value?: undefined }>((resolve) => {
      settled = startDeadline(PREFIX_TIMEOUT_MS, () => resolve({ done: true }))
    })
    while (left > 0) {
      // oxlint-disable-next-line no-await-in-loop -- a stream is read one piece after the other
      const { done, value } = await Promise.race([reader.read(), late])
      if (done) break
      text += decoder.decode(value.subarray(0, left), { stream: true })
      left -= value.length
    }
    settled?.()
    reader.cancel().catch(() => {})
    reader.releaseLock()
    return text
  },
} satisfies Pick<AttemptRequest<Response>, "discard" | "readPrefix"> & {
  readonly received: (response: Response, stamps: ExpectedStamps | undefined) => AttemptResponse<Response>
}
