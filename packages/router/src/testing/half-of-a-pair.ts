/** Half of a surrogate pair, which JavaScript has and UTF-8 has not. As an escape, Node's own reader of TypeScript refuses it. */
export const HALF_OF_A_PAIR: string = String.fromCharCode(0xd800)
