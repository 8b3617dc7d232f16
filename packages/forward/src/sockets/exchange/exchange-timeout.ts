import type { ClientConnection } from "../connection/client-connection.ts"
import type { Attempt } from "./attempt.ts"
import type { RequestBodyPump } from "./request-body-pump.ts"
import type { ResponseRelay } from "./response-relay.ts"

/** How long an app may take to say `100 Continue` before we do, in ms. */
const CONTINUE_GRACE_MS = 50
/**
 * How long nothing may come of a response for a client that sent its FIN, in ms. A half-close and a departure look the same: few
 * clients do the one, and an app must hear of the other within 100 ms, of which deadlines may take 50.
 */
const FIN_GRACE_MS = 40

/** How long an exchange may now wait for something to happen, in ms; 0: without limit. */
export const exchangeTimeout = (
  { context: { limits }, ended }: ClientConnection,
  pump: RequestBodyPump,
  attempt: Attempt | undefined,
  relay: ResponseRelay | undefined,
): number => {
  if (ended) return FIN_GRACE_MS
  if (!pump.complete) return relay === undefined && pump.awaitsContinue ? CONTINUE_GRACE_MS : limits.bodyIdleTimeoutMs
  if (relay === undefined) return attempt?.directive.headersTimeoutMs ?? limits.upstreamHeadersTimeoutMs
  // An event stream may be silent; a client that reads nothing of it has a limit none the less.
  return relay.isEventStream && attempt?.paused !== true ? 0 : limits.upstreamIdleTimeoutMs
}
