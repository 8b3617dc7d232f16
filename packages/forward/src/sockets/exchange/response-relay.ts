import type { Duplex } from "node:stream"
import type { HeaderList } from "../../header-list.ts"
import type { ResponseHop } from "../../response-headers.ts"
import type { RequestHead, ResponseHead } from "../../http1/head.ts"
import { endToEndTrailers } from "../../trailers.ts"
import { isGrpc } from "../../grpc-status.ts"
import { headerValue } from "../../header-list.ts"
import { responseHeaders } from "../../response-headers.ts"
import { lastChunkText, responseHeadText } from "../../http1/write.ts"
import { writePiece } from "../io/write.ts"

/** An app's response on its way to the client: a head, pieces of a body, an end. Knows nothing of where they come from. */
export class ResponseRelay {
  readonly head: ResponseHead
  /** True when the client's connection ends with this response. */
  readonly close: boolean
  /** True for an event stream and for gRPC, which have no idle time-out. */
  readonly mayBeSilent: boolean
  readonly #socket: Duplex
  readonly #hop: ResponseHop
  readonly #chunked: boolean
  /** The head, until it is written together with the first bytes of its body. */
  #text: string

  /** `close`: whether the connection ends for another reason than the response's own. */
  constructor(socket: Duplex, request: RequestHead, head: ResponseHead, hop: ResponseHop, close: boolean) {
    this.head = head
    this.#socket = socket
    this.#hop = hop
    this.#chunked = request.version === 11 && (head.framing === "chunked" || head.framing === "until-close")
    this.close = close || (!this.#chunked && typeof head.framing !== "number")
    const headers = responseHeaders(head.headers, hop, { status: head.status, chunked: this.#chunked })
    // "none": a length that is there was checked by the reader, and there is none beside chunks.
    const framing = this.#chunked ? "chunked" : "none"
    this.#text = responseHeadText(head.status, head.reason, headers, framing, this.close)
    this.mayBeSilent = head.framing !== 0 && mayBeSilent(headerValue(headers, "content-type"))
  }

  /** False when the app is to wait for `drain`. */
  piece(bytes: Uint8Array): boolean {
    const before = this.#text
    this.#text = ""
    return writePiece(this.#socket, before, bytes, this.#chunked)
  }

  /** Writes the head, when none of the body has come with it. */
  flush(): void {
    if (this.#text === "") return
    this.#socket.write(this.#text, "latin1")
    this.#text = ""
  }

  end(trailers: HeaderList): void {
    if (this.#chunked) this.#text += lastChunkText(endToEndTrailers(trailers, this.#hop.headerNames))
    this.flush()
  }
}

/** The text of an interim response, or of the 101 that opens a tunnel: a head and nothing more. Throws as an edit does. */
export const headOnly = (head: ResponseHead, hop: ResponseHop): string => {
  const headers = responseHeaders(head.headers, hop, { status: head.status, chunked: false })
  return responseHeadText(head.status, head.reason, headers, "none", false)
}

const mayBeSilent = (contentType: string | undefined): boolean =>
  contentType?.slice(0, 17).toLowerCase() === "text/event-stream" || isGrpc(contentType)
