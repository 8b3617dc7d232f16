/** Whether a method only reads, so that a request may be sent twice (RFC 9110 §9.2.1). */
export const isSafe = (method: string): boolean => method === "GET" || method === "HEAD" || method === "OPTIONS"
