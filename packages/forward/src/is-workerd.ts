/**
 * Whether this is a Worker. Only workerd ends timers and I/O with the request that they belong to, only its `fetch` gives the socket of
 * a 101 to its caller, and only it changes a request's fields as they come in.
 */
export const isWorkerd = (): boolean => "WebSocketPair" in globalThis
