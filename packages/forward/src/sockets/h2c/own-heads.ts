import type { HeaderList } from "../../header-list.ts"
import type { ResponseHead } from "../../http1/head.ts"
import { headerValue } from "../../header-list.ts"
import { acceptOf } from "../io/accept-of.ts"

/** The head of a plain-text response that the app did not give. */
export const plainResponse = (status: number, length: number, hasBody: boolean): ResponseHead => ({
  type: "head",
  status,
  reason: "",
  version: 11,
  headers: ["content-type", "text/plain; charset=utf-8", "content-length", String(length)],
  framing: hasBody ? length : 0,
  upgrade: false,
  keepAlive: false,
})

/**
 * What an app's response to an extended CONNECT is for a client of HTTP/1.1: a 101 with the proof that its key was read, which HTTP/2
 * does without (RFC 8441 §5, RFC 6455 §4.2.2). A status other than 200 is the app's refusal, as it is.
 */
export const webSocketHead = (head: ResponseHead, request: HeaderList): ResponseHead => {
  if (head.status !== 200) return head
  const key = headerValue(request, "sec-websocket-key") ?? ""
  const headers = head.headers.filter((_, i) => head.headers[i - (i % 2)] !== "content-length")
  return {
    ...head,
    status: 101,
    headers: [...headers, "sec-websocket-accept", acceptOf(key)],
    framing: 0,
    upgrade: true,
  }
}
