/** What is used of workerd, structurally: its types would be everybody's globals. */

/** A WebSocket of a Worker, as an object accepts it. */
export interface ObjectSocket {
  readonly readyState: number
  send(message: Uint8Array<ArrayBuffer>): void
  close(code?: number, reason?: string): void
  serializeAttachment(value: unknown): void
  deserializeAttachment(): unknown
}

/** What is used of a Durable Object's state. */
export interface RelayState {
  readonly id: { readonly name?: string | undefined }
  readonly storage: {
    get(key: string): Promise<unknown>
    put(key: string, value: unknown): Promise<void>
  }
  acceptWebSocket(socket: never, tags: string[]): void
  getWebSockets(tag: string): readonly unknown[]
  getWebSocketAutoResponseTimestamp(socket: never): Date | null
  setWebSocketAutoResponse(pair: never): void
  waitUntil(work: Promise<unknown>): void
}

interface Runtime {
  readonly WebSocketPair: new () => { readonly 0: unknown; readonly 1: unknown }
  readonly WebSocketRequestResponsePair: new (request: string, response: string) => unknown
  readonly FixedLengthStream: new (length: number) => TransformStream<Uint8Array, Uint8Array>
  readonly IdentityTransformStream: new () => TransformStream<Uint8Array, Uint8Array>
}

const runtime = globalThis as unknown as Runtime

/** Both ends of a WebSocket. */
export const socketPair = (): readonly [unknown, unknown] => {
  const pair = new runtime.WebSocketPair()
  return [pair[0], pair[1]]
}

/** A message that the runtime responds to without waking the object. */
export const autoResponse = (request: string, response: string): unknown =>
  new runtime.WebSocketRequestResponsePair(request, response)

/** A stream for a body: of a known length, which the response then states, or of any. */
export const bodyStream = (length: number | undefined): TransformStream<Uint8Array, Uint8Array> =>
  length === undefined ? new runtime.IdentityTransformStream() : new runtime.FixedLengthStream(length)

/** A response to an upgrade. */
export const switched = (socket: unknown, headers: Headers | Readonly<Record<string, string>>): Response =>
  new Response(null, { status: 101, webSocket: socket, headers } as ResponseInit)

/** A response whose body is as its coding says already. */
export const encoded = (body: ReadableStream<Uint8Array> | null, init: ResponseInit): Response =>
  new Response(body, { ...init, encodeBody: "manual" } as ResponseInit)
