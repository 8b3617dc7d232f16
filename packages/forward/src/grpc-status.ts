/**
 * Whether a `Content-Type` is one of gRPC over HTTP/2: `application/grpc`, `application/grpc+proto`. Not `application/grpc-web`, whose
 * trailers are in the body, so that it is plain HTTP.
 */
export const isGrpc = (contentType: string | null | undefined): boolean =>
  contentType != null && /^application\/grpc(?:$|[+;\s])/i.test(contentType)

/**
 * The gRPC status of a failure that has an HTTP status. What gRPC's own table (doc/http-grpc-status-mapping.md) makes of a response
 * without a `grpc-status`, so that a client sees the same whoever maps, and three that the table does not know or would blur:
 * 429 is RESOURCE_EXHAUSTED, 500 is INTERNAL, and 405, 501 and 505 are UNIMPLEMENTED as 404 is. UNAVAILABLE is what clients retry.
 */
export const grpcStatus = (httpStatus: number): number => statuses[httpStatus] ?? UNKNOWN

const UNKNOWN = 2
const PERMISSION_DENIED = 7
const RESOURCE_EXHAUSTED = 8
const UNIMPLEMENTED = 12
const INTERNAL = 13
const UNAVAILABLE = 14
const UNAUTHENTICATED = 16

const statuses: Readonly<Record<number, number>> = {
  400: INTERNAL,
  401: UNAUTHENTICATED,
  403: PERMISSION_DENIED,
  404: UNIMPLEMENTED,
  405: UNIMPLEMENTED,
  421: UNAVAILABLE,
  429: RESOURCE_EXHAUSTED,
  500: INTERNAL,
  501: UNIMPLEMENTED,
  502: UNAVAILABLE,
  503: UNAVAILABLE,
  504: UNAVAILABLE,
  505: UNIMPLEMENTED,
}

/** A text for `grpc-message`, percent-encoded (gRPC over HTTP/2, "Status-Message"). */
export const grpcMessage = (text: string): string => encodeURI(text.toWellFormed())
