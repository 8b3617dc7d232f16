/**
 * HTTP/1.1 without I/O: bytes in, events out, strictly. What can be read in two ways is refused, because two readers of one
 * connection that disagree are how requests are smuggled (RFC 9112 §11.2). Needs the global `Buffer` of Node, Bun, Deno, or of
 * workerd with `nodejs_compat`.
 */
export { requestReader } from "./http1/request-reader.ts"
export type { RequestLimits, RequestReader } from "./http1/request-reader.ts"
export { responseReader } from "./http1/response-reader.ts"
export type { ResponseLimits, ResponseReader } from "./http1/response-reader.ts"
export { lastChunkText, requestHeadText, responseHeadText } from "./http1/write.ts"
export type { BodyFraming } from "./http1/write.ts"
export type { BodyRange, MessageEnd, RequestHead, ResponseHead } from "./http1/head.ts"
export type { ParseError } from "./http1/parse-error.ts"
