import { Duplex } from "node:stream"
import type { ClientIdentity } from "../client-identity.ts"

/** Who gets what the engine writes to a connection. */
export interface ConnectionReader {
  /** False: nothing more is to be read before `readOn`. */
  readonly onBytes: (bytes: Uint8Array) => boolean
  /** The engine has taken what was put in. */
  readonly onRoom?: () => void
  /** The engine ended its side. */
  readonly onEnd: () => void
  /** The connection is gone. Called once, last. */
  readonly onClose: () => void
}

/** One client's connection to the socket engine that exists in memory alone: the engine reads what is put in, and writes to the reader. */
export class MemoryConnection extends Duplex {
  readonly identity: ClientIdentity
  readonly localPort: number
  readonly encrypted: boolean
  readonly remoteAddress: string
  /** Whoever reads now; set before the engine gets the connection. */
  reader: ConnectionReader | undefined
  /** Set by the host: the hostname is not the router's, and the response is not meant for the client. */
  isUnmatched = false
  #readOn: (() => void) | undefined

  constructor(identity: ClientIdentity, localPort: number) {
    super({ allowHalfOpen: true })
    this.identity = identity
    this.localPort = localPort
    this.encrypted = identity.scheme === "https"
    this.remoteAddress = identity.clientAddress ?? ""
    this.on("error", () => undefined)
    this.once("close", () => this.reader?.onClose())
  }

  /** Goes on after `onBytes` gave false. */
  readOn(): void {
    const done = this.#readOn
    this.#readOn = undefined
    done?.()
  }

  override _read(): void {
    this.reader?.onRoom?.()
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    if (chunk.length === 0 || this.reader?.onBytes(chunk) !== false) done()
    else this.#readOn = done
  }

  override _final(done: () => void): void {
    done()
    this.reader?.onEnd()
  }
}
