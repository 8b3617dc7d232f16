import type { RequestMessage } from "@project-ingress/forward/sockets"
import type { MessageTail } from "./message-tail.ts"

/** The body of a response to a handshake that is no 101, which is read as its client reads it. */
export class RefusalBody implements MessageTail {
  readonly stream: ReadableStream<Uint8Array>
  #controller!: ReadableStreamDefaultController<Uint8Array>

  constructor(message: RequestMessage) {
    this.stream = new ReadableStream(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: () => message.drained(),
        cancel: () => message.abort(),
      },
      { highWaterMark: 0 },
    )
  }

  body(bytes: Uint8Array): boolean {
    // The engine may use its memory again.
    this.#controller.enqueue(new Uint8Array(bytes))
    return false
  }

  end(): void {
    this.#controller.close()
  }

  reset(): void {
    this.#controller.error(new Error("the response broke off"))
  }

  wanted(): void {}
}
