import type { ForwardErrorTag } from "../../error-rows.ts"
import type { GeneratedResponse } from "../../generated-response.ts"
import type { ClientConnection } from "../connection/client-connection.ts"
import type { ForwardDirective } from "../contract/decision.ts"
import type { IncomingRequest } from "../contract/request.ts"
import { forwardErrors } from "../../error-rows.ts"
import { validGeneratedResponse } from "../../generated-response.ts"

/** For a host that cannot make a response itself. */
const bare: GeneratedResponse = { status: 500, headers: [], code: forwardErrors.ProxyFailed.code }

/** The response that the host makes for a failure, or the one for `ProxyFailed` if that is invalid. Never throws. */
export const failureResponse = (
  connection: ClientConnection,
  request: IncomingRequest | undefined,
  tag: ForwardErrorTag,
  directive?: ForwardDirective,
): GeneratedResponse => {
  try {
    const response = connection.context.options.failure(tag, request, directive, connection.unread)
    if (isValid(connection, response)) return response
  } catch (cause) {
    connection.reportError("ProxyFailed", cause)
  }
  return tag === "ProxyFailed" ? bare : failureResponse(connection, request, "ProxyFailed", directive)
}

/** A response of the host's, or the one for `ProxyFailed` instead of one that cannot be written. */
export const validResponse = (
  connection: ClientConnection,
  request: IncomingRequest | undefined,
  response: GeneratedResponse,
): GeneratedResponse => (isValid(connection, response) ? response : failureResponse(connection, request, "ProxyFailed"))

const isValid = (connection: ClientConnection, response: GeneratedResponse): boolean => {
  const problem = validGeneratedResponse(response)
  if (problem === undefined) return true
  connection.reportError("ProxyFailed", new TypeError(`a generated response is invalid: ${problem}`))
  cancelBody(response)
  return false
}

/** Nobody will read it. */
const cancelBody = (response: unknown): void => {
  const { body } = (response ?? {}) as { readonly body?: Partial<ReadableStream> | null }
  if (typeof body?.cancel !== "function" || body.locked === true) return
  Promise.resolve(body.cancel()).catch(() => undefined)
}
