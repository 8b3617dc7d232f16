import { base64url, SOCKET_TOKEN_BYTES } from "@project-ingress/forward/internal"
import { socketPair } from "./runtime.ts"

/** How long a machine has to dial a WebSocket that an app has opened, in ms. */
const DIAL_TIMEOUT_MS = 15_000

/**
 * Where a visitor's WebSocket meets the one that the machine dials for it: both requests come to this object, and each is given one
 * end of a pair, so that the runtime passes messages between them by itself, each side at the pace of the other.
 */
export class SocketMeetings {
  readonly #waiting = new Map<string, (socket: unknown) => void>()

  /** Expects a machine's WebSocket with a token that nobody else knows. `socket`: the visitor's end, `undefined` if none came. */
  open(): { readonly token: Uint8Array; readonly socket: Promise<unknown>; readonly close: () => void } {
    const token = crypto.getRandomValues(new Uint8Array(SOCKET_TOKEN_BYTES))
    const name = base64url.encode(token)
    const { promise, resolve } = Promise.withResolvers<unknown>()
    this.#waiting.set(name, resolve)
    let timer: ReturnType<typeof setTimeout> | undefined
    const close = (): void => {
      clearTimeout(timer)
      this.#waiting.delete(name)
      resolve(undefined)
    }
    const meetings = {
      token,
      // The time begins when somebody waits: an app may take as long as it likes for its part.
      get socket() {
        timer ??= setTimeout(close, DIAL_TIMEOUT_MS)
        return promise
      },
      close,
    }
    return meetings
  }

  /** The machine's end of the pair; `undefined` for a token that nobody waits for. Each is good once. */
  meet(token: string): unknown {
    const resolve = this.#waiting.get(token)
    if (resolve === undefined) return undefined
    this.#waiting.delete(token)
    const [machine, visitor] = socketPair()
    resolve(visitor)
    return machine
  }
}
