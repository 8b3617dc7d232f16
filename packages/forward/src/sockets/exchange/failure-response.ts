import type { GeneratedResponse } from "../../error-response.ts"
import type { ForwardErrorTag } from "../../error-rows.ts"
import type { ClientConnection } from "../connection/client-connection.ts"
import type { IncomingRequest } from "../contract/request.ts"

/** The host's response to a failure; `undefined`, and an error event, if the host throws. */
export const failureResponse = (
  connection: ClientConnection,
  tag: ForwardErrorTag,
  request: IncomingRequest | undefined,
): GeneratedResponse | undefined => {
  try {
    return connection.context.options.failure(tag, request)
  } catch (cause) {
    connection.reportError("ProxyFailed", cause)
    return undefined
  }
}
