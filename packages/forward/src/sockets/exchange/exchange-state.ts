/** The host decides; nothing is sent, or the head of a response is held for the decision. */
export const DECIDING = 0
/** Sent on, or about to be; no final response yet. */
export const AWAITING = 1
/** The app's response goes to the client. From here on no decision counts. */
export const RELAYING = 2
/** A response of our own goes to the client. */
export const RESPONDING = 3
export const OVER = 4
