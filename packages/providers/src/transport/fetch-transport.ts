import { setsCookie } from "@project-ingress/forward/internal"
import type { AddressRule } from "@project-ingress/forward/internal"
import type { Endpoint } from "../contract/machine-provider.ts"
import type { AttemptRequest, AttemptResponse } from "../machines/attempt-request.ts"

/** How much of a platform's response is read, in bytes. */
const MAX_PREFIX_BYTES = 4_096
/** How long that may take, in ms. */
const PREFIX_TIMEOUT_MS = 500

/** Where `forwardFetch` and `forwardConnect` send to, and which addresses may be connected to on the way there. */
export const fetchAddress = ({
  origin,
  fetch,
  addresses,
}: Endpoint): Pick<Endpoint, "origin" | "fetch"> & { readonly addresses?: AddressRule } => ({
  origin,
  fetch,
  ...(addresses === undefined ? {} : { addresses }),
})

/** A response without the cookies of its platform's edge; the very object when it has none. */
export const withoutEdgeCookies = (response: Response, names: readonly string[] | undefined): Response => {
  const cookies = names === undefined ? [] : response.headers.getSetCookie()
  const kept = cookies.filter((cookie) => !setsCookie(cookie, names!))
  if (kept.length === cookies.length) return response
  const headers = new Headers(response.headers)
  headers.delete("set-cookie")
  for (const cookie of kept) headers.append("set-cookie", cookie)
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
  received: (response) => ({
    status: response.status,
    header: (lowerName) => response.headers.get(lowerName) ?? undefined,
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
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<{ readonly done: true; readonly value?: undefined }>((resolve) => {
      timer = setTimeout(() => resolve({ done: true }), PREFIX_TIMEOUT_MS)
    })
    while (left > 0) {
      // oxlint-disable-next-line no-await-in-loop -- a stream is read one piece after the other
      const { done, value } = await Promise.race([reader.read(), late])
      if (done) break
      text += decoder.decode(value.subarray(0, left), { stream: true })
      left -= value.length
    }
    clearTimeout(timer)
    reader.cancel().catch(() => {})
    reader.releaseLock()
    return text
  },
} satisfies Pick<AttemptRequest<Response>, "discard" | "readPrefix"> & {
  readonly received: (response: Response) => AttemptResponse<Response>
}
