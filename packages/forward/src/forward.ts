/**
 * Sends one request on and changes only what an intermediary must. The rules that proxies most often get wrong are here once,
 * for the router and for the machine proxy: which headers end at a hop, what may be added and in which order, the ticket that
 * proves that a request comes from the router, and the response to a failure.
 */
export { errorResponse } from "./error-response.ts"
export type { ErrorResponseOptions } from "./error-response.ts"
export type { ListeningLink } from "./listening-link.ts"
export type { ErrorRow } from "./error-row.ts"
export type { ErrorSubject } from "./error-text.ts"
export { responseFormat } from "./response-format.ts"
export type { ResponseFormat } from "./response-format.ts"
export type { GeneratedResponse } from "./generated-response.ts"
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
export { machineKey } from "./machine-secret.ts"
export type { MachineKey } from "./machine-secret.ts"
export { signTicket } from "./ticket.ts"
export type { PortUse, ScopeUse, TicketClaims, TicketScope, TicketUse } from "./ticket.ts"
export { TicketsLimited, ticketSigner } from "./ticket-signer.ts"
export type { SignedTicket, TicketSigner, TicketSignerOptions } from "./ticket-signer.ts"
export { ticketVerifier } from "./ticket-verifier.ts"
export type { RefusedTicket, TicketRefusal, TicketVerifier, VerifiedTicket } from "./ticket-verifier.ts"
export type { ExpectedStamps, Stamps } from "./stamp.ts"
export { generateTicketKeys } from "./ticket-keys.ts"
export type {
  EdDsaSigningKey,
  EdDsaVerificationKey,
  SharedSecretKey,
  SigningKey,
  VerificationKey,
} from "./ticket-keys.ts"
