import { forwardErrors, headerValue } from "@project-ingress/forward"
import type { ForwardErrorTag, HeaderList } from "@project-ingress/forward"
import { connectionFields, HANDSHAKE_GUID, headerValues } from "@project-ingress/forward/internal"
import type { Engine, RequestMessage, ResponseMessageHead, ResponseSink } from "@project-ingress/forward/sockets"
import type { AskedRequest } from "../../error-response.ts"
import type { VisitorRequest } from "../../program/sender.ts"
import type { RouterProgram } from "../../router-program.ts"
import { responseFrom } from "../fetch.ts"
import { bodiless, headersFrom } from "../request-response.ts"
import { MachineSocket } from "./machine-socket.ts"
import type { MessageTail } from "./message-tail.ts"
import { RefusalBody } from "./refusal-body.ts"

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
  /** Whether the response is for a hostname that is not the router's. */
  readonly isUnmatched: (message: RequestMessage) => boolean
}

/**
 * Sends a client's handshake through the socket engine, and so by the program of every request: look-up, policies, ticket, waking, retry.
 * Rejects with what is wrong in us, never because of the client or the machine.
 */
export const shakeHands = async (
  { program, engine, maxMessageBytes, isUnmatched }: HandshakeHost,
  visitor: VisitorRequest & AskedRequest,
  localPort: number,
): Promise<HandshakeResult> => {
  const { path, headers, scheme, clientAddress = "", signal } = visitor
  const failed = (tag: ForwardErrorTag): HandshakeResult => ({
    _tag: "Refused",
    response: responseFrom(program.errors.forRow(tag, forwardErrors[tag], visitor), visitor),
  })
  const accept = await acceptOf(headerValue(headers, "sec-websocket-key") ?? "")
  if (signal.aborted) return clientLeft()
  // The engine goes on with requests of connections that it knows; to it, this is one.
  if (engine.draining()) return failed("Overloaded")
  return new Promise((resolve, reject) => {
    const settle = (result: HandshakeResult): void => {
      // Both runtimes abort it when the handshake is over, too.
      signal.removeEventListener("abort", leave)
      resolve(result)
    }
    const leave = (): void => {
      message.abort()
      settle(clientLeft())
    }
    /** Nothing more of the response is wanted. */
    const end = (result: HandshakeResult): undefined => {
      message.abort()
      settle(result)
    }
    /** Settles the handshake by the head of the response; gives who takes what follows. */
    const onHead = (head: ResponseMessageHead, ended: boolean): MessageTail | undefined => {
      if (isUnmatched(message)) return end({ _tag: "Unmatched" })
      const { status } = head
      if (status !== 101) {
        const refusal = { status, headers: headersFrom(without(head.headers, ofConnection)) }
        if (ended || bodiless.has(status)) return end({ _tag: "Refused", response: new Response(null, refusal) })
        const body = new RefusalBody(message)
        settle({ _tag: "Refused", response: new Response(body.stream, refusal) })
        return body
      }
      if (!isAccepted(head.headers, accept)) return end(failed("UpstreamMalformed"))
      const machine = new MachineSocket(message, maxMessageBytes)
      const protocol = headerValue(head.headers, "sec-websocket-protocol")
      settle({ _tag: "Open", machine, headers: headersFrom(without(head.headers, ofRuntime)), protocol })
      return machine
    }
    const sink = new HandshakeSink(
      (head, ended) => {
        try {
          return onHead(head, ended)
        } catch (cause) {
          message.abort()
          signal.removeEventListener("abort", leave)
          reject(cause)
          return undefined
        }
      },
      () => settle(failed("Overloaded")),
    )
    signal.addEventListener("abort", leave)
    const message = engine.message(
      { remoteAddress: clientAddress, peerAddress: clientAddress, localPort, encrypted: scheme === "https" },
      { method: "GET", target: path, headers: without(headers, ofClient).map(toBytes), ended: true },
      sink,
    )
  })
}

/** The response to a handshake: its head, and whoever takes what follows. */
class HandshakeSink implements ResponseSink {
  readonly #onHead: (head: ResponseMessageHead, ended: boolean) => MessageTail | undefined
  readonly #onNone: () => void
  #tail: MessageTail | undefined

  /** `onNone`: called if the engine ends it without a response. */
  constructor(onHead: (head: ResponseMessageHead, ended: boolean) => MessageTail | undefined, onNone: () => void) {
    this.#onHead = onHead
    this.#onNone = onNone
  }

  /** Neither runtime sends one on. */
  interim(): void {}

  head(head: ResponseMessageHead, ended: boolean): void {
    this.#tail = this.#onHead(head, ended)
  }

  body(bytes: Uint8Array): boolean {
    return this.#tail?.body(bytes) ?? true
  }

  end(): void {
    this.#tail?.end()
  }

  reset(): void {
    if (this.#tail === undefined) this.#onNone()
    else this.#tail.reset()
  }

  wanted(): void {
    this.#tail?.wanted()
  }
}

/** 499 is nginx's number for a client that left; nobody reads it. */
const clientLeft = (): HandshakeResult => ({ _tag: "Refused", response: new Response(null, { status: 499 }) })

/** RFC 6455 §4.1: without the proof it is no WebSocket, and no extension was offered. */
const isAccepted = (headers: HeaderList, accept: string): boolean =>
  headerValues(headers, "sec-websocket-accept").join() === accept &&
  headerValue(headers, "sec-websocket-extensions") === undefined

const ofConnection = new Set(connectionFields)
/** What a runtime writes into its own 101. */
const ofRuntime = new Set([
  ...connectionFields,
  "content-length",
  "date",
  "sec-websocket-accept",
  "sec-websocket-extensions",
  "sec-websocket-protocol",
])
/** What the other client of a handshake, which is us, does not say. The frames are ours: no extension of the client's can be passed on. */
const ofClient = new Set(["content-length", "transfer-encoding", "sec-websocket-extensions"])

const without = (fields: HeaderList, names: ReadonlySet<string>): string[] => {
  const kept: string[] = []
  for (let i = 0; i < fields.length; i += 2)
    if (!names.has(fields[i]!.toLowerCase())) kept.push(fields[i]!, fields[i + 1]!)
  return kept
}

/** Runtimes decode fields as they like: what is beyond a byte would else be cut, to a line end at worst. */
const toBytes = (value: string): string =>
  /[\u0100-\uffff]/.test(value) ? Buffer.from(value, "utf8").toString("latin1") : value

/** RFC 6455 §4.2.2. By the API that every runtime has: this folder knows no `node:`. */
const acceptOf = async (key: string): Promise<string> => {
  const bytes = new TextEncoder().encode(`${key}${HANDSHAKE_GUID}`)
  return Buffer.from(await crypto.subtle.digest("SHA-1", bytes)).toString("base64")
}
