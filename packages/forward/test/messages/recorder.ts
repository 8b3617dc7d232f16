import type { HeaderList } from "../../src/forward.ts"
import type {
  Engine,
  MessageConnection,
  RequestMessage,
  RequestMessageHead,
  ResponseMessageHead,
  ResponseSink,
} from "../../src/sockets.ts"

/** A client's connection as whoever parsed it says. */
export const connection: MessageConnection = {
  remoteAddress: "203.0.113.7",
  peerAddress: "192.0.2.1",
  localPort: 443,
  encrypted: true,
}

/** A request without a body for the host `a`. */
export const request = (more: Partial<RequestMessageHead> = {}): RequestMessageHead => ({
  method: "GET",
  target: "/",
  authority: "a",
  headers: [],
  ended: true,
  ...more,
})

/** Keeps what a sink is given, in order. */
export class Recorder implements ResponseSink {
  readonly interims: ResponseMessageHead[] = []
  response: ResponseMessageHead | undefined
  body_: Buffer[] = []
  trailers: HeaderList | undefined
  state: "open" | "ended" | "reset" = "open"
  wantedCount = 0
  /** False: the sink says that it has no room. */
  room = true
  message!: RequestMessage
  #wake: (() => void)[] = []

  static send(engine: Engine, head: RequestMessageHead): Recorder {
    const recorder = new Recorder()
    recorder.message = engine.message(connection, head, recorder)
    return recorder
  }

  get text(): string {
    return Buffer.concat(this.body_).toString("latin1")
  }

  get size(): number {
    return this.body_.reduce((sum, { length }) => sum + length, 0)
  }

  interim(head: ResponseMessageHead): void {
    this.interims.push(head)
    this.#changed()
  }

  head(head: ResponseMessageHead, ended: boolean): void {
    this.response = head
    if (ended) this.state = "ended"
    this.#changed()
  }

  body(bytes: Uint8Array): boolean {
    this.body_.push(Buffer.from(bytes))
    this.#changed()
    return this.room
  }

  end(trailers: HeaderList): void {
    this.trailers = trailers
    this.state = "ended"
    this.#changed()
  }

  reset(): void {
    this.state = "reset"
    this.#changed()
  }

  wanted(): void {
    this.wantedCount++
    this.#changed()
  }

  /** Resolves as soon as it is true. A test's own time-out ends the wait. */
  async when(condition: (recorder: this) => boolean): Promise<this> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#wake.push(resolve))
    return this
  }

  over(): Promise<this> {
    return this.when(({ state }) => state !== "open")
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}
