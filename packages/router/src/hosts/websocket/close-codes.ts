/** Close codes that a host chooses itself (RFC 6455 §7.4.1, and IANA's registry). */
export const TOO_LARGE = 1009
/** What a client is closed with when its machine broke the protocol. */
export const SERVER_ERROR = 1011
/** What a client is closed with that sends more than its machine reads. */
export const TRY_AGAIN_LATER = 1013
