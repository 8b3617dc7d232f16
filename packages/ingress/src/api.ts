/**
 * The HTTP API of ingresses: a fetch handler, its definition, and a typed client.
 *
 * @module
 */
export type { ApiToken, Authenticate } from "./api/authenticate.ts"
export type { Caller } from "./api/caller.ts"
export { errorCodes } from "./api/error-codes.ts"
export type { ApiCode } from "./api/error-codes.ts"
export type { ErrorBody } from "./api/error-response.ts"
export { IngressApi } from "./api/ingress-api.ts"
export type { GrantResource } from "./api/ingress-api.ts"
export { ingressClient, IngressApiError } from "./api/ingress-client.ts"
export type { ClientChange, IngressClient, IngressClientOptions, PlannedIngress } from "./api/ingress-client.ts"
export type { IngressResource } from "./api/representation.ts"
export { ingressApi } from "./api/serve-ingress-api.ts"
export type { IngressApiHandler, IngressApiOptions } from "./api/serve-ingress-api.ts"
