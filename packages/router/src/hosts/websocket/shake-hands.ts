import { forwardErrors, headerValue } from "@project-ingress/forward"
import type { ForwardErrorTag, HeaderList } from "@project-ingress/forward"
import { requestHeadText, responseReader } from "@project-ingress/forward/http1"
import type { ResponseHead, ResponseReader } from "@project-ingress/forward/http1"
import { connectionFields, HANDSHAKE_GUID, headerValues } from "@project-ingress/forward/internal"
import type { Engine } from "@project-ingress/forward/sockets"
import type { AskedRequest } from "../../error-response.ts"
import type { VisitorRequest } from "../../program/sender.ts"
import type { RouterProgram } from "../../router-program.ts"
import { responseFrom } from "../fetch.ts"
import { bodiless, headersFrom } from "../request-response.ts"
import { MachineSocket } from "./machine-socket.ts"
import { MemoryConnection } from "./memory-connection.ts"

/** What came of a handshake. */
export type HandshakeResult =
  /** The hostname is not the router's. */
  | { readonly _tag: "Unmatched" }
  | { readonly _tag: "Refused"; readonly response: Response }
  /** `headers`: what the client gets of the app's, beside what its runtime writes; `protocol`: what the app chose, if it did. */
  | {
      readonly _tag: "Open"
      readonly machine: MachineSocket
      readonly headers: Headers
      readonly protocol: string | undefined
    }

/** What a handshake is sent by. */
export interface HandshakeHost {
  readonly program: RouterProgram
  readonly engine: Engine
  readonly maxMessageBytes: number
}

/**
 * Sends a client's handshake through the socket engine, on a connection in memory, and so by the program of every request: look-up,
 * policies, ticket, waking, retry. Never rejects.
 */
export const shakeHands = async (
  { program, engine, maxMessageBytes }: HandshakeHost,
  visitor: VisitorRequest & AskedRequest,
  localPort: number,
): Promise<HandshakeResult> => {
  const { host, scheme, clientAddress, signal } = visitor
  const failed = (tag: ForwardErrorTag): HandshakeResult => ({
    _tag: "Refused",
    response: responseFrom(program.errors.forRow(tag, forwardErrors[tag], visitor), visitor),
  })
  const expected = await acceptOf(headerValue(visitor.headers, "sec-websocket-key") ?? "")
  if (signal.aborted) return { _tag: "Refused", response: new Response(null, { status: 499 }) }
  const connection = new MemoryConnection({ host, scheme, clientAddress }, localPort)
  const leave = (): void => void connection.destroy()
  signal.addEventListener("abort", leave)
  try {
    const reader = responseReader(engine.limits)
    reader.expect("GET")
    const head = headOf(connection, reader)
    engine.connection(connection)
    connection.push(Buffer.from(handshakeText(visitor), "latin1"))
    const response = await head
    if (connection.isUnmatched) {
      connection.destroy()
      return { _tag: "Unmatched" }
    }
    if (response === undefined) {
      connection.destroy()
      // 499 is nginx's number for a client that left; nobody reads it.
      return signal.aborted ? { _tag: "Refused", response: new Response(null, { status: 499 }) } : failed("Overloaded")
    }
    if (response.status !== 101) return { _tag: "Refused", response: refusal(connection, reader, response) }
    const { headers } = response
    // RFC 6455 §4.1: without this it is no WebSocket, and no extension was offered.
    const accepted = headerValues(headers, "sec-websocket-accept").join() === expected
    if (!response.upgrade || !accepted || headerValue(headers, "sec-websocket-extensions") !== undefined) {
      connection.destroy()
      return failed("UpstreamMalformed")
    }
    const machine = new MachineSocket(connection, reader.rest(), maxMessageBytes)
    const protocol = headerValue(headers, "sec-websocket-protocol")
    return { _tag: "Open", machine, headers: headersFrom(without(headers, ownFields)), protocol }
  } finally {
    // Both runtimes abort it when the handshake is over, too.
    signal.removeEventListener("abort", leave)
  }
}

/** What a runtime writes into its own 101. */
const ownFields = new Set([
  ...connectionFields,
  "content-length",
  "date",
  "sec-websocket-accept",
  "sec-websocket-extensions",
  "sec-websocket-protocol",
])
/** The frames are ours: no extension of the client's can be passed on. */
const notForwarded = new Set(["content-length", "transfer-encoding", "sec-websocket-extensions"])

const without = (fields: HeaderList, names: ReadonlySet<string>): string[] => {
  const kept: string[] = []
  for (let i = 0; i < fields.length; i += 2)
    if (!names.has(fields[i]!.toLowerCase())) kept.push(fields[i]!, fields[i + 1]!)
  return kept
}

/** The head of the handshake, one character per byte. */
const handshakeText = ({ path, headers }: VisitorRequest): string =>
  requestHeadText("GET", path, without(headers, notForwarded).map(toBytes), "none")

/** Runtimes decode fields as they like: what is beyond a byte would else be cut, to a line end at worst. */
const toBytes = (value: string): string =>
  /[\u0100-\uffff]/.test(value) ? Buffer.from(value, "utf8").toString("latin1") : value

/** RFC 6455 §4.2.2 */
const acceptOf = async (key: string): Promise<string> => {
  const bytes = new TextEncoder().encode(`${key}${HANDSHAKE_GUID}`)
  return Buffer.from(await crypto.subtle.digest("SHA-1", bytes)).toString("base64")
}

/** The head of the response; `undefined` if the connection ends without. What follows it is held back. */
const headOf = (connection: MemoryConnection, reader: ResponseReader): Promise<ResponseHead | undefined> =>
  new Promise((resolve) => {
    const read = (): boolean => {
      for (;;) {
        const event = reader.read()
        if (event === undefined) return true
        if (event.type !== "head") {
          resolve(undefined)
          return false
        }
        // Interim responses: neither runtime sends one on.
        if (event.status >= 200 || event.status === 101) {
          resolve(event)
          return false
        }
      }
    }
    let isOver = false
    connection.reader = {
      onBytes: (bytes) => {
        reader.push(bytes)
        isOver ||= !read()
        return !isOver
      },
      onEnd: () => resolve(undefined),
      onClose: () => resolve(undefined),
    }
  })

/** The app's or the router's own response to a handshake, whose body is read as its client reads it. */
const refusal = (connection: MemoryConnection, reader: ResponseReader, head: ResponseHead): Response => {
  const { status } = head
  const headers = headersFrom(without(head.headers, new Set(connectionFields)))
  if (head.framing === 0 || bodiless.has(status)) {
    connection.destroy()
    return new Response(null, { status, headers })
  }
  let wake: (() => void) | undefined
  let isOver = false
  const more = (): void => {
    wake?.()
    wake = undefined
  }
  connection.reader = {
    onBytes: (bytes) => {
      reader.push(bytes)
      more()
      return false
    },
    onEnd: () => {
      reader.end()
      more()
    },
    onClose: () => {
      isOver = true
      more()
    },
  }
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        for (;;) {
          const event = reader.read()
          if (event?.type === "body") {
            controller.enqueue(event.bytes.slice())
            return
          }
          if (event?.type === "end") {
            controller.close()
            connection.destroy()
            return
          }
          if (event !== undefined || isOver) throw new Error("the response broke off")
          const woken = new Promise<void>((resolve) => (wake = resolve))
          connection.readOn()
          await woken
        }
      },
      cancel: () => void connection.destroy(),
    },
    { highWaterMark: 0 },
  )
  return new Response(body, { status, headers })
}
