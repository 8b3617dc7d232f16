/** Close codes that we choose (RFC 6455 §7.4.1, and IANA's registry). */
export const PROTOCOL_ERROR = 1002
/** No code: what an endpoint reports of a close frame without one. It is never sent. */
export const NO_CODE = 1005
export const INVALID_TEXT = 1007
export const TOO_LARGE = 1009
/** What a client is closed with when its machine broke the protocol. */
export const SERVER_ERROR = 1011
/** What a client is closed with that sends more than its machine reads. */
export const TRY_AGAIN_LATER = 1013

/** Whether a code may stand in a close frame (RFC 6455 §7.4). */
export const isSendable = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && code !== 1004 && code !== NO_CODE && code !== 1006) || (code >= 3000 && code <= 4999)
