/**
 * The rules for forwarding one request, which changes only what an intermediary must change. Router and machine proxy share them:
 * which headers are hop-by-hop, which may be added and in which order, the ticket that proves a request comes from the router,
 * and the error response that a client gets.
 */
export { errorResponse, prefersHtml } from "./error-response.ts"
export type { ErrorResponseOptions, ErrorRow, GeneratedResponse } from "./error-response.ts"
export { forwardErrors } from "./error-rows.ts"
export type { ForwardErrorTag } from "./error-rows.ts"
export { headerValue } from "./header-list.ts"
export { requestHeaders } from "./request-headers.ts"
export { responseHeaders } from "./response-headers.ts"
export type { HeaderList } from "./header-list.ts"
export type { RequestHop } from "./request-headers.ts"
export type { ResponseHop } from "./response-headers.ts"
export { defaultHeaderNames, hopHeaderNames } from "./header-names.ts"
export type { HopHeaderNames } from "./header-names.ts"
export { signTicket, ticketSigner, ticketVerifier } from "./ticket.ts"
export type { TicketClaims, TicketRefusal, TicketVerifier } from "./ticket.ts"
export { generateTicketKeys } from "./ticket-keys.ts"
export type {
  EdDsaSigningKey,
  EdDsaVerificationKey,
  SharedSecretKey,
  SigningKey,
  VerificationKey,
} from "./ticket-keys.ts"
