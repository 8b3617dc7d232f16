import { connect } from "node:net"
import type { Socket } from "node:net"

/** A client on a raw socket, which sends what it likes. */
export class RawClient {
  readonly socket: Socket
  text = ""
  /** True once the other side has ended the connection, in order or not. */
  ended = false
  #wake: (() => void)[] = []

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true })
    const changed = (): void => {
      for (const wake of this.#wake.splice(0)) wake()
    }
    this.socket.on("data", (data: Buffer) => {
      this.text += data.toString("latin1")
      changed()
    })
    for (const event of ["end", "error", "close"] as const) {
      this.socket.on(event, () => {
        this.ended = true
        changed()
      })
    }
  }

  send(text: string): this {
    if (!this.socket.destroyed) this.socket.write(text, "latin1")
    return this
  }

  /** Resolves as soon as it is true, or the connection has ended. A test's own time-out ends the wait. */
  async when(condition: (text: string) => boolean): Promise<string> {
    while (!this.ended && !condition(this.text)) await new Promise<void>((resolve) => this.#wake.push(resolve))
    return this.text
  }

  /** Sends a request and resolves with its response, all of it, which is taken out of `text`. */
  async ask(request: string, { bodiless = false } = {}): Promise<string> {
    this.text = ""
    this.send(request)
    await this.when((text) => isWhole(text, bodiless))
    return this.text
  }

  close(): void {
    this.socket.destroy()
  }
}

/** Whether a text holds a final response with all of its body. */
const isWhole = (text: string, bodiless: boolean): boolean => {
  const at = /(?:^|\r\n\r\n)(?=HTTP\/1\.1 [2-5])/.exec(text)
  if (at === null) return false
  const start = at.index + at[0].length
  const end = text.indexOf("\r\n\r\n", start)
  if (end < 0) return false
  const head = text.slice(start, end)
  if (bodiless || / (?:204|304) /.test(head.slice(0, 14))) return true
  if (/\r\ntransfer-encoding: *chunked/i.test(head))
    return text.endsWith("\r\n0\r\n\r\n") || /\r\n0\r\n(?:.+\r\n)*\r\n$/.test(text)
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)
  return length !== null && text.length >= end + 4 + Number(length[1])
}
