import { setsCookie } from "@project-ingress/forward/internal"
import type { AttemptResponse, AttemptRequest } from "../machines/attempt-request.ts"

/** The most of a platform's answer that is looked at, in bytes. */
const PEEK_BYTES = 4_096
/** How long it may take, in ms. */
const PEEK_MS = 500

/** An answer without the cookies of its platform's edge; the very answer when it has none. */
export const withoutEdgeCookies = (answer: Response, names: readonly string[] | undefined): Response => {
  const cookies = names === undefined ? [] : answer.headers.getSetCookie()
  const kept = cookies.filter((cookie) => !setsCookie(cookie, names!))
  if (kept.length === cookies.length) return answer
  const headers = new Headers(answer.headers)
  headers.delete("set-cookie")
  for (const cookie of kept) headers.append("set-cookie", cookie)
  const { status, statusText, webSocket = null } = answer as Response & { readonly webSocket?: unknown }
  // A Worker's 101 is nothing without its socket; elsewhere nobody asks for the member.
  return new Response(bodyOf(answer), { status, statusText, headers, webSocket } as ResponseInit)
}

const alive = new WeakMap<ReadableStream<Uint8Array>, Response>()

/**
 * The body of an answer that is not needed itself. It keeps its answer: Node cancels the body of one that it collects, read by
 * then or not.
 */
export const bodyOf = (answer: Response): ReadableStream<Uint8Array> | null => {
  const { body } = answer
  if (body !== null) alive.set(body, answer)
  return body
}

/** A `Response` for `Machines.reach`: what every way in that speaks Fetch does with one. */
export const fetchTransport = {
  received: (answer) => ({
    status: answer.status,
    header: (lowerName) => answer.headers.get(lowerName) ?? undefined,
    response: answer,
  }),
  discard: (answer) => void answer.body?.cancel().catch(() => {}),
  // The beginning of a text that nobody else will read. Its body is cancelled afterwards.
  readPrefix: async (answer) => {
    const coding = answer.headers.get("content-encoding") ?? "identity"
    if (answer.body === null || coding !== "identity") return undefined
    const reader = answer.body.getReader()
    const text = new TextDecoder()
    let seen = ""
    let left = PEEK_BYTES
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<{ readonly done: true; readonly value?: undefined }>((resolve) => {
      timer = setTimeout(() => resolve({ done: true }), PEEK_MS)
    })
    while (left > 0) {
      // oxlint-disable-next-line no-await-in-loop -- a stream is read one piece after the other
      const { done, value } = await Promise.race([reader.read(), late])
      if (done) break
      seen += text.decode(value.subarray(0, left), { stream: true })
      left -= value.length
    }
    clearTimeout(timer)
    reader.cancel().catch(() => {})
    reader.releaseLock()
    return seen
  },
} satisfies Pick<AttemptRequest<Response>, "discard" | "readPrefix"> & {
  readonly received: (answer: Response) => AttemptResponse<Response>
}
