import type { ClientConnection } from "../connection/client-connection.ts"
import type { Attempt } from "./attempt.ts"
import type { IncomingExchangeRequest } from "./incoming-request.ts"
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
  request: IncomingExchangeRequest | undefined,
  attempt: Attempt | undefined,
  relay: ResponseRelay | undefined,
): number => {
  if (request?.bodyTaken === true) {
    if (!pump.complete && !ended && request.wantsBody) return pump.timeLeft(request)
    pump.pause()
    if (!pump.complete || !ended) return 0
  }
  if (ended) return FIN_GRACE_MS
  // An event stream may be silent, and so may both sides of a call of gRPC; a client that reads nothing has a limit none the less.
  const mayBeSilent = relay?.mayBeSilent === true && attempt?.paused !== true
  if (!pump.complete) {
    if (mayBeSilent && !pump.blocked) return 0
    // An app that has begun to respond sets the pace of its request.
    if (relay !== undefined) return limits.bodyIdleTimeoutMs
    return pump.awaitsContinue ? CONTINUE_GRACE_MS : pump.timeLeft(attempt?.directive ?? {})
  }
  if (relay === undefined) return attempt?.directive.headersTimeoutMs ?? limits.upstreamHeadersTimeoutMs
  return mayBeSilent ? 0 : limits.upstreamIdleTimeoutMs
}

/** Whether a request's body is late whose time is over: not if the process stood still meanwhile. Reports one that is too slow. */
export const isBodyLate = (connection: ClientConnection, pump: RequestBodyPump): boolean => {
  const rate = pump.missedRate()
  if (rate === 0) return false
  if (rate !== undefined) {
    const reason = `the body of a request came more slowly than ${rate} bytes a second (minBodyRate)`
    connection.reportError("RequestTimeout", new Error(reason))
  }
  return true
}
