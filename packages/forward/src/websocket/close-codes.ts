/** No code: what an endpoint reports of a close frame without one. It is never on the wire (RFC 6455 §7.4.1). */
export const NO_CODE = 1005

/** RFC 6455 §7.4, and the codes that IANA has registered since: what may stand in a frame. */
export const isCloseCode = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && code !== 1004 && code !== NO_CODE && code !== 1006) || (code >= 3000 && code <= 4999)
