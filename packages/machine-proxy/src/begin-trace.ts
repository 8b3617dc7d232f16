import type { HeaderList } from "@project-ingress/forward"
import type { ForwardDirective, IncomingRequest } from "@project-ingress/forward/sockets"

/** Takes part in the trace of one request that goes to an app. */
export interface ProxyTrace {
  /** The fields that the app gets. */
  readonly fields: (headers: HeaderList) => HeaderList
  /**
   * Called once: when the exchange is over, or the WebSocket is open. The status is 0 if there was no response. `failure`: the tag,
   * if the proxy generated the response.
   */
  readonly end: (outcome: { readonly status: number; readonly failure?: string | undefined }) => void
}

/** Begins to take part in the trace of a request; `undefined`: its fields pass unchanged. */
export type BeginTrace = (request: {
  readonly method: string
  /** As they came, those of the hop among them. */
  readonly headers: HeaderList
  /** The port of the app. */
  readonly port: number
}) => ProxyTrace | undefined

/** What is known of a traced request until it is over. */
export interface TracedRequest {
  readonly fields: ProxyTrace["fields"]
  /** What the engine is to do with the response's head, and hears of it. */
  readonly heard: (response: ForwardDirective["response"]) => ForwardDirective["response"]
  readonly failed: (tag: string) => void
}

/** Begins the trace of a request. What `begin` and what it returns throw is ignored: what watches a request must not fail it. */
export const tracedRequest = (
  begin: BeginTrace | undefined,
  request: IncomingRequest,
  port: number,
): TracedRequest | undefined => {
  if (begin === undefined) return undefined
  const { method, headers } = request.head
  const trace = quietly(() => begin({ method, headers, port }))
  if (trace === undefined) return undefined
  let status = 0
  let failure: string | undefined
  let ended = false
  const end = (): void => {
    if (ended) return
    ended = true
    quietly(() => trace.end({ status, failure }))
  }
  request.onOver(end)
  return {
    fields: (list) => quietly(() => trace.fields(list)) ?? list,
    heard: (response) => (head) => {
      if (head.status === 101 || head.status >= 200) status = head.status
      // A WebSocket may be open for days.
      if (status === 101) end()
      return typeof response === "function" ? response(head) : response
    },
    failed: (tag) => {
      failure = tag
    },
  }
}

const quietly = <A>(run: () => A): A | undefined => {
  try {
    return run()
  } catch {
    return undefined
  }
}
