/** A service of gRPC whose messages are bytes: what a proxy has to do with is the same for all. */
import { Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js"
import type {
  Client,
  MethodDefinition,
  sendUnaryData,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
} from "@grpc/grpc-js"

const bytes = (message: Buffer): Buffer => message
const method = (name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
})

export const service = {
  unary: method("Unary", false, false),
  collect: method("Collect", true, false),
  count: method("Count", false, true),
  chat: method("Chat", true, true),
  fail: method("Fail", false, false),
  never: method("Never", false, false),
  metadata: method("Metadata", false, false),
}

/** What the server saw. */
export interface Seen {
  readonly cancelled: string[]
  readonly deadlines: number[]
}

/** Serves it without TLS on a free port of 127.0.0.1. */
export const startService = async () => {
  const server = new Server({ "grpc.max_receive_message_length": 16 << 20 })
  const seen: Seen = { cancelled: [], deadlines: [] }
  server.addService(service, {
    unary: ({ request }: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, request),
    collect: (call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
      const pieces: Buffer[] = []
      call.on("data", (piece: Buffer) => pieces.push(piece))
      call.on("end", () => done(null, Buffer.concat(pieces)))
      call.on("cancelled", () => seen.cancelled.push("collect"))
    },
    count: (call: ServerWritableStream<Buffer, Buffer>) => {
      for (let i = 0; i < Number(call.request); i++) call.write(Buffer.from(String(i)))
      call.end()
    },
    chat: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on("data", (piece: Buffer) => call.write(Buffer.from(`you said ${String(piece)}`)))
      call.on("end", () => call.end())
      call.on("cancelled", () => seen.cancelled.push("chat"))
    },
    fail: (_: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
      const metadata = new Metadata()
      metadata.set("grpc-status-details-bin", Buffer.from([8, 5, 18, 3, 110, 111, 33]))
      metadata.set("reason", "because")
      done({ code: status.NOT_FOUND, details: "kein Schlüssel: 100 %", metadata })
    },
    never: (call: ServerUnaryCall<Buffer, Buffer>) => {
      seen.deadlines.push(Number(call.getDeadline()))
      call.on("cancelled", () => seen.cancelled.push("never"))
    },
    metadata: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
      const initial = new Metadata()
      initial.set("x-initial", "first")
      call.sendMetadata(initial)
      const trailing = new Metadata()
      trailing.set("x-trailing-bin", Buffer.from([0, 255, 7]))
      done(null, Buffer.from(JSON.stringify(call.metadata.getMap())), trailing)
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  return { port, seen, close: () => server.forceShutdown() }
}

/** What came of a call with one response. */
export interface Outcome {
  readonly code: status
  readonly details: string
  readonly message?: string
  readonly initial?: Metadata
  readonly trailing: Metadata
}

/** Calls a method with one request and one response. */
export const call = (
  client: Client,
  { path }: MethodDefinition<Buffer, Buffer>,
  request: Buffer | string,
  metadata = new Metadata(),
  options: { readonly deadline?: number } = {},
): Promise<Outcome> =>
  new Promise((resolve) => {
    let message: Buffer | undefined
    let initial: Metadata | undefined
    const sent = client.makeUnaryRequest(path, bytes, bytes, Buffer.from(request), metadata, options, (_, value) => {
      message = value
    })
    sent.on("metadata", (received) => (initial = received))
    sent.on("status", ({ code, details, metadata: trailing }) =>
      resolve({
        code,
        details,
        trailing,
        ...(message === undefined ? {} : { message: message.toString("latin1") }),
        ...(initial === undefined ? {} : { initial }),
      }),
    )
  })
